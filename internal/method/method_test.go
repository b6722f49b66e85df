package method

import (
	"math"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// params are those of a tensor, for tests.
type params struct {
	n      int
	based  bool // operand base is the base model's
	base   int
	values map[string]float64
	flags  map[string]bool
	of     []map[string]float64
}

func (p params) Operands() int { return p.n }
func (p params) Base() int {
	if !p.based {
		return -1
	}
	return p.base
}
func (p params) Seed() uint64                      { return 42 }
func (p params) Value(name string) (float64, bool) { v, ok := p.values[name]; return v, ok }
func (p params) Flag(name string) (value, ok bool) { value, ok = p.flags[name]; return value, ok }
func (p params) Of(k int, name string) (float64, bool) {
	if k >= len(p.of) {
		return 0, false
	}
	v, ok := p.of[k][name]
	return v, ok
}

// A method makes its operation of the parameters, or names the one that it lacks.
func TestMethods(t *testing.T) {
	weight := func(w ...float64) (of []map[string]float64) {
		for _, x := range w {
			of = append(of, map[string]float64{"weight": x, "scale": x})
		}
		return of
	}
	for _, c := range []struct {
		name    string
		method  Method
		params  params
		want    Op
		missing string
	}{
		{"slerp", SlerpMethod{}, params{n: 2, values: map[string]float64{"t": 0.3}}, Slerp{0.3}, ""},
		{"slerp without t", SlerpMethod{}, params{n: 2}, nil, "t"},
		{"linear", LinearMethod{}, params{n: 2, of: weight(1, 3)}, &Linear{[]float64{1, 3}, 4}, ""},
		{"linear, normalize: true", LinearMethod{}, params{n: 2, of: weight(1, 3), flags: map[string]bool{"normalize": true}}, &Linear{[]float64{1, 3}, 4}, ""},
		{"linear, normalize: false", LinearMethod{}, params{n: 2, of: weight(1, 3), flags: map[string]bool{"normalize": false}}, &Linear{[]float64{1, 3}, 1}, ""},
		{"linear without a weight", LinearMethod{}, params{n: 2, of: weight(1)}, nil, "weight"},
		{"passthrough", PassthroughMethod{}, params{n: 1}, &Linear{[]float64{1}, 1}, ""},
		{"nearswap", NearswapMethod{}, params{n: 2, based: true, base: 1, values: map[string]float64{"t": 0.1}}, Nearswap{1, 0.1}, ""},
		{"nearswap, t < 0", NearswapMethod{}, params{n: 2, based: true, values: map[string]float64{"t": -1}}, Nearswap{0, 0}, ""},
		{"nearswap without t", NearswapMethod{}, params{n: 2, based: true}, nil, "t"},
		{"ram", RamMethod{}, params{n: 3, based: true, base: 2}, Ram{slerp.Ram{Base: 2, Epsilon: 1e-5}}, ""},
		{"ram, epsilon", RamMethod{}, params{n: 3, based: true, values: map[string]float64{"epsilon": 0.1, "r": 3}}, Ram{slerp.Ram{Epsilon: 0.1}}, ""},
		{"ramplus_tl", RamMethod{Plus: true}, params{n: 3, based: true}, Ram{slerp.Ram{Epsilon: 1e-5, R: 0.1, Alpha: 0.2}}, ""},
		{"ramplus_tl, all", RamMethod{Plus: true}, params{n: 3, based: true, values: map[string]float64{"epsilon": 0, "r": 3, "alpha": 4}}, Ram{slerp.Ram{R: 3, Alpha: 4}}, ""},
		{"sce", SCEMethod{}, params{n: 3, based: true, base: 2}, SCE{slerp.SCE{Base: 2, TopK: 1}}, ""},
		{"sce, select_topk", SCEMethod{}, params{n: 3, based: true, values: map[string]float64{"select_topk": 0.1}}, SCE{slerp.SCE{TopK: 0.1}}, ""},
		{"arcee_fusion", ArceeFusionMethod{}, params{n: 2, based: true, base: 1}, ArceeFusion{slerp.ArceeFusion{Base: 1}}, ""},
		{"passthrough, scaled", PassthroughMethod{}, params{n: 1, of: weight(0.5)}, &Linear{[]float64{0.5}, 1}, ""},
	} {
		op, missing := c.method.Op(c.params)
		if missing != c.missing {
			t.Errorf("%s: %q is missing, want %q", c.name, missing, c.missing)
		}
		if missing != "" {
			continue
		}
		l, isLinear := op.(*Linear)
		if w, ok := c.want.(*Linear); ok != isLinear || !ok && op != c.want || ok && (!slices.Equal(l.Weights, w.Weights) || l.Divisor != w.Divisor) {
			t.Errorf("%s: %+v, want %+v", c.name, op, c.want)
		}
	}
	names := map[string]bool{}
	for _, m := range All() {
		if names[string(m.Name())] {
			t.Errorf("two methods %s", m.Name())
		}
		names[string(m.Name())] = true
		if m.(Method).Title() == "" || m.(Method).Pairs() != (m.Name() == "slerp") {
			t.Errorf("%s: title %q, pairs %v", m.Name(), m.(Method).Title(), m.(Method).Pairs())
		}
	}
	for _, name := range []string{"slerp", "linear", "passthrough", "ties", "breadcrumbs", "breadcrumbs_ties", "dare_linear", "dare_ties", "della", "della_linear"} {
		if !names[name] {
			t.Errorf("no method %s: %v", name, names)
		}
	}
}

// A t far outside is refused, one outside 0 to 1 is noted.
func TestValidT(t *testing.T) {
	valid := SlerpMethod{}.Parameters()[0].Valid
	for _, c := range []struct {
		v                float64
		problem, warning bool
	}{{0, false, false}, {1, false, false}, {0.5, false, false}, {-0.1, false, true}, {1.5, false, true}, {1e301, true, false}, {math.NaN(), true, false}, {math.Inf(-1), true, false}} {
		problem, warning := valid(c.v, "word")
		if (problem != "") != c.problem || (warning != "") != c.warning {
			t.Errorf("%v: problem %q, warning %q", c.v, problem, warning)
		}
	}
}

// The checks find what a method can't do with the slices of a recipe.
func TestChecks(t *testing.T) {
	const two = "models: [{model: a}, {model: b}]\n"
	for _, c := range []struct{ name, text, want string }{
		{"slerp", "merge_method: slerp\nbase_model: a\nparameters: {t: 0.5}\n" + two, ""},
		{"slerp without t", "merge_method: slerp\nbase_model: a\n" + two, "slerp needs t; write"},
		{"slerp without a base", "merge_method: slerp\nparameters: {t: 0.5}\n" + two, "slerp needs base_model"},
		{"slerp with another base", "merge_method: slerp\nbase_model: c\nparameters: {t: 0.5}\n" + two, "is a third"},
		{"slerp of three", "merge_method: slerp\nbase_model: a\nparameters: {t: 0.5}\nmodels: [{model: a}, {model: b}, {model: c}]\n", `and "c" is a third`},
		{"slerp of one", "merge_method: slerp\nbase_model: a\nparameters: {t: 0.5}\nmodels: [{model: a}]\n", "and here is one"},
		{"slerp, slices without the base", "merge_method: slerp\nbase_model: c\nparameters: {t: 0.5}\nslices:\n  - sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]\n",
			`base_model "c" is not among the sources of this slice`},
		{"slerp, one slice without t", "merge_method: slerp\nbase_model: a\nslices:\n" +
			"  - sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]\n    parameters: {t: 0.5}\n" +
			"  - sources: [{model: a, layer_range: [1, 2]}, {model: b, layer_range: [1, 2]}]\n", "neither this slice nor the file has it"},
		{"linear", "merge_method: linear\nparameters: {weight: 1}\n" + two, ""},
		{"linear without weights", "merge_method: linear\n" + two, `there is none for "a"; write`},
		{"linear without the base's", "merge_method: linear\nbase_model: c\nmodels: [{model: a, parameters: {weight: 1}}]\n", "which is merged too though models does not list it"},
		{"passthrough", "merge_method: passthrough\nmodels: [{model: a}]\n", ""},
		{"passthrough of two", "merge_method: passthrough\n" + two, `and "b" is a second; give it a slice of its own`},
		{"passthrough with a base", "merge_method: passthrough\nbase_model: b\nmodels: [{model: a}]\n", "write slices instead"},
		{"nearswap", "merge_method: nearswap\nbase_model: a\nparameters: {t: 0.1}\n" + two, ""},
		{"nearswap, a base that is not listed", "merge_method: nearswap\nbase_model: c\nparameters: {t: 0.1}\nmodels: [{model: a}]\n", ""},
		{"nearswap without t", "merge_method: nearswap\nbase_model: a\n" + two, "nearswap needs t, how far"},
		{"nearswap without a base", "merge_method: nearswap\nparameters: {t: 0.1}\n" + two, "nearswap needs base_model"},
		{"nearswap of three", "merge_method: nearswap\nbase_model: c\nparameters: {t: 0.1}\n" + two, `nearswap merges one model besides base_model, and "b" is one too many`},
		{"nearswap of one", "merge_method: nearswap\nbase_model: a\nparameters: {t: 0.1}\nmodels: [{model: a}]\n", "and here is none"},
		{"ram", "merge_method: ram\nbase_model: a\n" + two, ""},
		{"ram without a base", "merge_method: ram\n" + two, "ram needs base_model"},
		{"ram of one", "merge_method: ramplus_tl\nbase_model: a\nmodels: [{model: a}]\n", "ramplus_tl merges one model or more besides base_model, and here is none"},
		{"ram, epsilon below 0", "merge_method: ram\nbase_model: a\nparameters: {epsilon: -1}\n" + two, `"-1" can't be epsilon, which is 0 or more`},
		{"no such method", "merge_method: tie\n" + two, "tie"},
		{"sce", "merge_method: sce\nbase_model: a\nparameters: {select_topk: 0.1, int8_mask: true}\n" + two, ""},
		{"sce without a base", "merge_method: sce\n" + two, "sce needs base_model"},
		{"arcee_fusion", "merge_method: arcee_fusion\nbase_model: a\n" + two, ""},
		{"arcee_fusion of three", "merge_method: arcee_fusion\nbase_model: c\n" + two, "and \"b\" is one too many"},
	} {
		_, err := recipe.Parse("r.yml", []byte(c.text), All())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}
