package merge_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
)

const testdata = "../../testdata/"

// mergeModels runs a merge with a few settings changed.
func flat(t float64) recipe.Setting { return recipe.Setting{{Values: []float64{t}}} }

func mergeModels(t *testing.T, primary, secondary string, change func(*recipe.Request)) (*merge.Result, string) {
	t.Helper()
	res, out, err := tryMerge(t, primary, secondary, change, merge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return res, out
}

func tryMerge(t *testing.T, primary, secondary string, change func(*recipe.Request), opt merge.Options) (*merge.Result, string, error) {
	t.Helper()
	return tryMergeUntil(t, context.Background(), primary, secondary, change, opt)
}

func tryMergeUntil(t *testing.T, ctx context.Context, primary, secondary string, change func(*recipe.Request), opt merge.Options) (*merge.Result, string, error) {
	t.Helper()
	r := recipe.Request{Recipe: recipe.Pair(method.SlerpMethod{}, primary, secondary, flat(0.5)), Run: recipe.Run{Output: filepath.Join(t.TempDir(), "out"), MaxMemory: 64 << 20, Threads: 2}}
	r.ShardSize, r.Missing, r.NonFinite, r.Tokenizer = 5e9, recipe.MissingCopy, recipe.NonFiniteError, recipe.TokenizerPrimary
	if change != nil {
		change(&r)
	}
	pool := mmapio.NewPool(4 << 20)
	a, err := model.Open(pool, primary)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := model.Open(pool, secondary)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p, err := plan.New(r, a, b)
	if err != nil {
		return nil, r.Output, err
	}
	opt.Pool = pool
	res, err := merge.Run(ctx, p, opt)
	return res, r.Output, err
}

// values reads a tensor's values as float64, exactly, and its bytes.
type values struct {
	tensor.Info
	raw []byte
}

func readAll(t *testing.T, path string) map[string]values {
	t.Helper()
	m, err := model.Open(mmapio.NewPool(8<<20), path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out := map[string]values{}
	for i := range m.Tensors {
		v := values{m.Tensors[i].Info, make([]byte, m.Tensors[i].Bytes())}
		if err := m.Source(i).ReadAt(v.raw, 0); err != nil {
			t.Fatal(err)
		}
		out[v.Name] = v
	}
	return out
}

// steps is the bit pattern of element i as an integer in the order of the
// values, so that one step is one unit in the last place.
func (v values) steps(i int) (n int64, nan bool) {
	switch size := v.DType.Size(); v.DType {
	case tensor.F32:
		u := binary.LittleEndian.Uint32(v.raw[i*size:])
		return ordered(uint64(u), 31), u&0x7fffffff > 0x7f800000
	case tensor.F16, tensor.BF16:
		u := binary.LittleEndian.Uint16(v.raw[i*size:])
		inf := uint16(0x7c00)
		if v.DType == tensor.BF16 {
			inf = 0x7f80
		}
		return ordered(uint64(u), 15), u&0x7fff > inf
	default:
		panic("no golden case has " + v.DType.String())
	}
}

func ordered(u uint64, sign uint) int64 {
	n := int64(u &^ (1 << sign))
	if u>>sign != 0 {
		return -n
	}
	return n
}

// apply puts the elements of a delta file in their places.
func apply(t *testing.T, gold map[string]values, path string) {
	delta := readAll(t, path)
	for name, at := range delta {
		name, ok := strings.CutSuffix(name, "#i")
		if !ok {
			continue
		}
		v, size := delta[name+"#v"], gold[name].DType.Size()
		for k := range int(at.Elems()) {
			var i uint64
			for b := at.DType.Size() - 1; b >= 0; b-- {
				i = i<<8 | uint64(at.raw[k*at.DType.Size()+b])
			}
			copy(gold[name].raw[int(i)*size:][:size], v.raw[k*size:][:size])
		}
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, primary, secondary string
		change                   func(*recipe.Request)
		gold, delta              string
		unequal                  int // elements that may differ from the exact result, by one unit
	}{
		{"flat-0.5", "alpha", "beta", nil, "expected", "exact.delta", 0},
		// mergekit widens tensors whose types differ; auto keeps the primary's. At
		// t = 0.5 the two sides are alike, and edge-b has the wider one.
		{"edge", "edge-b", "edge-a", nil, "exact", "", 0},
		{"out-dtype-only", "deep-a", "deep-b", func(r *recipe.Request) { r.Set("t", flat(0.3)); r.DType = recipe.DType{To: tensor.F16} }, "exact", "", 20}, // float32 arithmetic
		{"sharded-output", "deep-a", "deep-b", func(r *recipe.Request) { r.ShardSize = 100_000 }, "expected", "exact.delta", 0},
		{"nan-parent", "deep-a", "bad-nan", func(r *recipe.Request) { r.NonFinite = recipe.NonFiniteWarn }, "expected", "exact.delta", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := testdata + "golden/" + c.name + "/"
			res, out := mergeModels(t, testdata+"models/"+c.primary, testdata+"models/"+c.secondary, c.change)
			gold := readAll(t, dir+c.gold+".safetensors")
			if c.delta != "" {
				apply(t, gold, dir+c.delta+".safetensors")
			}
			got := readAll(t, out)
			if len(got) != len(gold) {
				t.Errorf("%d tensors, want %d", len(got), len(gold))
			}
			unequal := 0
			for name, want := range gold {
				g, ok := got[name]
				if !ok || g.DType != want.DType || !g.SameShape(want.Info) {
					t.Errorf("%s: got %v %v (there: %v), want %v %v", name, g.DType, g.Shape, ok, want.DType, want.Shape)
					continue
				}
				unequal += compareValues(t, name, g, want)
			}
			if unequal > c.unequal {
				t.Errorf("%d elements differ from the exact result, want at most %d", unequal, c.unequal)
			}
			checkBranches(t, res, dir+"plan.json")
			if c.name == "sharded-output" {
				sameIndex(t, out, dir)
			}
		})
	}
}

// compareValues allows one unit in the last place, or 2^-22 of the tensor's
// largest value where two terms cancel.
func compareValues(t *testing.T, name string, got, want values) (unequal int) {
	top := 0.0
	for i := range int(want.Elems()) {
		if x := math.Abs(want.float(i)); x > top && !math.IsInf(x, 0) {
			top = x
		}
	}
	bad := 0
	for i := range int(want.Elems()) {
		x, nanX := got.steps(i)
		y, nanY := want.steps(i)
		if nanX && nanY || x == y {
			continue
		}
		unequal++
		if nanX != nanY || (max(x-y, y-x) > 1 && math.Abs(got.float(i)-want.float(i)) > top/(1<<22)) {
			if bad++; bad == 1 {
				t.Errorf("%s[%d] = %g, want %g", name, i, got.float(i), want.float(i))
			}
		}
	}
	if bad > 1 {
		t.Errorf("%s: %d elements beyond the tolerance", name, bad)
	}
	return unequal
}

func (v values) float(i int) float64 {
	switch v.DType {
	case tensor.F32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(v.raw[i*4:])))
	case tensor.BF16:
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(v.raw[i*2:])) << 16))
	}
	u := binary.LittleEndian.Uint16(v.raw[i*2:])
	sign := 1 - 2*float64(u>>15)
	exp, frac := int(u>>10&31), float64(u&1023)
	switch exp {
	case 0:
		return sign * math.Ldexp(frac, -24)
	case 31:
		if frac != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+frac, exp-25)
}

// checkBranches holds what was measured against the golden set's own plan.
func checkBranches(t *testing.T, res *merge.Result, path string) {
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]struct {
		Cos    any // a number, or the text NaN
		Branch string
	}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	names := map[string]method.Outcome{"slerp": method.Spherical, "lerp": method.Straight, "alike": method.Equal}
	for i := range res.Tensors {
		name, got := res.Plan.Tensors[i].Name, res.Tensors[i]
		w, ok := want[name]
		if !ok {
			t.Errorf("%s is not in the golden plan", name)
			continue
		}
		if got.Outcome != names[w.Branch] && !got.NonFinite {
			t.Errorf("%s: branch %s, want %s", name, got.Outcome, w.Branch)
		}
		// the golden set calls two zero tensors parallel
		if cos, ok := w.Cos.(float64); ok && got.Outcome != method.Equal && math.Abs(got.Cos-cos) > 1e-11 {
			t.Errorf("%s: cosine %.13f, want %.12f", name, got.Cos, cos)
		}
	}
}

// sameIndex compares the shards with mergekit's own index.
func sameIndex(t *testing.T, out, dir string) {
	var got, want struct {
		Metadata  struct{ Total_size int64 }
		WeightMap map[string]string `json:"weight_map"`
	}
	for path, v := range map[string]any{out + "/model.safetensors.index.json": &got, dir + "model.safetensors.index.json": &want} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(raw, v); err != nil {
			t.Fatal(err)
		}
	}
	if got.Metadata != want.Metadata {
		t.Errorf("total_size %d, want %d", got.Metadata.Total_size, want.Metadata.Total_size)
	}
	for name, file := range want.WeightMap {
		if got.WeightMap[name] != file {
			t.Errorf("%s is in %q, want %q", name, got.WeightMap[name], file)
		}
	}
}

// The bytes of four merges, which hold with and without assembly and on every
// processor. The values are right by TestGolden; this pins all bits of them.
func TestPinnedBytes(t *testing.T) {
	for _, c := range []struct {
		name, primary, secondary string
		change                   func(*recipe.Request)
		want                     string
	}{
		{"BF16", "alpha", "beta", nil, "a8219c8207ed03ce178017b15f77ce5f098699f2d415d3595ce69628731d838a"},
		{"BF16 to F32", "deep-a", "deep-b", func(r *recipe.Request) { r.Set("t", flat(0.3)); r.DType = recipe.DType{To: tensor.F32} }, "5cb9eb4e30539353fc8e1859a84fe39ebd514ccfa6f3397b13abeb5492cc91f1"},
		{"BF16 to F16", "deep-a", "deep-b", func(r *recipe.Request) { r.Set("t", flat(0.3)); r.DType = recipe.DType{To: tensor.F16} }, "5a467c55dc6a17cd7d553c50544952ead4373741039555348eaf9ae929d515ee"},
		{"several types", "edge-a", "edge-b", func(r *recipe.Request) { r.Set("t", flat(0.7)) }, "7c62e7c72ca18865e36c374f14cc14a36e7da02bcf69d9024cad7376a037a701"},
	} {
		_, out := mergeModels(t, testdata+"models/"+c.primary, testdata+"models/"+c.secondary, c.change)
		if got := weightHash(t, out); got != c.want {
			t.Errorf("%s: weights hash to %s, want %s", c.name, got, c.want)
		}
	}
}

// At t = 0 and t = 1 the output's weights are the parent's file.
func TestEndsAreCopies(t *testing.T) {
	t.Parallel()
	for at, parent := range map[float64]string{0: "alpha", 1: "beta"} {
		_, out := mergeModels(t, testdata+"models/alpha", testdata+"models/beta", func(r *recipe.Request) { r.Set("t", flat(at)) })
		want, err := os.ReadFile(testdata + "models/" + parent + "/model.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(out + "/model.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Errorf("t = %v: the weights are not those of %s", at, parent)
		}
	}
}
