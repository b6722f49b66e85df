package verify_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/internal/verify"
	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

// assorted has every kind of tensor that a file can hold: several types, one
// value, none, an odd number of bytes.
var assorted = []tensor.Info{
	{Name: "a.weight", DType: tensor.BF16, Shape: []uint64{5, 7}},
	{Name: "b.weight", DType: tensor.F32, Shape: []uint64{3, 3}},
	{Name: "c.empty", DType: tensor.F32, Shape: []uint64{0, 4}},
	{Name: "d.scale", DType: tensor.F16},
	{Name: "e.ids", DType: tensor.I64, Shape: []uint64{3}},
	{Name: "f.mask", DType: tensor.BOOL, Shape: []uint64{11}},
	{Name: "g.weight", DType: tensor.F64, Shape: []uint64{2, 2, 2}},
	{Name: "h.eight", DType: tensor.F8E4M3, Shape: []uint64{9}},
}

func makeAssorted(t *testing.T, dir string, seed uint64) string {
	t.Helper()
	m := testmodel.Model{Tensors: testmodel.Tensors(testmodel.Noise(seed), assorted...), Config: `{"a": 1}`}
	for i := range m.Tensors {
		if !m.Tensors[i].DType.Blends() {
			m.Tensors[i].Values = testmodel.List(0, 1) // the same in both parents
		}
	}
	return testmodel.Make(t, dir, m)
}

// A madeModel is an output with the plan that made it.
type madeModel struct {
	*plan.Plan
	dir  string
	pool *mmapio.Pool
	turn *int // of what verify expects
}

func mergeAssorted(t *testing.T, format recipe.Format, shard int64) madeModel {
	t.Helper()
	dir := t.TempDir()
	a, b := makeAssorted(t, filepath.Join(dir, "a"), 1), makeAssorted(t, filepath.Join(dir, "b"), 2)
	r := recipe.Request{Recipe: recipe.Pair(method.SlerpMethod{}, a, b, recipe.Setting{{Values: []float64{0.3}}}), Run: recipe.Run{Output: filepath.Join(dir, "out"), MaxMemory: 22 << 20, Threads: 1}}
	r.Format, r.ShardSize, r.Missing, r.NonFinite, r.Tokenizer, r.Vocab = format, shard, recipe.MissingCopy, recipe.NonFiniteError, recipe.TokenizerPrimary, recipe.VocabError
	m := madeModel{dir: r.Output, pool: mmapio.NewPool(4 << 20), turn: new(int)}
	var models []*model.Model
	for _, path := range []string{a, b} {
		parent, err := model.Open(m.pool, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(parent.Close)
		models = append(models, parent)
	}
	var err error
	if m.Plan, err = plan.New(r, models...); err != nil {
		t.Fatal(err)
	}
	if _, err := merge.Run(context.Background(), m.Plan, merge.Options{Pool: m.pool, Checksums: true}); err != nil {
		t.Fatal(err)
	}
	// A plan that knows nothing of the run, as verify has it.
	r.Output = ""
	if m.Plan, err = plan.New(r, models...); err != nil {
		t.Fatal(err)
	}
	return m
}

// verify compares the output with its plan: without knowing what to expect, and in
// turn with the right expectations, wrong ones and too few, which must come to the same.
func (m madeModel) verify(t *testing.T, share float64) *verify.Result {
	t.Helper()
	run := func(expected []engine.TensorResult) *verify.Result {
		v, err := verify.Run(context.Background(), m.Plan, m.dir, verify.Options{Pool: m.pool, Share: share, Expected: expected})
		if err != nil {
			t.Fatal(err)
		}
		v.Duration = 0
		return v
	}
	v := run(nil)
	wrong := slices.Clone(v.Results)
	for i := range wrong {
		switch wrong[i].Cos = -wrong[i].Cos / 2; i % 3 {
		case 0:
			wrong[i].Outcome = method.Equal
		case 1:
			wrong[i].Cos = 1e300
		}
	}
	expected := [][]engine.TensorResult{slices.Clone(v.Results), wrong, make([]engine.TensorResult, 1)}[*m.turn%3]
	*m.turn++
	if other := run(expected); !reflect.DeepEqual(v, other) {
		t.Fatalf("with what is expected:\n%+v\nwithout:\n%+v", other, v)
	}
	return v
}

// flipped gives one bit of a file another value while f runs.
func (m madeModel) flipped(t *testing.T, file string, at int64, bit uint, f func()) {
	t.Helper()
	path := filepath.Join(m.dir, file)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 1 << bit
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	f()
	b[at] ^= 1 << bit
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// extentAt finds the tensor whose values have byte at.
func extentAt(f writer.File, at int64) (writer.Extent, bool) {
	i := slices.IndexFunc(f.Extents, func(x writer.Extent) bool { return at >= x.Off && at < x.Off+x.Len })
	if i < 0 {
		return writer.Extent{}, false
	}
	return f.Extents[i], true
}

// sumAt finds the tensor whose checksum has byte at.
func sumAt(f writer.File, at int64) (writer.Extent, bool) {
	i := slices.IndexFunc(f.Extents, func(x writer.Extent) bool {
		return slices.ContainsFunc(x.CRCSlots, func(s int64) bool { return at >= s && at < s+4 })
	})
	if i < 0 {
		return writer.Extent{}, false
	}
	return f.Extents[i], true
}

// places are the bytes to be flipped: the ends of every stretch, all bytes of
// checksums, and every so many of the others.
func places(f writer.File, r *rand.Rand) []int64 {
	at := []int64{0, f.Size - 1}
	for _, s := range f.Literals {
		at = append(at, s.Off, s.Off+int64(len(s.Data))-1)
	}
	for _, x := range f.Extents {
		if x.Len > 0 {
			at = append(at, x.Off, x.Off+x.Len-1)
		}
		for _, s := range x.CRCSlots {
			at = append(at, s, s+1, s+2, s+3)
		}
	}
	for i := int64(0); i < f.Size; i += 1 + r.Int64N(60) {
		at = append(at, i)
	}
	slices.Sort(at)
	return slices.Compact(at)
}

// One bit anywhere in a weight file is found, and its place is told.
func TestVerifyFlips(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		format recipe.Format
		shard  int64
	}{
		{"safetensors", recipe.Safetensors, 1 << 40}, {"shards", recipe.Safetensors, 100},
		{"bin", recipe.Bin, 1 << 40}, {"bin shards", recipe.Bin, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := mergeAssorted(t, c.format, c.shard)
			if v := m.verify(t, 1); v.Count != 0 || len(v.BadSums) != 0 || v.Tensors != len(assorted) || v.Sums != len(m.Layout.Files)+1+min(1, len(m.Layout.Index())) {
				t.Fatalf("what was just made: %+v", v)
			}
			r := rand.New(rand.NewPCG(3, 4))
			for _, f := range m.Layout.Files {
				original, err := os.ReadFile(filepath.Join(m.dir, f.Name))
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range places(f, r) {
					bit := uint(r.IntN(8))
					m.flipped(t, f.Name, at, bit, func() { checkFlip(t, m, f, original, at, bit) })
				}
			}
		})
	}
}

func checkFlip(t *testing.T, m madeModel, f writer.File, original []byte, at int64, bit uint) {
	t.Helper()
	v := m.verify(t, 1)
	if v.Count != 1 || len(v.Differences) != 1 || len(v.BadSums) != 1 {
		t.Fatalf("%s, byte %d: %d differences, %d sums: %v", f.Name, at, v.Count, len(v.BadSums), v.Differences)
	}
	d := v.Differences[0]
	if d.File != f.Name || d.Count != 1 {
		t.Fatalf("%s, byte %d: %v", f.Name, at, d)
	}
	x, in := extentAt(f, at)
	if !in {
		want := verify.InHeader
		if m.Recipe.Format == recipe.Bin {
			want = verify.InZip
		}
		if s, is := sumAt(f, at); is {
			want = verify.InCRC
			if name := m.Tensors[s.Tensor].Name; d.Tensor != name {
				t.Errorf("%s, byte %d: a checksum of %s, not %s", f.Name, at, d.Tensor, name)
			}
		}
		hex := func(b byte) string { return fmt.Sprintf("0x%02x", b) }
		if d.Place != want || d.Offset != at || d.ExpectedHex != hex(original[at]) || d.FoundHex != hex(original[at]^1<<bit) {
			t.Errorf("%s, byte %d: %+v, want it in %s", f.Name, at, d, want)
		}
		if slices.Contains(v.Differs, true) {
			t.Errorf("%s, byte %d: a tensor is said to differ", f.Name, at)
		}
		return
	}
	info := m.Tensors[x.Tensor].Info
	size := int64(info.DType.Size())
	start := at - (at-x.Off)%size
	element := func(b []byte) string {
		var word [8]byte
		copy(word[:], b[start:][:size])
		return fmt.Sprintf("0x%0*x", 2*size, binary.LittleEndian.Uint64(word[:]))
	}
	changed := bytes.Clone(original)
	changed[at] ^= 1 << bit
	if d.Place != verify.InTensor || d.Tensor != info.Name || d.Offset != start || d.TensorOffset != start-x.Off ||
		d.ExpectedHex != element(original) || d.FoundHex != element(changed) || d.Expected == "" {
		t.Errorf("%s, byte %d: %+v, want element at %d of %s", f.Name, at, d, start, info.Name)
	}
	n := uint64(0)
	for k, i := range d.Index {
		n = n*info.Shape[k] + i
	}
	if int64(n)*size != d.TensorOffset || len(d.Index) != len(info.Shape) {
		t.Errorf("%s, byte %d: index %v of shape %v", f.Name, at, d.Index, info.Shape)
	}
	for i, unlike := range v.Differs {
		if unlike != (i == x.Tensor) {
			t.Errorf("%s, byte %d: tensor %d differs: %v", f.Name, at, i, unlike)
		}
	}
}

// Very many differences are counted, and told without end neither in memory
// nor on the screen.
func TestVerifyAllWrong(t *testing.T) {
	t.Parallel()
	for _, format := range []recipe.Format{recipe.Safetensors, recipe.Bin} {
		m := mergeAssorted(t, format, 1<<40)
		f := m.Layout.Files[0]
		path := filepath.Join(m.dir, f.Name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 0xff
		}
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
		v := m.verify(t, 1)
		for _, info := range assorted {
			if info.Elems() == 0 {
				continue
			}
			i := slices.IndexFunc(v.Differences, func(d verify.Difference) bool { return d.Place == verify.InTensor && d.Tensor == info.Name })
			if i < 0 || v.Differences[i].Count != info.Elems() || v.Differences[i].TensorOffset != 0 {
				t.Errorf("%s: %s is not among the differences with all its elements", format, info.Name)
			}
		}
		if !slices.IsSortedFunc(v.Differences, func(a, b verify.Difference) int { return int(a.Offset - b.Offset) }) {
			t.Errorf("%s: not in the order of the file: %v", format, v.Differences)
		}
	}
}

// Every length that a file can be cut to is a difference and no error.
func TestVerifyCut(t *testing.T) {
	t.Parallel()
	for _, format := range []recipe.Format{recipe.Safetensors, recipe.Bin} {
		m := mergeAssorted(t, format, 1<<40)
		path := filepath.Join(m.dir, m.Layout.Files[0].Name)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := len(b) + 3; n >= 0; n -= 1 + n/40 {
			if err := os.WriteFile(path, append(b[:min(n, len(b)):len(b)], make([]byte, max(0, n-len(b)))...), 0o666); err != nil {
				t.Fatal(err)
			}
			b = b[:cap(b)]
			for _, share := range []float64{0.05, 1} {
				v := m.verify(t, share)
				if n == len(b) {
					continue
				}
				if v.Count != 1 || v.Differences[0].Place != verify.InSize || !strings.Contains(v.Differences[0].String(), fmt.Sprintf("%d bytes long", n)) {
					t.Fatalf("%s, %d bytes: %v", format, n, v.Differences)
				}
			}
		}
	}
}

// What a .bin that was changed with care says of its own values is no second
// difference.
func TestVerifyChangedWithCare(t *testing.T) {
	t.Parallel()
	m := mergeAssorted(t, recipe.Bin, 1<<40)
	f := m.Layout.Files[0]
	x := f.Extents[0]
	path := filepath.Join(m.dir, f.Name)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[x.Off+4] ^= 0x10
	for _, at := range x.CRCSlots {
		binary.LittleEndian.PutUint32(b[at:], crc32.ChecksumIEEE(b[x.Off:][:x.Len]))
	}
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if v := m.verify(t, 1); v.Count != 1 || v.Differences[0].Place != verify.InTensor {
		t.Errorf("%v", v.Differences)
	}
	b[x.CRCSlots[1]] ^= 1
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if v := m.verify(t, 1); v.Count != 2 || v.Differences[1].Place != verify.InCRC {
		t.Errorf("%v", v.Differences)
	}
}

func TestVerifyCancelled(t *testing.T) {
	m := mergeAssorted(t, recipe.Safetensors, 1<<40)
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(os.ErrDeadlineExceeded)
	_, err := verify.Run(ctx, m.Plan, m.dir, verify.Options{Pool: m.pool, Share: 1})
	if err != os.ErrDeadlineExceeded {
		t.Errorf("error %v, want the cause", err)
	}
}
