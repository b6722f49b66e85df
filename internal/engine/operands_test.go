package engine_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
)

// balanced is an Op of any number of operands: each weighs as much as the inverse
// of its norm, less its cosine to the first.
type balanced struct{}

func (balanced) Word() string          { return "balanced" }
func (balanced) Needs() method.Measure { return method.InnerProducts }
func (balanced) Solve(n int, g method.Gram) method.Solution {
	w := []float64{1 / math.Sqrt(g[0].AA.Float64())}
	for _, pair := range g[:n-1] { // (0,1), (0,2), ...
		norms := math.Sqrt(pair.AA.Float64()) * math.Sqrt(pair.BB.Float64())
		w = append(w, 1/math.Sqrt(pair.BB.Float64())-pair.AB.Float64()/norms)
	}
	return method.Solution{Weights: w, Divisor: float64(n), Outcome: "balanced"}
}

// several plans a linear merge of models with weights 1, 2, ... to a type.
func several(t *testing.T, dtype string, models ...*model.Model) *plan.Plan {
	t.Helper()
	text := "merge_method: linear\n" + dtype + "\nmodels:\n"
	for i, m := range models {
		text += fmt.Sprintf("  - model: %s\n    parameters:\n      weight: %d\n", m.Path, i+1)
	}
	parsed, err := recipe.Parse("r.yml", []byte(text), method.All())
	if err != nil {
		t.Fatal(err)
	}
	r := pair(nil)
	parsed.ShardSize, parsed.Missing, parsed.NonFinite, parsed.Tokenizer, parsed.Vocab = r.ShardSize, r.Missing, r.NonFinite, r.Tokenizer, r.Vocab
	r.Recipe = *parsed
	return planned(t, r, models...)
}

// Sums of any number of operands, measured and not, are those of whole tensors.
func TestManyOperands(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		var models []*model.Model
		for seed := range uint64(n) {
			models = append(models, open(t, seed+1, mixed+map[int]string{3: huge}[n]))
		}
		for _, measured := range []bool{false, true} {
			p := several(t, "dtype: float16", models...)
			ops := 0
			for i := range p.Tensors {
				if x := &p.Tensors[i]; x.Sum() != nil && x.Elems() > 0 {
					if len(x.Operands) != n {
						t.Fatalf("%s has %d operands, want %d", x.Name, len(x.Operands), n)
					}
					if ops++; measured {
						x.Op = balanced{}
					}
				}
			}
			if ops == 0 {
				t.Fatal("nothing is summed")
			}
			out, results := run(t, p, engine.Options{})
			check(t, p, out)
			if want := method.Outcome("balanced"); measured && results[0].Outcome != want || results[0].Measured != (measured && n == 2) {
				t.Errorf("%d operands: %+v", n, results[0])
			}
		}
	}
}

// The parent with a NaN is named where that is known, else all are.
func TestNonFiniteOfMany(t *testing.T) {
	const more = " z:F32:20000:1,2"
	models := []*model.Model{open(t, 1, "x:F32:3:1"+more), open(t, 2, "x:F32:3:2"+more), open(t, 3, "x:F32:3:Inf"+more)}
	for _, measured := range []bool{false, true} {
		p := several(t, "dtype: float16", models...)
		want := "model1 or model2 or model3"
		if measured {
			p.Tensors[0].Op, want = balanced{}, models[2].Path
		}
		err := engine.New(p, p.Layout, newMemory(t, p.Layout), engine.Options{}).Run(t.Context())
		var nonFinite *engine.NonFiniteError
		if !errors.As(err, &nonFinite) || nonFinite.Model != want || nonFinite.Tensor != "x" {
			t.Errorf("measured %v: %v, want x of %s", measured, err, want)
		}
		out := newMemory(t, p.Layout)
		e := engine.New(p, p.Layout, out, engine.Options{WarnNonFinite: true})
		if err := e.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		check(t, p, out)
		elements := "the same elements are"
		if measured {
			elements = "the whole tensor is NaN"
		}
		if r, w := e.Results(), strings.Join(e.Warnings(), "; "); !r[0].NonFinite || r[1].NonFinite || !strings.Contains(w, elements+" in the output: x") {
			t.Errorf("measured %v: %+v, %s", measured, r, w)
		}
	}
}

// A run has one warning of each kind, which names the first tensor.
func TestWarningsAreCounted(t *testing.T) {
	a := open(t, 1, "x.{1..3}:F32:3:70000,1 y.{1..3}:I32:2:1")
	b := open(t, 2, "x.{1..3}:F32:3:80000,1 y.{1..3}:I32:2:2")
	p := several(t, "out_dtype: float16", a, b)
	e := engine.New(p, p.Layout, newMemory(t, p.Layout), engine.Options{})
	if err := e.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(e.Warnings(), "; ")
	want := "6 values are too large for the output type in x.1 and 2 more; not of a floating type and not equal, the primary's values are kept: y.1 and 2 more"
	if got != want {
		t.Errorf("warnings %q, want %q", got, want)
	}
	if base := filepath.Base(a.Path); base != "model1" {
		t.Errorf("the model is %s", base)
	}
}
