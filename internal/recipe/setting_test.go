package recipe_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
)

// Values that mergekit 0.1.5 gives: the usual recipe over 32 layers.
func TestSettingAt(t *testing.T) {
	s, err := recipe.ParseTFlags([]string{"self_attn=0,0.5,0.3,0.7,1", "mlp=1,0.5,0.7,0.3,0", "0.5"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		tensor string
		layer  int
		want   float64
	}{
		{"self_attn", 0, 0}, {"self_attn", 1, 0.064516}, {"self_attn", 8, 0.493548}, {"self_attn", 16, 0.325806},
		{"self_attn", 24, 0.729032}, {"self_attn", 31, 1}, {"mlp", 0, 1}, {"mlp", 31, 0}, {"norm", 7, 0.5}, {"Self_attn", 31, 0.5},
	} {
		got, ok := s.At(c.tensor, recipe.Position(c.layer, 32))
		if !ok || math.Abs(got-c.want) > 5e-7 {
			t.Errorf("%s, layer %d: %v, %v, want %v", c.tensor, c.layer, got, ok, c.want)
		}
	}
	if p := recipe.Position(0, 1); p != 1 {
		t.Errorf("one layer: %v", p)
	}
}

// A filter is a part of a name, and an empty list gives nothing, not the next
// rule.
func TestSettingRules(t *testing.T) {
	s := recipe.Setting{{Filter: "layers.1.", Values: []float64{1}}, {Filter: "layers.1", Values: []float64{0.5}}, {Filter: "norm"}, {Filter: "", Values: []float64{0}}}
	for name, want := range map[string]float64{"layers.1.norm": 1, "layers.10.norm": 0.5, "layers.2.norm": -1, "head": 0} {
		got, ok := s.At(name, 0)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	var unused []string
	for _, u := range s.Unused([]string{"layers.1.norm"}) {
		unused = append(unused, u.String())
	}
	want := []string{`filter "layers.1" is never used: entries before it take all tensors that it matches`,
		`filter "norm" is never used: entries before it take all tensors that it matches`,
		"the value without a filter is never used: the filters before it take every tensor"}
	if !slices.Equal(unused, want) {
		t.Errorf("unused: %q", unused)
	}
	if u := s.Unused([]string{"head"}); len(u) != 3 || u[0].String() != `filter "layers.1." matches no tensor` {
		t.Errorf("unused: %v", u)
	}
}

func TestParseTFlags(t *testing.T) {
	for _, c := range []struct {
		args string // with spaces between
		want string
	}{
		{"", `-t "": a number is missing; it is one number, such as 0.5, or a list over the layers, such as 0,0.5,1`},
		{"0,,1", `-t "0,,1": a number is missing; it is one number, such as 0.5, or a list over the layers, such as 0,0.5,1`},
		{"half", `-t "half": "half" is not a number`},
		{"NaN", `-t "NaN": "NaN" can't be t: it would make the output NaN; t is a finite number of at most 1e+300, and as a rule from 0 to 1`},
		{"mlp=0,inf", `-t "mlp=0,inf": "inf" can't be t: it would make the output NaN; t is a finite number of at most 1e+300, and as a rule from 0 to 1`},
		{"-2e300", `-t "-2e300": "-2e300" can't be t: it would make the output NaN; t is a finite number of at most 1e+300, and as a rule from 0 to 1`},
		{"1e999", `-t "1e999": "1e999" can't be t: it would make the output NaN; t is a finite number of at most 1e+300, and as a rule from 0 to 1`},
		{"=1", `-t "=1": a part of a tensor's name must come before "=", such as -t mlp=0.5`},
		{"0.5 mlp=1", `-t "mlp=1" is never used: -t "0.5" before it takes every tensor, so put that last`},
		{"*=0.5 1", `-t "1" is never used: -t "*=0.5" before it takes every tensor, so put that last`},
	} {
		if _, err := recipe.ParseTFlags(strings.Split(c.args, " ")); err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.args, err, c.want)
		}
	}
	s, err := recipe.ParseTFlags([]string{"a=b= 0, 1 ", "-1e-3"})
	if err != nil || len(s) != 2 || s[0].Filter != "a=b" || !slices.Equal(s[0].Values, []float64{0, 1}) || s[1].Values[0] != -1e-3 {
		t.Errorf("%v, %v", s, err)
	}
}

func writeYAML(primary, secondary recipe.ModelRef, s recipe.Setting, out recipe.DType) ([]byte, error) {
	r := recipe.Pair(method.SlerpMethod{}, primary.Path, secondary.Path, s)
	return r.YAML([]recipe.ModelRef{primary, secondary}, nil, out)
}

// Written settings are read with the same meaning.
func TestWriteYAML(t *testing.T) {
	auto := recipe.DType{Auto: true}
	for name, c := range map[string]struct {
		primary, secondary recipe.ModelRef
		flags              []string
		out                recipe.DType
	}{
		"plain":   {recipe.ModelRef{Path: "./a"}, recipe.ModelRef{Path: "org/b", Revision: "v1"}, []string{"0.5"}, auto},
		"list":    {recipe.ModelRef{Path: "/x y/ä\n"}, recipe.ModelRef{Path: "no"}, []string{"0,1e-7,1"}, recipe.DType{To: tensor.BF16}},
		"filters": {recipe.ModelRef{Path: "a+b@c", Revision: "1"}, recipe.ModelRef{Path: "1.5"}, []string{"null=0", "- x: #\"=0,5e-324,1e21", "*=-0.25"}, recipe.DType{To: tensor.F32}},
		"few":     {recipe.ModelRef{Path: "~"}, recipe.ModelRef{Path: "{}"}, []string{"mlp=1e300"}, recipe.DType{To: tensor.F16}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := recipe.ParseTFlags(c.flags)
			if err != nil {
				t.Fatal(err)
			}
			src, err := writeYAML(c.primary, c.secondary, s, c.out)
			if err != nil {
				t.Fatal(err)
			}
			d, err := parse(t, "written.yml", string(src))
			if err != nil {
				t.Fatalf("%v\n%s", err, src)
			}
			if !d.Base.Same(c.primary) || d.Slices[0].Base != 0 || !d.Slices[0].Sources[1].Model.Same(c.secondary) || d.OutDType != c.out || !d.Cast.Auto {
				t.Errorf("%+v\n%s", d, src)
			}
			for _, r := range append(s, recipe.Rule{Filter: "other"}) {
				for p := range 11 {
					want, wantOK := s.At(r.Filter, float64(p)/10)
					if got, ok := d.Value("t", 0, r.Filter, float64(p)/10); got != want || ok != wantOK {
						t.Errorf("%s at %d/10: %v %v, want %v %v\n%s", r.Filter, p, got, ok, want, wantOK, src)
					}
				}
			}
		})
	}
	if _, err := writeYAML(recipe.ModelRef{Path: "a\xff"}, recipe.ModelRef{Path: "b"}, nil, auto); err == nil {
		t.Error("a name that is not UTF-8")
	}
}

// FuzzDocument: any file is read or refused with places inside the file.
func FuzzDocument(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*.yml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(src))
	}
	for _, c := range wrong {
		f.Add(c.src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		d, err := parse(t, "r.yml", src)
		if err != nil {
			for _, p := range err.(*recipe.DocumentError).Problems {
				if p.Line < 1 || p.Column < 1 || p.Message == "" {
					t.Errorf("%+v", p)
				}
			}
			if !strings.HasPrefix(err.Error(), "r.yml:") {
				t.Error(err)
			}
			return
		}
		d.Models()
		d.Unused(func(slice, source int) []string { return []string{"layers.1.mlp"} })
		for i, s := range d.Slices {
			d.Flag("normalize", i, "layers.1.mlp", 0.3)
			if v, ok := d.Value("t", i, "layers.1.mlp", 0.3); ok && math.IsNaN(v) {
				t.Error("t is NaN")
			}
			for j := range s.Sources {
				d.SourceValue("weight", i, j, "layers.1.mlp", 0.3)
				d.SourceValue("scale", i, j, "layers.1.mlp", 0.3)
			}
		}
	})
}
