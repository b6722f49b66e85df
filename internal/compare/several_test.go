package compare_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"slerpmerge/internal/compare"
	"slerpmerge/internal/engine"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
)

func compareSeveral(t *testing.T, ctx context.Context, base int, change func(*recipe.Request), paths ...string) (*compare.Several, error) {
	t.Helper()
	pool := mmapio.NewPool(4 << 20)
	r := recipe.Request{Recipe: recipe.Comparison(paths...), Run: recipe.Run{MaxMemory: 64 << 20, Threads: 2}}
	if change != nil {
		change(&r)
	}
	var models []*model.Model
	for _, path := range paths {
		models = append(models, openModel(t, pool, path))
	}
	p, err := plan.Several(r, models, base)
	if err != nil {
		return nil, err
	}
	return compare.RunSeveral(ctx, p, compare.Options{Pool: pool})
}

// The figures of each pair among several are those that a comparison of these two
// finds, to the last bit.
func TestSeveralEqualsPairs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own := []string{makeModel(t, dir+"/a", 1, 9<<20, layers), makeModel(t, dir+"/b", 2, 0, layers), makeModel(t, dir+"/c", 1, 0, layers)}
	models := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join("..", "..", "testdata", "models", name))
		}
		return paths
	}
	for _, paths := range [][]string{own, models("alpha", "beta", "beta-vocab", "alpha-sharded"), models("deep-a-bin", "deep-b", "bad-nan"), models("edge-a", "edge-b")} {
		all, err := compareSeveral(t, t.Context(), -1, nil, paths...)
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for i := range paths {
			for j := i + 1; j < len(paths); j++ {
				pair, err := compareModels(t, t.Context(), paths[i], paths[j], nil)
				if err != nil {
					t.Fatal(err)
				}
				byName := map[string]engine.TensorResult{}
				for k := range pair.Tensors {
					byName[pair.Plan.Tensors[k].Name] = pair.Tensors[k]
				}
				for k := range all.Tensors {
					x, got := &all.Plan.Tensors[k], &all.Tensors[k]
					want, ok := byName[x.Name]
					if !ok || !got.Measured() || len(x.Operands) < len(paths) || x.Why != "" {
						continue
					}
					seen++
					n := len(paths)
					cos := got.Cosines[i*n-i*(i+1)/2+j-i-1]
					same := func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) || x != x && y != y }
					if !same(cos, want.Cos) || !want.NonFinite && (!same(got.Norms[i], want.NormA) || !same(got.Norms[j], want.NormB)) {
						t.Errorf("%s of %s and %s: cosine %v, norms %v, want %+v", x.Name, paths[i], paths[j], cos, got.Norms, want)
					}
					if got.Alike(i, j) != (want.Outcome == "equal") {
						t.Errorf("%s of %s and %s are alike: %v", x.Name, paths[i], paths[j], got.Alike(i, j))
					}
				}
			}
		}
		if seen == 0 {
			t.Errorf("%v: nothing was measured", paths)
		}
	}
}

// Nothing depends on threads, memory or shards; with a base neither.
func TestSeveralDoesNotDependOnTheMachine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	paths := []string{makeModel(t, dir+"/a", 1, 0, layers), makeModel(t, dir+"/b", 2, 0, layers), makeModel(t, dir+"/c", 3, 0, layers)}
	shards := []string{makeModel(t, dir+"/as", 1, 9<<20, layers), makeModel(t, dir+"/bs", 2, 3<<20, layers), paths[2]}
	for _, base := range []int{-1, 2} {
		want, err := compareSeveral(t, t.Context(), base, func(r *recipe.Request) { r.Threads = 1 }, paths...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := compareSeveral(t, t.Context(), base, func(r *recipe.Request) { r.Threads, r.MaxMemory = 7, 30<<20 }, shards...)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got.Tensors, want.Tensors) {
			t.Errorf("base %d: %+v, want %+v", base, got.Tensors, want.Tensors)
		}
	}
}

// Differences from the base are measured as they are: those of models that all but
// equal it have their digits, and an angle however short they are.
func TestSeveralFromBase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := []tensor.Info{{Name: "w", DType: tensor.F32, Shape: []uint64{1<<20 + 77}}}
	var paths []string
	for k := range 4 {
		path := makeModel(t, fmt.Sprintf("%s/%d", dir, k), 1, 0, list)
		paths = append(paths, path)
		file := filepath.Join(path, "model.safetensors")
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range k % 3 { // the last is equal to the base
			raw[len(raw)-4-4*i] ^= 1
		}
		if err := os.WriteFile(file, raw, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	res, err := compareSeveral(t, t.Context(), 0, nil, paths...)
	if err != nil {
		t.Fatal(err)
	}
	pool := mmapio.NewPool(4 << 20)
	var x [4][]float64
	for k, path := range paths {
		x[k] = singles(t, openModel(t, pool, path), "w")
	}
	inner := func(a, b int) (sum float64) {
		for e := range x[0] {
			sum += (x[a][e] - x[0][e]) * (x[b][e] - x[0][e])
		}
		return sum
	}
	r := &res.Tensors[0]
	for k := range 3 {
		if got, want := r.Norms[k], math.Sqrt(inner(k+1, k+1)); math.Abs(got-want) > 1e-15*want {
			t.Errorf("model %d: a difference of %v, want %v", k+1, got, want)
		}
	}
	if want := inner(1, 2) / math.Sqrt(inner(1, 1)*inner(2, 2)); math.Abs(r.Cosines[0]-want) > 1e-15 || !(want > 0.1 && want < 0.999) {
		t.Errorf("cosine %v, want %v", r.Cosines[0], want)
	}
	if r.Cosines[1] != 0 || r.Norms[2] != 0 || !r.Alike(0, 3) || r.Alike(0, 1) || r.AllAlike() {
		t.Errorf("of a model equal to the base: %+v", r)
	}
	var norm float64
	for _, v := range x[0] {
		norm += v * v
	}
	if math.Abs(r.Base-math.Sqrt(norm)) > 1e-9*r.Base {
		t.Errorf("base %v, want %v", r.Base, math.Sqrt(norm))
	}
}

func TestSeveralStops(t *testing.T) {
	dir := t.TempDir()
	paths := []string{makeModel(t, dir+"/a", 1, 0, layers), makeModel(t, dir+"/b", 2, 0, layers), makeModel(t, dir+"/c", 3, 0, layers)}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := compareSeveral(t, ctx, -1, nil, paths...); !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
	var me *plan.MemoryError
	if _, err := compareSeveral(t, t.Context(), -1, func(r *recipe.Request) { r.MaxMemory = 1 << 20 }, paths...); !errors.As(err, &me) {
		t.Errorf("error %v, want a *plan.MemoryError", err)
	}
}
