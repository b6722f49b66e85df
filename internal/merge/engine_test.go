package merge_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// spec is a tensor to be made: floating values of about 0.02.
type spec struct {
	name  string
	dtype tensor.DType
	elems uint64
}

// layers has pairs that a worker can hold and pairs of several blocks, odd
// lengths among them, in an order of the names that is not that of the sizes.
var layers = []spec{
	{"a.big", tensor.BF16, 3<<20 + 12345},
	{"b.small", tensor.BF16, 7},
	{"c.middle", tensor.BF16, 1<<20 + 1},
	{"d.small", tensor.BF16, 1000},
	{"e.wide", tensor.F32, 1<<21 + 3},
	{"f.half", tensor.F16, 5<<18 + 9},
	{"g.small", tensor.F32, 4097},
	{"h.big", tensor.BF16, 5 << 20},
	{"i.double", tensor.F64, 1<<19 + 5},
	{"j.tiny", tensor.F16, 1},
}

// makeModel writes a folder of weights, sharded at shard bytes (0: one file).
func makeModel(t testing.TB, dir string, seed uint64, shard int64, list []spec) string {
	t.Helper()
	m := testmodel.Model{Shard: shard}
	for _, s := range list {
		info := tensor.Info{Name: s.name, DType: s.dtype, Shape: []uint64{s.elems}}
		m.Tensors = append(m.Tensors, testmodel.Tensor{Info: info, Values: testmodel.Noise(seed)})
	}
	return testmodel.Make(t, dir, m)
}

// weightHash is a hash over all weight files and the index.
func weightHash(t testing.TB, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "model*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no weights in %s: %v", dir, err)
	}
	h := sha256.New()
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(h, "%s %d\n", filepath.Base(name), len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The bytes of the output depend on the inputs and the recipe alone: not on
// threads, memory, or the way the parents are cut into shards.
func TestBytesDoNotDependOnTheMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := makeModel(t, dir+"/a", 1, 0, layers)
	b := makeModel(t, dir+"/b", 2, 0, layers)
	aShards := makeModel(t, dir+"/as", 1, 9<<20, layers)
	bShards := makeModel(t, dir+"/bs", 2, 5<<20, layers)
	set := func(threads int, memory int64) func(*recipe.Request) {
		return func(r *recipe.Request) {
			r.Set("t", flat(0.3))
			r.Threads, r.MaxMemory, r.ShardSize = threads, memory, 20e6
		}
	}
	res, out := mergeModels(t, a, b, set(2, 64<<20))
	want := weightHash(t, out)
	if n := res.Outcomes()[method.Spherical]; n == 0 {
		t.Fatal("nothing was interpolated")
	}
	least := leastMemory(t, a, b)
	for i, threads := range []int{1, 2, 3, 8} {
		for k, memory := range []int64{least, least + 3<<20, 40 << 20, 64 << 20, 300 << 20} {
			if (i+k)%2 > 0 { // half of the pairs, with every member twice
				continue
			}
			_, out := mergeModels(t, a, b, set(threads, memory))
			if got := weightHash(t, out); got != want {
				t.Errorf("%d threads, %d bytes: other weights", threads, memory)
			}
			os.RemoveAll(out)
		}
	}
	// Into one file, since the primary's order of tensors decides the shards.
	one := func(r *recipe.Request) { r.Set("t", flat(0.3)) }
	_, out = mergeModels(t, a, b, one)
	_, outShards := mergeModels(t, aShards, bShards, one)
	if weightHash(t, outShards) != weightHash(t, out) {
		t.Error("parents in shards: other weights")
	}
}

// With a narrower output type one piece can hold parts of more large tensors
// than are measured ahead.
func TestNarrowOutputOfManyTensors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var list []spec
	for i := range 7 {
		list = append(list, spec{string(rune('a' + i)), tensor.F32, 768 * 768}, spec{string(rune('p' + i)), tensor.F64, 400_000 + uint64(i)})
	}
	a := makeModel(t, dir+"/a", 1, 0, list)
	b := makeModel(t, dir+"/b", 2, 0, list)
	want := ""
	for i, threads := range []int{1, 2, 7} {
		for k, memory := range []int64{24 << 20, 64 << 20, 1 << 30} {
			if (i+k)%2 > 0 { // half of the pairs, with every member in one or more
				continue
			}
			_, out := mergeModels(t, a, b, func(r *recipe.Request) {
				r.Threads, r.MaxMemory, r.DType = threads, memory, recipe.DType{To: tensor.F16}
			})
			got := weightHash(t, out)
			if want == "" {
				want = got
			}
			if got != want {
				t.Errorf("%d threads, %d bytes: other weights", threads, memory)
			}
		}
	}
}

// Without views, a pair that fits a worker's buffer is read once, others twice: to
// be measured and to be blended.
func TestSmallPairsAreReadOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a := makeModel(t, dir+"/a", 1, 0, layers)
	b := makeModel(t, dir+"/b", 2, 0, layers)
	var mu sync.Mutex
	read := map[string]int64{}
	var opt merge.Options
	opt.CountReads(func(name string, n int) {
		mu.Lock()
		read[name] += int64(n)
		mu.Unlock()
	})
	res, _, err := tryMerge(t, a, b, nil, opt)
	if err != nil {
		t.Fatal(err)
	}
	hold, piece := res.Plan.Budget.Hold, res.Plan.Budget.Piece
	once, twice := 0, 0
	for i := range res.Plan.Tensors {
		x := &res.Plan.Tensors[i]
		pair := 2 * x.Bytes()
		want := pair
		if pair > hold || x.Bytes() > piece {
			want *= 2
			twice++
		} else {
			once++
		}
		if read[x.Name] != want {
			t.Errorf("%s, a pair of %d bytes: %d bytes read, want %d", x.Name, pair, read[x.Name], want)
		}
	}
	if once == 0 || twice == 0 {
		t.Errorf("%d small pairs and %d large ones: both are needed", once, twice)
	}
}

// leastMemory is what a refused limit names.
func leastMemory(t *testing.T, a, b string) int64 {
	t.Helper()
	_, _, err := tryMerge(t, a, b, func(r *recipe.Request) { r.MaxMemory, r.ShardSize = 1<<20, 20e6 }, merge.Options{})
	var me *plan.MemoryError
	if !errors.As(err, &me) {
		t.Fatalf("1 MiB: %v, want a *plan.MemoryError", err)
	}
	return me.Least
}

// A parent that is cut while it is read ends the run with *ChangedError, and
// leaves nothing.
func TestParentTruncatedDuringTheRun(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"truncated": func(p string) error { return os.Truncate(p, 100_000) },
		"emptied":   func(p string) error { return os.Truncate(p, 0) },
		"replaced": func(p string) error {
			old, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			if err := os.WriteFile(p+".new", old, 0o666); err != nil {
				return err
			}
			return os.Rename(p+".new", p)
		},
		"removed": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a := makeModel(t, dir+"/a", 1, 0, layers)
			b := makeModel(t, dir+"/b", 2, 0, layers)
			done := false
			_, out, err := tryMerge(t, a, b, func(r *recipe.Request) { r.MaxMemory = 30 << 20 }, merge.Options{Progress: func(int64) {
				if !done {
					done = true
					if err := change(b + "/model.safetensors"); err != nil {
						t.Error(err)
					}
				}
			}})
			var changed *mmapio.ChangedError
			if !errors.As(err, &changed) {
				t.Errorf("error %v, want a *mmapio.ChangedError", err)
			}
			nothingLeft(t, out)
		})
	}
}

func nothingLeft(t *testing.T, out string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(out))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), filepath.Base(out)) {
			t.Errorf("%s is left behind", e.Name())
		}
	}
}
