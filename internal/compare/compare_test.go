package compare_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"slerpmerge/internal/compare"
	"slerpmerge/internal/engine"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// layers has tensors of one block and of several, odd lengths among them, in an
// order of the names that is not that of the sizes.
var layers = []tensor.Info{
	{Name: "a.big", DType: tensor.BF16, Shape: []uint64{3<<20 + 12345}},
	{Name: "b.small", DType: tensor.BF16, Shape: []uint64{7}},
	{Name: "c.middle", DType: tensor.BF16, Shape: []uint64{1<<20 + 1}},
	{Name: "d.wide", DType: tensor.F32, Shape: []uint64{1<<21 + 3}},
	{Name: "e.half", DType: tensor.F16, Shape: []uint64{5<<18 + 9}},
	{Name: "f.double", DType: tensor.F64, Shape: []uint64{1<<19 + 5}},
	{Name: "g.tiny", DType: tensor.F16, Shape: []uint64{1}},
}

// makeModel writes a model of noise, in shards of so many bytes (0: one file).
func makeModel(t *testing.T, dir string, seed uint64, shard int64, list []tensor.Info) string {
	t.Helper()
	return testmodel.Make(t, dir, testmodel.Model{Shard: shard, Tensors: testmodel.Tensors(testmodel.Noise(seed), list...)})
}

func request(a, b string, change func(*recipe.Request)) recipe.Request {
	r := recipe.Request{Recipe: recipe.Pair(method.SlerpMethod{}, a, b, recipe.Setting{{Values: []float64{0.5}}}), Run: recipe.Run{MaxMemory: 64 << 20, Threads: 2}}
	if change != nil {
		change(&r)
	}
	return r
}

func openModel(t *testing.T, pool *mmapio.Pool, path string) *model.Model {
	t.Helper()
	m, err := model.Open(pool, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func compareModels(t *testing.T, ctx context.Context, a, b string, change func(*recipe.Request)) (*compare.Result, error) {
	t.Helper()
	pool := mmapio.NewPool(4 << 20)
	r := request(a, b, func(r *recipe.Request) {
		r.ShardSize = 1
		if change != nil {
			change(r)
		}
	})
	p, err := plan.Pairs(r, openModel(t, pool, a), openModel(t, pool, b))
	if err != nil {
		return nil, err
	}
	return compare.Run(ctx, p, compare.Options{Pool: pool})
}

func mergeModels(t *testing.T, a, b string) *merge.Result {
	t.Helper()
	pool := mmapio.NewPool(4 << 20)
	p, err := plan.New(request(a, b, func(r *recipe.Request) {
		r.Output, r.ShardSize = filepath.Join(t.TempDir(), "out"), 5e9
		r.Missing, r.NonFinite, r.Tokenizer, r.Vocab = recipe.MissingCopy, recipe.NonFiniteWarn, recipe.TokenizerPrimary, recipe.VocabExtend
	}), openModel(t, pool, a), openModel(t, pool, b))
	if err != nil {
		t.Fatal(err)
	}
	res, err := merge.Run(t.Context(), p, merge.Options{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// bits are the figures of a result that must not move by one.
func bits(r engine.TensorResult) [4]uint64 {
	return [4]uint64{math.Float64bits(r.Cos), math.Float64bits(r.Theta), math.Float64bits(r.NormA), math.Float64bits(r.NormB)}
}

// The figures of a comparison are those of a merge, to the last bit, for
// tensors of one block and of several, and the branch is the merge's.
func TestCompareEqualsMerge(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := [2]string{makeModel(t, dir+"/a", 1, 9<<20, layers), makeModel(t, dir+"/b", 2, 0, layers)}
	models := func(name string) string { return filepath.Join("..", "..", "testdata", "models", name) }
	for _, pair := range [][2]string{own, {models("alpha"), models("beta")}, {models("deep-a-bin"), models("deep-b")},
		{models("edge-a"), models("edge-b")}, {models("alpha"), models("alpha")}, {models("alpha"), models("beta-vocab")}} {
		merged := mergeModels(t, pair[0], pair[1])
		compared, err := compareModels(t, t.Context(), pair[0], pair[1], nil)
		if err != nil {
			t.Fatal(err)
		}
		byName := map[string]engine.TensorResult{}
		for i := range compared.Tensors {
			byName[compared.Plan.Tensors[i].Name] = compared.Tensors[i]
		}
		measured := 0
		for i, want := range merged.Tensors {
			name := merged.Plan.Tensors[i].Name
			got, ok := byName[name]
			if !want.Measured {
				continue
			}
			measured++
			if !ok || bits(got) != bits(want) || got.Outcome != want.Outcome || got.NonFinite != want.NonFinite {
				t.Errorf("%s of %v: %+v in a comparison, %+v in a merge", name, pair, got, want)
			}
		}
		if measured == 0 {
			t.Errorf("%v: nothing was measured", pair)
		}
	}
}

// Nor do they depend on threads, memory or shards; the distance neither.
func TestComparisonDoesNotDependOnTheMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b := makeModel(t, dir+"/a", 1, 0, layers), makeModel(t, dir+"/b", 2, 0, layers)
	shards := makeModel(t, dir+"/as", 1, 9<<20, layers)
	near := makeModel(t, dir+"/near", 1, 0, layers)
	path := filepath.Join(near, "model.safetensors")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for at := st.Size() / 20; at < st.Size(); at += st.Size() / 20 { // a few elements of the large tensors
		var x [1]byte
		if _, err := f.ReadAt(x[:], at); err != nil {
			t.Fatal(err)
		}
		x[0] ^= 1
		if _, err := f.WriteAt(x[:], at); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	for _, other := range []string{b, near} {
		want, err := compareModels(t, t.Context(), a, other, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, threads := range []int{1, 3, 8} {
			for _, first := range []string{a, shards} {
				got, err := compareModels(t, t.Context(), first, other, func(r *recipe.Request) { r.Threads, r.MaxMemory = threads, 30<<20 })
				if err != nil {
					t.Fatal(err)
				}
				for i := range want.Tensors {
					x, y := got.Tensors[i], want.Tensors[i]
					if x != y {
						t.Errorf("%d threads: %+v, want %+v", threads, x, y)
					}
				}
			}
		}
	}
}

// The distance of parents that are all but equal has its digits: checked
// against the differences themselves.
func TestDistance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := []tensor.Info{{Name: "far", DType: tensor.F32, Shape: []uint64{1000}}, {Name: "near", DType: tensor.F32, Shape: []uint64{1<<20 + 77}}}
	a, b := makeModel(t, dir+"/a", 1, 0, list), makeModel(t, dir+"/b", 1, 0, list)
	path := filepath.Join(b, "model.safetensors")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-4] ^= 2    // the last element of near
	raw[len(raw)-4004] ^= 1 // another one
	if err := os.WriteFile(path, raw, 0o666); err != nil {
		t.Fatal(err)
	}
	res, err := compareModels(t, t.Context(), a, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	pool := mmapio.NewPool(4 << 20)
	ma, mb := openModel(t, pool, a), openModel(t, pool, b)
	for i := range res.Tensors {
		name := res.Plan.Tensors[i].Name
		var sum float64
		x, y := singles(t, ma, name), singles(t, mb, name)
		for k := range x {
			sum += (x[k] - y[k]) * (x[k] - y[k])
		}
		if got, want := res.Tensors[i].Distance, math.Sqrt(sum); math.Abs(got-want) > 1e-12*want {
			t.Errorf("%s: %g, want %g", name, got, want)
		}
		if branch := res.Tensors[i].Outcome; (branch == method.Equal) != (sum == 0) {
			t.Errorf("%s: branch %s at a distance of %g", name, branch, math.Sqrt(sum))
		}
	}
}

// singles are the values of an F32 tensor.
func singles(t *testing.T, m *model.Model, name string) []float64 {
	t.Helper()
	i := slices.IndexFunc(m.Tensors, func(x model.Tensor) bool { return x.Name == name })
	raw := make([]byte, m.Tensors[i].Bytes())
	if err := m.Source(i).ReadAt(raw, 0); err != nil {
		t.Fatal(err)
	}
	v := make([]float64, len(raw)/4)
	for i := range v {
		v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])))
	}
	return v
}

func TestCompareStops(t *testing.T) {
	dir := t.TempDir()
	a, b := makeModel(t, dir+"/a", 1, 0, layers), makeModel(t, dir+"/b", 2, 0, layers)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := compareModels(t, ctx, a, b, nil); !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
	var me *plan.MemoryError
	if _, err := compareModels(t, t.Context(), a, b, func(r *recipe.Request) { r.MaxMemory = 1 << 20 }); !errors.As(err, &me) {
		t.Errorf("error %v, want a *plan.MemoryError", err)
	}
	if _, err := compareModels(t, t.Context(), a, b, func(r *recipe.Request) { r.MaxMemory = me.Least }); err != nil {
		t.Errorf("with the least memory: %v", err)
	}
}
