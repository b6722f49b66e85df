package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
)

const recipeText = "merge_method: linear\nmodels:\n  - model: a\n    parameters: {weight: 0.3}\n  - model: b\n    parameters: {weight: 0.7}\ndtype: float32 # <&>\u2028 \n"

// recordOf writes a record as Provenance does, with lines for two tensors.
func recordOf(t testing.TB, r recipe.Recipe, parents ...provParent) []byte {
	t.Helper()
	v := provenance{Tool: "slerpmerge", Version: "v1", Recipe: provRecipeOf(&r), Parents: parents,
		Output: provOutput{Format: string(r.Format), Companions: []string{"tokenizer.json"}}}
	v.Schema = schemaOf(v.Recipe, &r)
	head, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.TrimSuffix(head, []byte("\n}")),
		",\n  \"tensors\": [\n    {\"name\":\"a\",\"branch\":\"slerp\",\"t\":0.5,\"cos\":0.25,\"norm_primary\":1.5},\n    {\"name\":\"b\",\"branch\":\"copy\"}\n  ]\n}\n"...)
}

func merged(change func(*recipe.Recipe)) recipe.Recipe {
	return complete(recipe.Pair(method.SlerpMethod{}, "a", "b", recipe.Setting{{Values: []float64{0.5}}}), change)
}

func complete(r recipe.Recipe, change func(*recipe.Recipe)) recipe.Recipe {
	r.Format, r.ShardSize = recipe.Safetensors, 5e9
	r.Missing, r.NonFinite, r.Tokenizer, r.Vocab = recipe.MissingCopy, recipe.NonFiniteError, recipe.TokenizerPrimary, recipe.VocabError
	if change != nil {
		change(&r)
	}
	return r
}

func documented(t testing.TB, change func(*recipe.Recipe)) recipe.Recipe {
	d, err := recipe.Parse("dir/recipe.yml", []byte(recipeText), method.All())
	if err != nil {
		t.Fatal(err)
	}
	return complete(*d, change)
}

// byFlags is a linear merge by flags.
func byFlags(t testing.TB, l recipe.Line) recipe.Recipe {
	l.Rules, l.Methods = method.LinearMethod{}, method.All()
	r, err := l.Recipe()
	if err != nil {
		t.Fatal(err)
	}
	return complete(r, nil)
}

func converted(d recipe.DType, shard int64) recipe.Recipe {
	r := recipe.Conversion("a")
	r.DType, r.Format, r.ShardSize = d, recipe.Bin, shard
	return r
}

func two() []provParent { return []provParent{{Path: "a"}, {Path: "b"}} }

// All that decides bytes comes back from a record as it was.
func TestRecordRoundTrip(t *testing.T) {
	for name, c := range map[string]struct {
		r       recipe.Recipe
		parents []provParent
	}{
		"plain": {merged(nil), two()},
		"all": {merged(func(r *recipe.Recipe) {
			r.Set("t", recipe.Setting{{Filter: `self_attn"<\`, Values: []float64{0, 1.0 / 3, math.Nextafter(1, 0), 1e-300}}, {Filter: "ü", Values: []float64{5e-324}}, {Values: []float64{-1.5}}})
			r.Extrapolate, r.DType, r.Format, r.ShardSize = true, recipe.DType{To: tensor.BF16}, recipe.Bin, 1
			r.Missing, r.NonFinite, r.Tokenizer, r.Vocab = recipe.MissingZero, recipe.NonFiniteWarn, recipe.TokenizerSeed, recipe.VocabGradient
		}), two()},
		"seed": {merged(func(r *recipe.Recipe) {
			r.DType = recipe.DType{To: tensor.F32}
			r.Vocab, r.Missing, r.Tokenizer = recipe.VocabZero, recipe.MissingZero, recipe.TokenizerSeed
		}), two()},
		"flags of a method": {byFlags(t, recipe.Line{Models: []string{"a", "b", "c"}, Base: "b", Values: []recipe.Value{
			{Flag: "weight", Text: "2:mlp=0.1,0.2"}, {Flag: "weight", Text: "0.3"}, {Flag: "normalize", Text: "false"}}}),
			[]provParent{{Path: "b"}, {Path: "a"}, {Path: "c"}}},
		"a base apart": {byFlags(t, recipe.Line{Models: []string{"a", "b"}, Base: "c", Seed: 7, Values: []recipe.Value{{Flag: "weight", Text: "1"}}}),
			[]provParent{{Path: "c"}, {Path: "a"}, {Path: "b"}}},
		"no base":                {byFlags(t, recipe.Line{Models: []string{"a", "b"}, Values: []recipe.Value{{Flag: "weight", Text: "1"}}}), two()},
		"a document with a seed": {documented(t, func(r *recipe.Recipe) { r.Seed, r.DType = 1<<64-1, recipe.DType{To: tensor.F32} }), two()},
		"convert":                {converted(recipe.DType{To: tensor.F16}, 7), []provParent{{Path: "a"}}},
		"document":               {documented(t, func(r *recipe.Recipe) { r.DType = recipe.DType{To: tensor.F64} }), two()},
	} {
		v, err := readRecord(bytes.NewReader(recordOf(t, c.r, c.parents...)), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := v.recipe()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.r.FromFile() {
			if got.Name != "recipe.yml" {
				t.Errorf("%s: the file is called %q", name, got.Name)
			}
			got.Name = c.r.Name
		}
		if !reflect.DeepEqual(got, c.r) {
			t.Errorf("%s:\n%+v, want\n%+v", name, got, c.r)
		}
		if v.Version != "v1" || !reflect.DeepEqual(v.Output.Companions, []string{"tokenizer.json"}) {
			t.Errorf("%s: %+v", name, v)
		}
	}
	// A filter that no name can have is not kept in another form.
	r := merged(func(r *recipe.Recipe) {
		r.Set("t", recipe.Setting{{Filter: "\xff", Values: []float64{0.1}}, {Values: []float64{0.2}}})
	})
	v, err := readRecord(bytes.NewReader(recordOf(t, r, two()...)), nil)
	if err != nil || len(v.Recipe.T) != 1 || v.Recipe.T[0].Values[0] != 0.2 {
		t.Errorf("%+v, %v", v.Recipe, err)
	}
}

// refused are changes to a good record, and a part of what is said of them.
var refused = []struct{ from, to, want string }{
	{`"schema": 1,`, `"schema": 3,`, "has schema 3"},
	{`"schema": 1,`, ``, `"schema" must come first`},
	{`"schema": 1,`, `"schema": 1, "schema": 1,`, "schema"},
	{`"schema": 1,`, `"schema": "1",`, "schema"},
	{`"schema": 1`, `"schema": 1.5`, "schema"},
	{`"tool": "slerpmerge",`, ``, `"tool" is missing`},
	{`"version": "v1",`, `"version": 1,`, "version"},
	{`"version": "v1",`, `"version": "v1", "version": "v2",`, "version"},
	{`"shard_size": 5000000000`, `"shard_size": 0`, "shard-size"},
	{`"shard_size": 5000000000`, `"shard_size": 5e99`, "shard_size"},
	{`"dtype": "auto"`, `"dtype": "int8"`, "element type"},
	{`"dtype": "auto"`, `"dtype": "auto", "seed": 1`, "seed"},
	{`"dtype": "auto"`, `"DType": "auto"`, "DType"},
	{`"merge_method": "slerp"`, `"merge_method": "tiles"`, "no method tiles is known"},
	{`"merge_method": "slerp"`, `"merge_method": "convert"`, "no t, no document and no policies"},
	{`"merge_method": "slerp"`, `"merge_method": "linear"`, "method linear"},
	{`"missing": "copy"`, `"missing": "drop"`, "policies"},
	{`"vocab": "error"`, `"vocab": ""`, "policies"},
	{`"nonfinite": "error"`, `"nonfinite": "no"`, "policies"},
	{`"tokenizer": "primary"`, `"tokenizer": "other"`, "policies"},
	{`"tokenizer": "primary"`, `"tokenizer": "primary", "document": "x: ["`, "document: "},
	{`"tokenizer": "primary"`, `"tokenizer": "primary", "document": "merge_method: slerp\nbase_model: a\nmodels: [{model: a}, {model: b}]\nparameters: {t: 0}\n"`, "belong in the document"},
	{`0.5`, `1.5`, "outside 0"},
	{`0.5`, `1e999`, "t"},
	{`0.5`, ``, "a rule of t without values"},
	{`"format": "safetensors"`, `"format": "gguf"`, "no format gguf"},
	{`"path": "b"`, `"path": 7`, "path"},
	{`"path": "b",`, "\"path\": \"\xff\",", "UTF-8"},
	{`"branch":"copy"`, `"branch":"copy","branch":"copy"`, "branch"},
	{`"cos":0.25`, `"cos":"x"`, "cos"},
	{`{"name":"b"`, `7, {"name":"b"`, "tensors: tensor 1"},
	{"\"tensors\": [", "\"tensors\": {}, \"t\": [", "not an array"},
	{"]\n}\n", "]\n} {}", "follows"},
	{"]\n}\n", "]\n", "EOF"},
	{"]\n}\n", "", "EOF"},
}

// refusedLines are changes to a record of flags of a method.
var refusedLines = []struct{ from, to, want string }{
	{`"schema": 2,`, `"schema": 1,`, "schema 1 has no seed"},
	{`"base": 2`, `"base": 4`, "no parent can be the base"},
	{`"base": 2`, `"base": -1`, "no parent can be the base"},
	{`"name": "weight"`, `"name": "density"`, "linear has no parameter density there"},
	{`"model": 3`, `"model": 4`, "there is no model 4"},
	{`0.25`, ``, "a rule of weight without values"},
	{`"merge_method": "linear"`, `"merge_method": "slerp"`, "no t for method slerp"},
	{`"merge_method": "linear"`, `"merge_method": "convert"`, "a conversion has no t"},
	{`"path": "c"`, `"path": "a"`, "stands twice"},
	{`"dtype": "auto"`, `"dtype": "auto", "document": "merge_method: linear\nmodels: [{model: a}]\nparameters: {weight: 1}\n"`, "belong in the document"},
}

func TestRecordRefused(t *testing.T) {
	of := string(recordOf(t, byFlags(t, recipe.Line{Models: []string{"a", "b", "c"}, Base: "b", Values: []recipe.Value{{Flag: "weight", Text: "3:0.25"}, {Flag: "weight", Text: "0.5"}}}),
		provParent{Path: "b"}, provParent{Path: "a"}, provParent{Path: "c"}))
	for _, c := range refusedLines {
		if !strings.Contains(of, c.from) {
			t.Fatalf("%q is not in the record:\n%s", c.from, of)
		}
		v, err := readRecord(strings.NewReader(strings.Replace(of, c.from, c.to, 1)), nil)
		if err == nil {
			_, err = v.recipe()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: error %v, want %q", c.to, c.from, err, c.want)
		}
	}

	good := string(recordOf(t, merged(nil), two()...))
	for _, c := range refused {
		if !strings.Contains(good, c.from) {
			t.Fatalf("%q is not in the record:\n%s", c.from, good)
		}
		text := strings.Replace(good, c.from, c.to, 1)
		v, err := readRecord(strings.NewReader(text), nil)
		if err == nil {
			_, err = v.recipe()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: error %v, want %q", c.to, c.from, err, c.want)
		}
	}
	for _, n := range []int{1, 3} {
		v, err := readRecord(bytes.NewReader(recordOf(t, merged(nil), make([]provParent, n)...)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.recipe(); err == nil {
			t.Errorf("%d parents of a pair are accepted", n)
		}
	}
	// What a later version adds outside of the recipe is no obstacle.
	for _, more := range []string{`"new": {"a": [1]},`, `"later": 3,`} {
		if _, err := readRecord(strings.NewReader(strings.Replace(good, `"tool"`, more+` "tool"`, 1)), nil); err != nil {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// A record can't fill the memory, however long it is; its tensors may be many.
func TestRecordLimits(t *testing.T) {
	good := string(recordOf(t, merged(nil), two()...))
	for _, c := range []struct{ from, to string }{
		{`"slerpmerge"`, `"` + strings.Repeat("x", maxHead) + `"`},
		{`"tool"`, `"warnings": [` + strings.Repeat(`"x",`, maxHead/4) + `"x"], "tool"`},
		{`"branch":"copy"`, `"why":"` + strings.Repeat("x", 2*maxLine) + `"`},
	} {
		if _, err := readRecord(strings.NewReader(strings.Replace(good, c.from, c.to, 1)), nil); !errors.Is(err, errAllowance) {
			t.Errorf("%.20q: error %v", c.to, err)
		}
	}
	line := `{"name":"b","branch":"copy","why":"` + strings.Repeat("x", maxLine/2) + `"},`
	many := strings.Replace(good, `{"name":"b"`, strings.Repeat(line, 40)+`{"name":"b"`, 1)
	n := 0
	if _, err := readRecord(strings.NewReader(many), func(i int, l *provTensor) error { n++; return nil }); err != nil || n != 42 {
		t.Errorf("%d tensors, error %v", n, err)
	}
}

func TestOpenRecord(t *testing.T) {
	dir := t.TempDir()
	var unusable *model.UnusableError
	var format *model.FormatError
	if _, err := OpenRecord(filepath.Join(dir, "absent")); !errors.As(err, &unusable) {
		t.Errorf("no folder: %v", err)
	}
	if _, err := OpenRecord(dir); !errors.As(err, &unusable) || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("no record: %v", err)
	}
	path := filepath.Join(dir, ProvenanceName)
	put := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	put("{}")
	if _, err := OpenRecord(dir); !errors.As(err, &format) {
		t.Errorf("a bad record: %v", err)
	}
	put(`{"schema": 9, "recipe": 7}`)
	if _, err := OpenRecord(dir); !errors.As(err, &unusable) || unusable.Hint == "" {
		t.Errorf("a later schema: %v", err)
	}
	put(string(recordOf(t, merged(nil), two()...)))
	rec, err := OpenRecord(dir)
	if err != nil || !reflect.DeepEqual(rec.Parents(), []string{"a", "b"}) || rec.Version() != "v1" {
		t.Errorf("%+v, %v", rec, err)
	}
}

func TestChanged(t *testing.T) {
	was := provParent{Format: "safetensors", Config: "c", Files: []provFile{{"x", 5, "h"}, {"y", 6, "i"}}}
	for _, c := range []struct {
		change func(*provParent)
		want   string
	}{
		{func(p *provParent) {}, ""},
		{func(p *provParent) { p.Path, p.Role = "elsewhere", "other" }, ""},
		{func(p *provParent) { p.Files[0].Name = "renamed" }, ""}, // a parent that is one file
		{func(p *provParent) { p.Format = "torch-zip" }, "it was safetensors and is torch-zip"},
		{func(p *provParent) { p.Files = p.Files[:1] }, "it had 2 weight files and has 1"},
		{func(p *provParent) { p.Files[1].Bytes++ }, "y had 6 bytes and has 7"},
		{func(p *provParent) { p.Files[1].Header = "j" }, "the header of y is another"},
		{func(p *provParent) { p.Config = "" }, "its config.json is another"},
	} {
		now := was
		now.Files = append([]provFile{}, was.Files...)
		c.change(&now)
		if got := was.changed(&now); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	// Records of before had no hash for some things.
	old := provParent{Format: "torch-zip", Files: []provFile{{"x", 5, ""}}}
	now := provParent{Format: "torch-zip", Config: "c", Files: []provFile{{"x", 5, "h"}}}
	if got := old.changed(&now); got != "" {
		t.Errorf("%q", got)
	}
}

func TestDrifts(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, ProvenanceName), recordOf(t, merged(nil), two()...), 0o666); err != nil {
		t.Fatal(err)
	}
	rec, err := OpenRecord(dir)
	if err != nil {
		t.Fatal(err)
	}
	planOf := func(names ...string) *plan.Plan {
		p := &plan.Plan{}
		for _, name := range names {
			p.Tensors = append(p.Tensors, plan.Tensor{Info: tensor.Info{Name: name}})
		}
		return p
	}
	for _, c := range []struct {
		now  engine.TensorResult
		want []Drift
	}{
		{engine.TensorResult{Measured: true, Cos: 0.25, NormA: 1.5, NormB: 7}, nil}, // the record has no norm of the secondary
		{engine.TensorResult{Measured: true, Cos: 0.25, NormA: 2}, []Drift{{"a", "norm_primary", 1.5, 2}}},
		{engine.TensorResult{Measured: true, Cos: math.NaN(), NormA: 1.5}, []Drift{{"a", "cos", 0.25, math.NaN()}}},
		{engine.TensorResult{Cos: 3}, nil},
	} {
		list, drifted, err := rec.Drifts(planOf("a", "b"), []engine.TensorResult{c.now, {Measured: true, NormA: 9}}, 5)
		if err != nil || fmt.Sprint(list) != fmt.Sprint(c.want) || len(drifted) != 2 || drifted[0] != (c.want != nil) || drifted[1] {
			t.Errorf("%+v: %v, %v, %v", c.now, list, drifted, err)
		}
	}
	if list, drifted, err := rec.Drifts(planOf("a", "b"), []engine.TensorResult{{Measured: true}, {}}, 0); err != nil || len(list) != 0 || !drifted[0] {
		t.Errorf("none to be named: %v, %v, %v", list, drifted, err)
	}
	for _, names := range [][]string{{"a"}, {"a", "c"}, {"a", "b", "c"}} {
		var other *OtherTensorsError
		if _, _, err := rec.Drifts(planOf(names...), make([]engine.TensorResult, 3), 5); !errors.As(err, &other) {
			t.Errorf("%q: error %v", names, err)
		}
	}
}

// An accepted record gives a recipe that can be written down again and read as
// the same; what is refused is refused soon and in a line.
func FuzzReadRecord(f *testing.F) {
	f.Add(recordOf(f, merged(nil), two()...))
	f.Add(recordOf(f, documented(f, nil), two()...))
	f.Add(recordOf(f, converted(recipe.DType{Auto: true}, 1), provParent{Path: "a", Files: []provFile{{"x", 1, "y"}}}))
	good := string(recordOf(f, merged(nil), two()...))
	for _, c := range refused {
		f.Add([]byte(strings.Replace(good, c.from, c.to, 1)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		v, err := readRecord(bytes.NewReader(b), nil)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%d bytes took %v", len(b), d)
		}
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatal("accepted, but no JSON")
		}
		r, err := v.recipe()
		if err != nil {
			return
		}
		again, err := readRecord(bytes.NewReader(recordOf(t, r, v.Parents...)), nil)
		if err != nil {
			t.Fatalf("rewritten it is refused: %v", err)
		}
		s, err := again.recipe()
		if err != nil {
			t.Fatalf("rewritten its recipe is refused: %v", err)
		}
		if !reflect.DeepEqual(r, s) {
			t.Errorf("%+v became %+v", r, s)
		}
	})
}
