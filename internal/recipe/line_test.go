package recipe_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"slerpmerge/internal/fault"
	"slerpmerge/internal/method"
	"slerpmerge/internal/recipe"
)

// A stub is a method for tests, of any role and parameters.
type stub struct {
	name   string
	base   recipe.BaseRole
	params []recipe.Parameter
}

func (s stub) Name() recipe.Method            { return recipe.Method(s.name) }
func (s stub) Parameters() []recipe.Parameter { return s.params }
func (s stub) Base() recipe.BaseRole          { return s.base }
func (s stub) Check(*recipe.Check)            {}

var stubs = append(method.All()[:3:3],
	stub{"deltas", recipe.BaseIsRequired, []recipe.Parameter{{Name: "weight", PerSource: true}, {Name: "density", PerSource: true},
		{Name: "normalize", Boolean: true}, {Name: "lambda"}, {Name: "int8_mask", Boolean: true}}},
	stub{"maybe", recipe.BaseIsOptional, []recipe.Parameter{{Name: "weight", PerSource: true}, {Name: "eps"}}},
	stub{"mean", recipe.BaseIsModel, []recipe.Parameter{{Name: "max_iter", Integer: true}, {Name: "tol"}}},
	stub{"bare", recipe.BaseIsRequired, nil})

func stubOf(name string) recipe.Rules {
	for _, s := range stubs {
		if string(s.Name()) == name {
			return s
		}
	}
	panic(name)
}

// A base model that is not listed is an operand of the methods that measure from it,
// one more model of those that don't, and must be among the sources of slices.
func TestBaseRoles(t *testing.T) {
	const ab = "models: [{model: a}, {model: b}]\n"
	const slices = "slices: [{sources: [{model: a, layer_range: [2, 4]}, {model: b, layer_range: [2, 4]}]}]\n"
	for _, c := range []struct {
		name, src string
		sources   []string
		base      int
		problem   string
		warning   string
	}{
		{"listed first", "merge_method: deltas\nbase_model: a\n" + ab, []string{"a", "b"}, 0, "", ""},
		{"listed last", "merge_method: deltas\nbase_model: b\n" + ab, []string{"a", "b"}, 1, "", ""},
		{"added", "merge_method: deltas\nbase_model: c\n" + ab, []string{"a", "b", "+c"}, 2, "", ""},
		{"missing", "merge_method: deltas\n" + ab, nil, 0, "1:15 deltas needs base_model: the model that the others are measured from", ""},
		{"missing, of slices", "merge_method: deltas\n" + slices, nil, 0, "1:15 deltas needs base_model", ""},
		{"not in a slice", "merge_method: deltas\nbase_model: c\n" + slices, nil, 0,
			`3:10 base_model "c" is not among the sources of this slice, and the others are measured from its layers; add - {model: "c", layer_range: [2, 4]}`, ""},
		{"of one slice", "merge_method: deltas\nslices: [{base_model: b, sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]}]\n", []string{"a", "b"}, 1, "", ""},
		{"of a module", "merge_method: deltas\nbase_model: c\nmodules: {text: {models: [{model: a}]}}\n", []string{"a", "+c"}, 1, "", ""},
		{"optional, none", "merge_method: maybe\n" + ab, []string{"a", "b"}, -1, "", ""},
		{"optional, added", "merge_method: maybe\nbase_model: c\n" + ab, []string{"a", "b", "+c"}, 2, "", ""},
		{"optional, not in a slice", "merge_method: maybe\nbase_model: c\n" + slices, nil, 0, `3:10 base_model "c" is not among`, ""},
		{"one more model", "merge_method: mean\nbase_model: c\n" + ab, []string{"a", "b", "+c"}, 2, "",
			`2:13 "c" is not among models, and is merged as one more of them, as mergekit does without a word`},
		{"a model like the others", "merge_method: mean\nbase_model: b\n" + ab, []string{"a", "b"}, 1, "", ""},
		{"a donor of the config", "merge_method: mean\nbase_model: c\n" + slices, []string{"a", "b"}, -1, "", ""},
	} {
		r, err := recipe.Parse("r.yml", []byte(c.src), stubs)
		if e := (*recipe.DocumentError)(nil); errors.As(err, &e) {
			if c.problem == "" || len(e.Problems) != 1 || !strings.HasPrefix(spell(e.Problems)[0], c.problem) {
				t.Errorf("%s: %v, want %s", c.name, spell(e.Problems), c.problem)
			}
			continue
		}
		if err != nil || c.problem != "" {
			t.Errorf("%s: %v, want %s", c.name, err, c.problem)
			continue
		}
		var sources []string
		for _, s := range r.Slices[0].Sources {
			name := s.Model.String()
			if s.Added {
				name = "+" + name
			}
			sources = append(sources, name)
		}
		if !reflect.DeepEqual(sources, c.sources) || r.Slices[0].Base != c.base {
			t.Errorf("%s: sources %v, base %d; want %v, %d", c.name, sources, r.Slices[0].Base, c.sources, c.base)
		}
		warnings := strings.Join(spell(r.Warnings), "\n")
		if (warnings == "") != (c.warning == "") || !strings.HasPrefix(warnings, c.warning) {
			t.Errorf("%s: warnings %q, want %q", c.name, warnings, c.warning)
		}
	}
}

// Parameters have values of their kinds only.
func TestKindsOfParameters(t *testing.T) {
	const start = "merge_method: %s\nbase_model: a\nmodels: [{model: a}, {model: b}]\nparameters: {%s}\n"
	for _, c := range []struct{ method, parameter, problem string }{
		{"mean", "max_iter: 20000", ""},
		{"mean", "max_iter: [10, 10]", ""},
		{"mean", "max_iter: 1.0e+1", ""},
		{"mean", "max_iter: 2.5", `max_iter is a whole number, not "2.5"`},
		{"mean", "max_iter: [10, 20]", "max_iter is a whole number, so it can't change along the layers"},
		{"mean", "max_iter: [{filter: mlp, value: 10}, {value: 20}]", ""},
		{"mean", "tol: 1e-9", ""},
		{"mean", "tol: .inf", `".inf" can't be tol: it would make the output NaN`},
		{"deltas", "normalize: yes, int8_mask: 1", ""},
		{"deltas", "normalize: [true, false]", ""},
		{"deltas", "normalize: 0.5", "normalize is true or false"},
		{"deltas", "density: [{filter: mlp, value: [0.1, 0.9]}, 0.3]", "density is a list of numbers or a list of entries"},
	} {
		_, err := recipe.Parse("r.yml", fmt.Appendf(nil, start, c.method, c.parameter), stubs)
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v, want %q", c.parameter, err, c.problem)
		}
	}
}

// Flags make recipes whose parameters are found at each level, or are refused with the
// name of the flag.
func TestLine(t *testing.T) {
	abc := []string{"a", "b", "c"}
	for _, c := range []struct {
		name    string
		line    recipe.Line
		models  []string // of Models
		sources []string
		base    int
		values  map[string][]float64 // of the sources, for the tensor mlp.x at 0.5
		problem string
		flag    string
	}{
		{name: "no base", line: recipe.Line{Rules: stubOf("mean"), Models: abc}, models: abc, sources: abc, base: -1},
		{name: "one for all", line: recipe.Line{Rules: stubOf("linear"), Models: abc, Values: []recipe.Value{{Flag: "weight", Text: "0.5"}}}, models: abc, sources: abc, base: -1,
			values: map[string][]float64{"weight": {0.5, 0.5, 0.5}}},
		{name: "one for each", line: recipe.Line{Rules: stubOf("linear"), Models: abc, Values: []recipe.Value{{Flag: "weight", Text: "2:0,1"}, {Flag: "weight", Text: "mlp=7"}, {Flag: "weight", Text: "1"}, {Flag: "weight", Text: "3:attn=9"}}}, models: abc, sources: abc, base: -1,
			values: map[string][]float64{"weight": {7, 0.5, 7}}},
		{name: "a base that is listed", line: recipe.Line{Rules: stubOf("deltas"), Models: abc, Base: "./b", Values: []recipe.Value{{Flag: "weight", Text: "3:0.25"}, {Flag: "weight", Text: "1"}}}, models: []string{"./b", "a", "c"}, sources: abc, base: 1,
			values: map[string][]float64{"weight": {1, 1, 0.25}}},
		{name: "another base", line: recipe.Line{Rules: stubOf("deltas"), Models: abc, Base: "d", Values: []recipe.Value{{Flag: "density", Text: "1:0.3"}, {Flag: "density", Text: "0.4"}}}, models: []string{"d", "a", "b", "c"}, sources: []string{"+d", "a", "b", "c"}, base: 0,
			values: map[string][]float64{"density": {0.4, 0.3, 0.4, 0.4}}},
		{name: "a base that is no operand", line: recipe.Line{Rules: stubOf("mean"), Models: abc, Base: "d"}, models: []string{"d", "a", "b", "c"}, sources: abc, base: -1},
		{name: "no base for deltas", line: recipe.Line{Rules: stubOf("deltas"), Models: abc}, problem: "deltas needs --base MODEL: the model that the others are measured from", flag: "base"},
		{name: "another method's", line: recipe.Line{Rules: stubOf("mean"), Models: abc, Values: []recipe.Value{{Flag: "int8-mask", Text: "true"}}}, problem: "--int8-mask: mean does not read int8_mask; deltas does", flag: "int8-mask"},
		{name: "of two methods", line: recipe.Line{Rules: stubOf("mean"), Models: abc, Values: []recipe.Value{{Flag: "normalize", Text: "true"}}}, problem: "--normalize: mean does not read normalize; linear and deltas do", flag: "normalize"},
		{name: "of a base", line: recipe.Line{Rules: stubOf("deltas"), Models: abc, Base: "b", Values: []recipe.Value{{Flag: "weight", Text: "2:1"}}}, problem: "model 2 is the base, from which the others are measured; it has no weight", flag: "weight"},
		{name: "shared", line: recipe.Line{Rules: stubOf("mean"), Models: abc, Values: []recipe.Value{{Flag: "tol", Text: "2:1"}}}, problem: `--tol 2:"1": mean has one tol for all models; leave out 2:`, flag: "tol"},
		{name: "a fourth", line: recipe.Line{Rules: stubOf("linear"), Models: abc, Values: []recipe.Value{{Flag: "weight", Text: "4:1"}}}, problem: `--weight 4:"1": there are only 3 models`, flag: "weight"},
		{name: "never used", line: recipe.Line{Rules: stubOf("linear"), Models: abc, Values: []recipe.Value{{Flag: "weight", Text: "1"}, {Flag: "weight", Text: "2"}}}, problem: `--weight "2" is never used: --weight "1" before it`, flag: "weight"},
		{name: "not a number", line: recipe.Line{Rules: stubOf("linear"), Models: abc, Values: []recipe.Value{{Flag: "weight", Text: "x"}}}, problem: `--weight "x": "x" is not a number`, flag: "weight"},
		{name: "not whole", line: recipe.Line{Rules: stubOf("mean"), Models: abc, Values: []recipe.Value{{Flag: "max-iter", Text: "1.5"}}}, problem: `--max-iter "1.5": max_iter is a whole number`, flag: "max-iter"},
		{name: "neither true nor false", line: recipe.Line{Rules: stubOf("linear"), Models: abc, Values: []recipe.Value{{Flag: "normalize", Text: "2"}}}, problem: `--normalize "2": "2" is neither true nor false`, flag: "normalize"},
		{name: "a weight is missing", line: recipe.Line{Rules: stubOf("linear"), Models: abc, Values: []recipe.Value{{Flag: "weight", Text: "1:1"}, {Flag: "weight", Text: "2:1"}}}, problem: `linear needs a weight for every model, and there is none for "c"; add --weight 3:0.5 for it, or --weight 0.5 for all`},
		{name: "twice", line: recipe.Line{Rules: stubOf("mean"), Models: []string{"a", "./a"}}, problem: `"./a" stands twice`},
	} {
		c.line.Methods = stubs
		r, err := c.line.Recipe()
		if err != nil || c.problem != "" {
			if err == nil || c.problem == "" || !strings.HasPrefix(err.Error(), c.problem) || fault.FlagOf(err) != c.flag {
				t.Errorf("%s: %v (of %q), want %s", c.name, err, fault.FlagOf(err), c.problem)
			}
			continue
		}
		models, sources := r.Parents(), []string{}
		for _, s := range r.Slices[0].Sources {
			name := s.Model.String()
			if s.Added {
				name = "+" + name
			}
			sources = append(sources, name)
			if r.Models()[s.Parent].String() != s.Model.String() && !r.Models()[s.Parent].Same(s.Model) {
				t.Errorf("%s: source %s is parent %d", c.name, s.Model, s.Parent)
			}
		}
		if !reflect.DeepEqual(models, c.models) || !reflect.DeepEqual(sources, c.sources) || r.Slices[0].Base != c.base {
			t.Errorf("%s: models %v, sources %v, base %d", c.name, models, sources, r.Slices[0].Base)
		}
		for param, want := range c.values {
			for j := range sources {
				if v, ok := r.SourceValue(param, 0, j, "mlp.x", 0.5); !ok || v != want[j] {
					t.Errorf("%s: %s of source %d is %v, want %v", c.name, param, j, v, want[j])
				}
			}
		}
		listed, at := r.Listed()
		if fmt.Sprint(listed) != fmt.Sprint(c.line.Models) {
			t.Errorf("%s: listed %v", c.name, listed)
		}
		again := recipe.Line{Rules: c.line.Rules, Models: c.line.Models, Base: c.line.Base}
		if at > 0 {
			again.Base = c.line.Models[at-1]
		}
		if back, err := again.With(r.Given()); err != nil || !reflect.DeepEqual(back.Given(), r.Given()) || len(back.Slices[0].Sources) != len(sources) {
			t.Errorf("%s: %v: %+v, want %+v", c.name, err, back, r)
		}
	}
}

// A recipe that is written of flags has the same operands and values.
func TestYAMLOfLine(t *testing.T) {
	values := []recipe.Value{{Flag: "weight", Text: "2:mlp=0,1"}, {Flag: "weight", Text: "2:0.75"}, {Flag: "weight", Text: "1e-7"}, {Flag: "normalize", Text: "mlp=false"}, {Flag: "normalize", Text: "true"}}
	for _, c := range []struct {
		line recipe.Line
		has  string
	}{
		{recipe.Line{Rules: stubOf("linear"), Models: []string{"a", "b", "c"}, Values: values}, "models:\n  - model: a\n  - model: b\n    parameters:\n      weight:\n        - filter: mlp\n          value: [0, 1]\n        - value: 0.75\n  - model: c\nparameters:\n"},
		{recipe.Line{Rules: stubOf("linear"), Models: []string{"a", "b", "c"}, Base: "c", Values: values}, "base_model: c\n"},
		{recipe.Line{Rules: stubOf("linear"), Models: []string{"a", "b", "c"}, Base: "d", Values: values}, "      - model: b\n        layer_range: [0, 4]\n        parameters:\n          weight:\n"},
		{recipe.Line{Rules: stubOf("deltas"), Models: []string{"a", "b", "c"}, Base: "d", Values: values}, "models:\n  - model: d\n  - model: a\n  - model: b\n    parameters:\n"},
		{recipe.Line{Rules: stubOf("deltas"), Models: []string{"a", "b", "c"}, Base: "c", Values: values}, "base_model: c\n"},
	} {
		r, err := c.line.Recipe()
		if err != nil {
			t.Fatal(err)
		}
		layers := make([]int, len(r.Models()))
		for i := range layers {
			layers[i] = 4
		}
		src, err := r.YAML(r.Models(), layers, recipe.DType{Auto: true})
		if err != nil || !strings.Contains(string(src), c.has) {
			t.Errorf("%v\n%s\nlacks\n%s", err, src, c.has)
			continue
		}
		back, err := recipe.Parse("written.yml", src, stubs)
		if err != nil || len(back.Warnings) > 0 {
			t.Errorf("%v %v\n%s", err, back.Warnings, src)
			continue
		}
		if !reflect.DeepEqual(back.Parents(), r.Parents()) || back.Slices[0].Base != r.Slices[0].Base || len(back.Slices[0].Sources) != len(r.Slices[0].Sources) {
			t.Errorf("%v, base %d; want %v, %d\n%s", back.Parents(), back.Slices[0].Base, r.Parents(), r.Slices[0].Base, src)
			continue
		}
		for j, source := range r.Slices[0].Sources {
			if !back.Slices[0].Sources[j].Model.Same(source.Model) {
				t.Errorf("source %d is %s, want %s\n%s", j, back.Slices[0].Sources[j].Model, source.Model, src)
			}
			for _, name := range []string{"mlp.x", "attn"} {
				want, _ := r.SourceValue("weight", 0, j, name, 0.25)
				if got, ok := back.SourceValue("weight", 0, j, name, 0.25); !ok || got != want {
					t.Errorf("weight of %s for source %d: %v, want %v\n%s", name, j, got, want, src)
				}
				on, _ := r.Flag("normalize", 0, name, 0.25)
				if got, ok := back.Flag("normalize", 0, name, 0.25); !ok || got != on {
					t.Errorf("normalize of %s: %v, want %v\n%s", name, got, on, src)
				}
			}
		}
	}
}
