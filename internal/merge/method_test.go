package merge_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
	"slerpmerge/safetensors"
)

// byNorm is a merge method that is in this file alone: the mean of any number of
// models, each weighted by its norm times its gain.
type byNorm struct{}

func (byNorm) Name() recipe.Method     { return "by_norm" }
func (byNorm) Title() string           { return "A merge by norms" }
func (byNorm) Base() recipe.BaseRole   { return recipe.BaseIsModel }
func (byNorm) Missing() method.Missing { return method.Others }
func (byNorm) Pairs() bool             { return false }
func (byNorm) Check(*recipe.Check)     {}
func (byNorm) Parameters() []recipe.Parameter {
	return []recipe.Parameter{{Name: "gain", PerSource: true}}
}

func (byNorm) Op(p method.Params) (method.Op, string) {
	op := &byNormOp{}
	for k := range p.Operands() {
		gain, ok := p.Of(k, "gain")
		if !ok {
			return nil, "gain"
		}
		op.gains = append(op.gains, gain)
	}
	return op, ""
}

type byNormOp struct{ gains []float64 }

func (*byNormOp) Word() string          { return "by norm" }
func (*byNormOp) Needs() method.Measure { return method.InnerProducts }

func (op *byNormOp) Solve(n int, g method.Gram) method.Solution {
	norms, sum := make([]float64, n), 0.0
	for i := range norms { // pair (i, n-1), or (0, n-1) for the last
		switch i {
		case n - 1:
			norms[i] = g[n-2].BB.Sqrt().Float64()
		default:
			norms[i] = g[i*n-i*(i+1)/2+n-i-2].AA.Sqrt().Float64()
		}
		norms[i] *= op.gains[i]
		sum += norms[i]
	}
	for i := range norms {
		norms[i] /= sum
	}
	return method.Solution{Weights: norms, Divisor: 1, Outcome: method.Straight}
}

// A method is one file: parsing, planning, measuring and blending know nothing of
// it.
func TestMethodOfOneFile(t *testing.T) {
	dir := t.TempDir()
	infos := []tensor.Info{
		{Name: "model.layers.0.w", DType: tensor.F32, Shape: []uint64{1<<20 + 77}}, // measured before it is blended
		{Name: "model.layers.1.w", DType: tensor.F32, Shape: []uint64{1000}},       // measured and blended at once
	}
	text := "merge_method: by_norm\nmodels:\n"
	pool := mmapio.NewPool(4 << 20)
	var models []*model.Model
	for i := range 3 {
		path := testmodel.Make(t, filepath.Join(dir, fmt.Sprint("m", i)), testmodel.Model{Tensors: testmodel.Tensors(testmodel.Normal(uint64(i+1), 1+float64(i)), infos...)})
		text += fmt.Sprintf("  - model: %q\n    parameters: {gain: %d}\n", path, i+1)
		m, err := model.Open(pool, path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		models = append(models, m)
	}
	parsed, err := recipe.Parse("r.yml", []byte(text), append(method.All(), byNorm{}))
	if err != nil {
		t.Fatal(err)
	}
	r := recipe.Request{Recipe: *parsed, Run: recipe.Run{Output: filepath.Join(dir, "out"), MaxMemory: 27 << 20, Threads: 2}}
	r.ShardSize = 5e9
	p, err := plan.New(r, models...)
	if err != nil {
		t.Fatal(err)
	}
	res, err := merge.Run(context.Background(), p, merge.Options{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	if n := engine.Outcomes(res.Tensors)[method.Straight]; n != len(infos) {
		t.Errorf("%d tensors are weighted sums", n)
	}
	for i, info := range infos {
		var values [][]float64
		var norms []float64
		sum := 0.0
		for _, m := range models {
			v := floats(t, m.Path, info.Name)
			norm := 0.0
			for _, x := range v {
				norm += x * x
			}
			values, norms = append(values, v), append(norms, float64(len(norms)+1)*math.Sqrt(norm))
			sum += norms[len(norms)-1]
		}
		got := floats(t, r.Output, info.Name)
		for k := range got {
			want := 0.0
			for j := range values {
				want += norms[j] / sum * values[j][k]
			}
			if math.Abs(got[k]-want) > 1e-6*(1+math.Abs(want)) {
				t.Fatalf("tensor %d, element %d: %v, want %v", i, k, got[k], want)
			}
		}
	}
}

// floats are the values of an F32 tensor of a model of one file.
func floats(t *testing.T, dir, name string) []float64 {
	t.Helper()
	f, err := safetensors.OpenFile(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	i := f.Find(name)
	if i < 0 {
		t.Fatal("no tensor ", name)
	}
	b := make([]byte, f.Tensors[i].Bytes())
	if err := f.Source(i).ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	v := make([]float64, len(b)/4)
	for k := range v {
		v[k] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*k:])))
	}
	return v
}
