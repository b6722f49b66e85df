package method

import (
	"math"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

func methodOf(t *testing.T, name string) Method {
	t.Helper()
	for _, m := range All() {
		if string(m.Name()) == name {
			return m.(Method)
		}
	}
	t.Fatalf("no method %s", name)
	return nil
}

// What a recipe with weights alone gives, and one with everything.
func TestTaskVectors(t *testing.T) {
	for _, c := range []struct {
		name               string
		sparsifier         slerp.Sparsifier
		consensus          slerp.Consensus
		normalize, rescale bool
		own                string // the parameter that it has beside those of all
	}{
		{"ties", slerp.Magnitude, slerp.Elected, true, false, ""},
		{"breadcrumbs", slerp.Outliers, slerp.Plain, false, false, "gamma"},
		{"breadcrumbs_ties", slerp.Outliers, slerp.Elected, false, false, "gamma"},
		{"dare_linear", slerp.Random, slerp.Plain, false, true, ""},
		{"dare_ties", slerp.Random, slerp.Elected, false, true, ""},
		{"della", slerp.Ranked, slerp.Elected, true, true, "epsilon"},
		{"della_linear", slerp.Ranked, slerp.Plain, false, true, "epsilon"},
	} {
		m := methodOf(t, c.name)
		weights := []map[string]float64{{"weight": 0.3}, {}, {"weight": 0.7}}
		op, missing := m.Op(params{n: 3, based: true, base: 1, of: weights})
		v, ok := op.(*TaskVectors)
		if missing != "" || !ok {
			t.Errorf("%s: %T, %q is missing", c.name, op, missing)
			continue
		}
		if v.TaskVectors.Base != 1 || v.Base() != 1 || v.Sparsifier != c.sparsifier || v.Consensus != c.consensus || v.Normalize != c.normalize || v.Rescale != c.rescale ||
			v.Lambda != 1 || v.Seed != 42 || !slices.Equal(v.Weight, []float64{0.3, 0, 0.7}) || v.Density[0] != 1 || v.Density[2] != 1 || v.Gamma[0] != 0.01 || v.Epsilon[2] != 0.15 {
			t.Errorf("%s, by default: %+v", c.name, v)
		}
		if v.Word() != c.name || v.Needs() != Passes || v.Refusal() != "" {
			t.Errorf("%s: word %q, needs %d, refusal %q", c.name, v.Word(), v.Needs(), v.Refusal())
		}
		if s := v.Solve(3, nil); s.Outcome != Outcome(c.name) || len(s.Weights) != 3 {
			t.Errorf("%s: %+v", c.name, s)
		}
		sweep := Sweeper(v).Sweep(slerp.Operands{Tensor: "w", Shape: []uint64{4}, In: slices.Repeat([]slerp.DType{tensor.F32}, 3), Out: tensor.F32})
		if n := sweep.Pass(); n != 0 { // a density of 1 drops nothing
			t.Errorf("%s: %d blocks to measure", c.name, n)
		}

		full := map[string]float64{"weight": 1, "density": 0.5, "gamma": 0.2, "epsilon": 0.25}
		op, _ = m.Op(params{n: 2, based: true, of: []map[string]float64{{}, full}, values: map[string]float64{"lambda": 0.5},
			flags: map[string]bool{"normalize": !c.normalize, "rescale": !c.rescale, "int8_mask": true}})
		v = op.(*TaskVectors)
		if v.Normalize == c.normalize || v.Rescale == c.rescale || v.Lambda != 0.5 || v.Density[1] != 0.5 || v.Gamma[1] != 0.2 || v.Epsilon[1] != 0.25 || v.Refusal() != "" {
			t.Errorf("%s: %+v", c.name, v)
		}
		var names []string
		for _, p := range m.Parameters() {
			names = append(names, p.Name)
		}
		for _, name := range []string{"weight", "density", "lambda", "normalize", "rescale", "int8_mask"} {
			if !slices.Contains(names, name) {
				t.Errorf("%s does not read %s", c.name, name)
			}
		}
		for _, name := range []string{"gamma", "epsilon"} {
			if slices.Contains(names, name) != (name == c.own) {
				t.Errorf("%s reads %v", c.name, names)
			}
		}

		if _, missing := m.Op(params{n: 2, based: true, of: []map[string]float64{{"weight": 1}}}); missing != "weight" {
			t.Errorf("%s without a weight: %q is missing", c.name, missing)
		}
		if _, missing := m.Op(params{n: 2, of: weights}); missing != "base_model" {
			t.Errorf("%s without a base: %q is missing", c.name, missing)
		}
		if op, _ := m.Op(params{n: 1, based: true}); !slices.Equal(op.Solve(1, nil).Weights, []float64{1}) || op.Needs() != Nothing {
			t.Errorf("%s of the base alone: %+v", c.name, op)
		}
		if m.Base() != recipe.BaseIsRequired || m.Missing() != Refuse {
			t.Errorf("%s: base %d, missing %d", c.name, m.Base(), m.Missing())
		}
	}
}

// Where mergekit fails in the middle of a merge, della refuses beforehand.
func TestDellaRefuses(t *testing.T) {
	for _, c := range []struct {
		density, epsilon float64
		refused          bool
	}{{0.5, 0.15, false}, {0.1, 0.15, true}, {0.15, 0.15, true}, {0.9, 0.1, true}, {0.9, 0.09, false}, {0, 0.15, false}, {1, 0.15, false}, {0.5, 0, false}, {0.5, 0.5, true}} {
		of := []map[string]float64{{}, {"weight": 1, "density": c.density, "epsilon": c.epsilon}}
		op, _ := methodOf(t, "della").Op(params{n: 2, based: true, of: of})
		if got := op.(Refuser).Refusal(); (got != "") != c.refused {
			t.Errorf("density %v, epsilon %v: %q", c.density, c.epsilon, got)
		}
		op, _ = methodOf(t, "dare_ties").Op(params{n: 2, based: true, of: of})
		if got := op.(Refuser).Refusal(); got != "" {
			t.Errorf("dare_ties: %q", got)
		}
	}
}

// Numbers that make no sense are refused.
func TestTaskVectorParameters(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		method, name           string
		good, doubtful, refuse []float64
	}{
		{"ties", "weight", []float64{0, 1, -2}, nil, []float64{nan, inf}},
		{"ties", "lambda", []float64{0, 1, -2}, nil, []float64{nan, -inf}},
		{"ties", "density", []float64{0, 0.5, 1}, []float64{1.01}, []float64{nan, inf, -0.1}},
		{"breadcrumbs", "gamma", []float64{0, 0.01, 1}, nil, []float64{nan, inf, -0.1, 1.1}},
		{"della", "epsilon", []float64{0, 0.15}, nil, []float64{nan, inf, -0.1, 1.1}},
	} {
		list := methodOf(t, c.method).Parameters()
		valid := list[slices.IndexFunc(list, func(p recipe.Parameter) bool { return p.Name == c.name })].Valid
		for k, values := range [][]float64{c.good, c.doubtful, c.refuse} {
			for _, v := range values {
				if problem, warning := valid(v, "WORD"); (problem != "") != (k == 2) || (warning != "") != (k == 1) || k > 0 && !strings.Contains(problem+warning, "WORD") {
					t.Errorf("%s %v: %q, %q", c.name, v, problem, warning)
				}
			}
		}
	}
}

// Recipes need a base, another model, and its weight.
func TestTaskVectorChecks(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"the base is listed", "base_model: a\nmodels: [{model: a}, {model: b, parameters: {weight: 1, density: 0.5}}]\n", ""},
		{"the base is not listed", "base_model: a\nparameters: {weight: 1}\nmodels: [{model: b}, {model: c}]\n", ""},
		{"no base", "models: [{model: a, parameters: {weight: 1}}, {model: b, parameters: {weight: 1}}]\n", "needs base_model"},
		{"no weight", "base_model: a\nmodels: [{model: a}, {model: b}]\n", `there is none for "b"`},
		{"the base alone", "base_model: a\nmodels: [{model: a}]\n", "and here is none"},
		{"a density below 0", "base_model: a\nmodels: [{model: b, parameters: {weight: 1, density: -1}}]\n", "density is a share from 0 to 1, not -1"},
	} {
		for _, m := range taskVectorMethods() {
			_, err := recipe.Parse("r.yml", []byte("merge_method: "+string(m.Name())+"\n"+c.text), All())
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s, %s: %v, want %q", m.Name(), c.name, err, c.want)
			}
		}
	}
}
