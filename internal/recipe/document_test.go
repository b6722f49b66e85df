package recipe_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
)

// pair is the start of most recipes here.
const pair = `models:
  - model: a
  - model: b
base_model: a
`

// spell writes problems as "line:column message".
func spell(problems []recipe.Problem) []string {
	var s []string
	for _, p := range problems {
		s = append(s, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Message))
	}
	return s
}

// Recipes with something wrong, and the start of every problem.
var wrong = []struct {
	name, src string
	want      []string
}{
	{"syntax", "models: [a\nmerge_method: slerp\n", []string{"2:13 this is not YAML: "}},
	{"tab", "models:\n\t- model: a\n", []string{"2:1 this is not YAML: "}},
	{"unknown alias", "base_model: *x\n", []string{"1:13 this is not YAML: unknown anchor"}},
	{"empty", "# nothing\n", []string{"1:1 the file is empty"}},
	{"null", "~\n", []string{"1:1 a recipe is a mapping of keys to values, not nothing"}},
	{"list", "- a\n", []string{"1:1 a recipe is a mapping of keys to values, not a list"}},
	{"two documents", pair + "merge_method: linear\n---\nx: 1\n", []string{"6:1 a second document starts here"}},
	{"not UTF-8", "a: \xff\n", []string{"1:1 the file is not text in UTF-8"}},

	{"unknown keys", pair + "merge_method: slerp\nparamaters: {t: 0.5}\nDtype: float16\nquux: 1\n", []string{
		`5:15 slerp needs t`,
		`6:1 unknown key "paramaters", did you mean "parameters"?`,
		`7:1 unknown key "Dtype", did you mean "dtype"?`,
	}},
	{"revision of a model", "merge_method: passthrough\nmodels: [{model: a, revision: v1}]\n", []string{`2:21 key "revision" is not read here, nor by mergekit; a revision belongs to its model: write model: NAME@REVISION`}},
	{"revision of a source", "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0, 1], revision: v1}]}]\n", []string{`2:53 key "revision" is not read here`}},
	{"method of a slice", "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0, 1]}], merge_method: linear}]\n", []string{`2:55 merge_method in a slice does nothing, and it differs from the file's`}},
	{"known key twice", "merge_method: passthrough\nmodels: [{model: a}]\ndtype: float16\ndtype: float32\n", []string{`4:1 key "dtype" is already on line 3`}},
	{"backslash that is an escape", `models: [{model: "D:\Uni\models"}]`, []string{`1:23 this is not YAML: did not find expected hexadecimal number (while scanning a quoted scalar); in double quotes a backslash`}},
	{"backslash before m", `models: [{model: "D:\models\a"}]`, []string{`1:21 this is not YAML: found unknown escape character (while scanning a quoted scalar); in double quotes a backslash`}},
	{"backslash that makes a line break", "merge_method: passthrough\nmodels: [{model: \"D:\\new\\table\"}]\n", []string{`2:18 the path "D:\new\table" has control characters; in double quotes`}},
	{"parameter at the top", pair + "merge_method: slerp\nt: 0.5\n", []string{`5:15 slerp needs t`, `6:1 key "t" is outside of parameters, where it does nothing, as in mergekit; put it under "parameters"`}},
	{"pattern", pair + "merge_method: slerp\nparameters:\n  t:\n    - pattern: mlp\n      value: 1\n", []string{
		`8:7 unknown key "pattern"; an entry of t has filter and value`}},
	{"duplicate", pair + "merge_method: slerp\nparameters:\n  t: 0.5\n  t: 0.7\n", []string{`8:3 key "t" is already on line 7`}},
	{"key that is a list", pair + "merge_method: slerp\n[a]: b\nparameters: {t: 1}", []string{`6:1 a key is text, not a list`}},

	{"no method", pair + "parameters: {t: 1}\n", []string{`1:1 merge_method is missing; it is slerp, linear`}},
	{"unknown method", pair + "merge_method: Slerp\n", []string{`5:15 unknown method "Slerp", did you mean "slerp"?`}},
	{"alien method", pair + "merge_method: frobnicate\n", []string{`5:15 unknown method "frobnicate"; merge_method is slerp, linear`}},
	{"method number", pair + "merge_method: 1\n", []string{`5:15 merge_method is text, and 1 is not read as text; write it in quotes: "1"`}},

	{"nothing to merge", "merge_method: slerp\nbase_model: a\nparameters: {t: 1}\n", []string{`1:1 nothing says what to merge`}},
	{"no models", "merge_method: linear\nmodels: []\n", []string{`2:9 models is empty`}},
	{"models as text", "merge_method: linear\nmodels: a\n", []string{`2:9 models is a list, not the text "a"`}},
	{"models as names", "merge_method: linear\nmodels: [a]\n", []string{`2:10 an entry of models is a mapping of keys to values, not the text "a"`}},
	{"no model", "merge_method: linear\nmodels:\n  - parameters: {weight: 1}\n", []string{`3:5 the entry names no model`}},
	{"range under models", "merge_method: passthrough\nmodels:\n  - model: a\n    layer_range: [0, 2]\n", []string{`4:5 layer_range has no place under models`}},
	{"modules alike", "merge_method: passthrough\nmodules:\n  text: {models: [{model: a}]}\n  text: {models: [{model: a}]}\n", []string{`4:3 key "text" is already on line 3`}},
	{"modules without t", pair[:0] + "merge_method: slerp\nbase_model: a\nmodules:\n  text: {models: [{model: a}, {model: b}]}\n  vision: {models: [{model: a}, {model: b}], parameters: {t: 1}}\n", []string{`4:18 slerp needs t, and neither this slice nor the file has it`}},
	{"module of both", "merge_method: passthrough\nmodules:\n  text:\n    models: [{model: a}]\n    slices: [{sources: [{model: b, layer_range: [0, 1]}]}]\n", []string{
		`5:5 "slices" and "models" exclude each other; a module has exactly one of models and slices`}},

	{"one model", "merge_method: slerp\nbase_model: a\nmodels: [{model: a}]\nparameters: {t: 1}\n", []string{`3:10 slerp merges two models, and here is one`}},
	{"third base", "merge_method: slerp\nbase_model: c\nmodels: [{model: a}, {model: b}]\nparameters: {t: 1}\n", []string{`2:13 slerp merges two models, and base_model "c" is a third`}},
	{"base elsewhere", "merge_method: slerp\nbase_model: c\nslices: [{sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]}]\nparameters: {t: 1}\n", []string{
		`3:21 base_model "c" is not among the sources of this slice`}},
	{"same twice", "merge_method: linear\nmodels: [{model: a}, {model: a}]\nparameters: {weight: 1}\n", []string{`2:30 "a" stands twice in one slice`}},
	{"no t in a slice", `merge_method: slerp
base_model: a
slices:
  - sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]
    parameters: {t: 1}
  - sources: [{model: a, layer_range: [0, 1]}, {model: b, layer_range: [0, 1]}]
`, []string{`6:5 slerp needs t, and neither this slice nor the file has it`}},
	{"empty t", pair + "merge_method: slerp\nparameters: {t: []}\n", []string{`5:15 slerp needs t`}},
	{"no weight", "merge_method: linear\nmodels: [{model: a, parameters: {weight: 1}}, {model: b}]\n", []string{`2:55 linear needs a weight for every model, and there is none for "b"`}},
	{"no weight of base", "merge_method: linear\nbase_model: c\nmodels: [{model: a, parameters: {weight: 1}}]\n", []string{`2:13 linear needs a weight for every model, and there is none for "c", which`}},
	{"two passed through", "merge_method: passthrough\nmodels: [{model: a}, {model: b}]\n", []string{`2:30 passthrough takes one model in a slice, and "b" is a second`}},
	{"base passed through", "merge_method: passthrough\nbase_model: c\nmodels: [{model: a}]\n", []string{`2:13 passthrough takes one model, and base_model`}},

	{"layer ranges", `merge_method: passthrough
slices:
  - sources: [{model: a, layer_range: [4, 2]}]
  - sources: [{model: a, layer_range: [-1, 2]}]
  - sources: [{model: a, layer_range: [0, 1.5]}]
  - sources: [{model: a, layer_range: [0, 1, 2]}]
  - sources: [{model: a, layer_range: 3}]
  - sources: [{model: a}]
  - sources: []
  - {}
  - sources: [{model: a, layer_range: [3, 3]}]
`, []string{
		`3:39 layer_range [4, 2] is reversed`,
		`4:40 layer_range has no negative layers`,
		`5:43 layer_range has two integers, not the number "1.5"`,
		`6:39 layer_range is a list of two integers`,
		`7:39 layer_range is a list of two integers`,
		`8:15 the source has no layer_range`,
		`9:5 the slice has no sources`,
		`10:5 the slice has no sources`,
		`11:39 layer_range [3, 3] has no layers, since the last is excluded; [3, 4] is layer 3`,
	}},
	{"unequal lengths", "merge_method: linear\nparameters: {weight: 1}\nslices: [{sources: [{model: a, layer_range: [0, 4]}, {model: b, layer_range: [0, 3]}]}]\n", []string{
		`3:78 layer_range [0, 3] has 3 layers and that of "a" has 4`}},

	{"t that makes NaN", pair + "merge_method: slerp\nparameters: {t: [.nan, -.inf, 1e+301, '1e400', 1e400, nan]}\n", []string{
		`6:18 ".nan" can't be t: it would make the output NaN; t is a finite number of at most 1e+300`,
		`6:24 "-.inf" can't be t`,
		`6:31 "1e+301" can't be t`,
		`6:39 "1e400" can't be t`,
		`6:48 "1e400" can't be t`,
		`6:55 t is a number or a list of numbers, not the text "nan"`,
	}},

	{"models", `merge_method: linear
parameters: {weight: 1}
models:
  - model: a+b
  - model: a@b@c
  - model: a@
  - model: ""
  - model: 7
  - model: {model: a, lora: b}
  - model: {path: a}
  - model: {model: {revision: main}}
  - model: [a]
`, []string{
		`4:12 adapters (LoRA) can't be merged here`,
		`5:12 "a@b@c" has more than one @`,
		`6:12 "a@" has no revision after the @`,
		`7:12 the model has no name`,
		`8:12 a model is text, and 7 is not read as text; write it in quotes: "7"`,
		`9:29 adapters (LoRA) can't be merged here`,
		`10:12 the mapping names no model`,
		`10:13 unknown key "path"`,
		`11:20 the mapping names no path`,
		`12:12 a model is text, not a list`,
	}},

	{"types", pair + `merge_method: slerp
dtype: fp16
out_dtype: int64
parameters:
  t:
    - filter: mlp
      value: [0, x]
    - filter: 1
      value: {a: b}
    - value: .nan
    - 0.5
    - filter: x
`, []string{
		`6:8 unknown dtype "fp16", did you mean "float16"?`,
		`7:12 weights can't be merged as int64`,
		`11:18 t is a number or a list of numbers, not the text "x"`,
		`12:15 a filter is text, and 1 is not read as text`,
		`13:14 t is a number or a list of numbers, not a mapping`,
		`14:14 ".nan" can't be t`,
		`15:7 t is a list of numbers or a list of entries with filter and value, not both`,
		`16:7 the entry of t has no value`,
	}},
	{"more dtypes", "merge_method: linear\nparameters: {weight: 1, normalize: 2}\nmodels: [{model: a}]\ndtype: bflaot16\nout_dtype: auto\n", []string{
		`2:36 normalize is true or false, not the number "2"`,
		`4:8 unknown dtype "bflaot16", did you mean "bfloat16"?`,
		`5:12 a recipe has no dtype "auto"`,
	}},

	{"tokenizers", "merge_method: passthrough\nmodels: [{model: a}]\ntokenizer_source: union\ntokenizer: {source: base}\n", []string{`4:1 tokenizer_source and tokenizer say the same thing`}},
	{"tokens", `merge_method: passthrough
models: [{model: a}]
chat_template: chatml2
tokenizer:
  sorce: base
  pad_to_multiple_of: -1
  tokens:
    1: {source: a}
    x: a
    y: {source: {kind: zeros}, force: 3}
    z: {source: {kind: model_token, token_id: 1, token: b}}
`, []string{
		`3:16 unknown chat template "chatml2", did you mean "chatml"?`,
		`5:3 unknown key "sorce", did you mean "source"?`,
		`6:23 pad_to_multiple_of is an integer from 0, not the number "-1"`,
		`8:5 a token is text; write it in quotes: "1"`,
		`9:8 the entry of a token is a mapping of keys to values, not the text "a"`,
		`10:17 a token's source is a model, kind: zero or kind: model_token`,
		`10:39 force is true or false, not the number "3"`,
		`11:17 a source of kind model_token names a model`,
		`11:17 a source of kind model_token has exactly one of token_id and token`,
	}},
	{"merge key", pair + "merge_method: slerp\n<<: 1\nparameters: {t: 1}\n", []string{`6:5 "<<" takes a mapping or a list of mappings, not the number "1"`}},
	{"tag", pair + "merge_method: !foo slerp\n", []string{`5:15 merge_method is text, not the tag "!foo"`}},
	{"loop", "models: &x [*x]\n", []string{`1:13 alias "x" stands for something that it is a part of`}},
}

func TestProblems(t *testing.T) {
	for _, c := range wrong {
		t.Run(c.name, func(t *testing.T) {
			d, err := parse(t, "r.yml", c.src)
			if err == nil {
				t.Fatalf("no error: %+v", d)
			}
			got := spell(err.(*recipe.DocumentError).Problems)
			if !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      []string
	}{
		{"t under a source", "models:\n  - model: a\n    parameters: {t: 0.1}\n  - model: b\nbase_model: a\nmerge_method: slerp\nparameters: {t: 0.5}\n", []string{
			`3:18 t under a model is never read`}},
		{"inert", pair + "merge_method: slerp\nparameters: {t: 0.5, int8_mask: true, normalize: false, T: 1, foo: {bar: 1}}\n", []string{
			`6:22 int8_mask does nothing for slerp, which reads t alone`,
			`6:39 normalize does nothing for slerp`,
			`6:57 unknown parameter "T", did you mean "t"? It does nothing`,
			`6:63 unknown parameter "foo" does nothing; slerp reads t`,
		}},
		{"range", pair + "merge_method: slerp\nparameters: {t: [-0.5, 1.5, yes]}\n", []string{
			`6:18 t = -0.5 is outside 0 (base_model) to 1`, `6:24 t = 1.5 is outside`, `6:29 yes counts as 1 for t`}},
		{"never", pair + "merge_method: slerp\nparameters:\n  t:\n    - value: 1\n    - filter: mlp\n      value: []\n", []string{`9:7 this entry of t is never used`}},
		{"constants", "factor: &f 0.5\nfactor: &m a\nx-block: &b {parameters: {scale: *f}}\nmerge_method: passthrough\nmodels: [{model: *m, <<: *b}]\n", []string{
			`2:1 key "factor" has no meaning in a recipe and is ignored, as in mergekit`, `3:1 key "x-block" has no meaning`}},
		{"a parameter at the top", pair + "merge_method: slerp\nparameters: {t: 0.5}\nint8_mask: true\n", []string{`7:1 key "int8_mask" is outside of parameters, where it does nothing, as in mergekit`}},
		{"constants with names of their own", "MODEL: &m a\nT: &t 0.5\nmerge_method: slerp\nbase_model: *m\nmodels: [{model: *m}, {model: b}]\nparameters: {t: *t}\n", []string{
			`1:1 key "MODEL" has no meaning in a recipe`, `2:1 key "T" has no meaning`}},
		{"method of a slice", "merge_method: passthrough\nslices: [{sources: [{model: a, layer_range: [0, 1]}], merge_method: passthrough}]\n", []string{
			`2:55 merge_method in a slice does nothing; the file's is the same`}},
		{"old spelling", "merge_method: passthrough\nmodels: [{model: a}]\ntokenizer_source: model:a\n", []string{
			`3:19 model: before the name is an old spelling; write tokenizer_source: a`}},
		{"residual", "merge_method: passthrough\nslices:\n  - sources: [{model: {model: a, override_architecture: x}, layer_range: [0, 1]}]\n    residual_weight: 0.1\n", []string{
			`3:34 override_architecture does nothing here`, `4:5 residual_weight does nothing`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := parse(t, "r.yml", c.src)
			if err != nil {
				t.Fatal(err)
			}
			if got := spell(d.Warnings); !slices.EqualFunc(got, c.want, strings.HasPrefix) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestDocument(t *testing.T) {
	d, err := parse(t, "r.yml", `
# anchors, merge keys, mappings, 25e-2, a module, a single mapping for t
name: ignored
merge_method: slerp
base_model: &a {model: {path: "./a+b@c", revision: main}}
modules:
  default:
    slices:
      - sources:
          - &first
            model: *a
            layer_range: [0, 4]
          - <<: *first
            model: org/b@v1
        base_model: org/b@v1
      - sources: [{<<: [{layer_range: ["4", 6.0]}, *first], model: *a}, {model: org/b@v1, layer_range: [4, 6]}]
    parameters:
      t: {filter: mlp, value: 25e-2}
parameters: {t: [.5, 1_0e-1, 0b1]}
dtype: torch.bfloat16
out_dtype: float32
tokenizer:
  source: org/c
  pad_to_multiple_of: 64
  tokens:
    <x>: {source: {kind: zero}}
    <y>: {source: {kind: model_token, model: *a, token_id: 7}, force: true}
    <z>: {source: org/b@v1}
chat_template: |
  {% for message in messages %}{{ message }}{% endfor %}
`)
	if err != nil {
		t.Fatal(err)
	}
	a, b := recipe.ModelRef{Path: "./a+b@c", Revision: "main"}, recipe.ModelRef{Path: "org/b", Revision: "v1"}
	if d.Method != "slerp" || !d.Base.Same(a) || len(d.Modules) != 1 || d.Modules[0].Name != "default" || len(d.Slices) != 2 || d.Cast.To != tensor.BF16 || d.OutDType.To != tensor.F32 || d.OutDType.Auto {
		t.Errorf("%+v", d)
	}
	if s := d.Slices[0]; s.Base != 1 || !s.Sources[0].Model.Same(a) || !s.Sources[1].Model.Same(b) || s.Sources[1].Layers.To != 4 {
		t.Errorf("%+v", s)
	}
	if s := d.Slices[1]; s.Base != 0 || s.Sources[0].Layers.From != 4 || s.Sources[0].Layers.Len() != 2 {
		t.Errorf("%+v", s)
	}
	for _, c := range []struct {
		tensor  string
		p, want float64
	}{{"x.mlp", 0, 0.25}, {"x", 0, 0.5}, {"x", 0.5, 1}, {"x", 1, 1}} {
		if got, ok := d.Value("t", 0, c.tensor, c.p); got != c.want || !ok {
			t.Errorf("t of %s at %v: %v, %v", c.tensor, c.p, got, ok)
		}
	}
	v := d.Vocabulary
	if !v.Model.Same(recipe.ModelRef{Path: "org/c"}) || v.PadTo != 64 || len(v.Tokens) != 3 || !v.Tokens[0].Zero ||
		*v.Tokens[1].FromID != 7 || !v.Tokens[1].Force || !v.Tokens[1].Model.Same(a) || !v.Tokens[2].Model.Same(b) {
		t.Errorf("%+v", v)
	}
	if !strings.HasPrefix(d.ChatTemplate, "{%") || len(d.Models()) != 2 {
		t.Errorf("%q %v", d.ChatTemplate, d.Models())
	}
	if got := d.Reject(recipe.Problem{Pos: d.Slices[0].Sources[1].Layers.Pos, Message: "beyond"}).Error(); !strings.HasPrefix(got, "r.yml:12:26: beyond\n   12 |             layer_range: [0, 4]\n") {
		t.Error(got)
	}
}

// Precedence and defaults of linear and passthrough (mergekit 0.1.5, merge_methods).
func TestLevels(t *testing.T) {
	d, err := parse(t, "r.yml", `
merge_method: linear
slices:
  - sources:
      - {model: a, layer_range: [0, 2], parameters: {weight: [{filter: layers.0, value: 2}]}}
      - {model: b, layer_range: [4, 6]}
    parameters: {weight: {filter: mlp, value: 3}}
  - sources: [{model: a, layer_range: [0, 2]}]
    parameters: {normalize: [no, yes, no]}
parameters: {weight: 1, normalize: {filter: mlp, value: "false"}}
`)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		slice, source int
		tensor        string
		want          float64
	}{{0, 0, "layers.0.mlp", 2}, {0, 0, "layers.1.mlp", 3}, {0, 1, "layers.4.mlp", 3}, {0, 1, "layers.4.x", 1}, {1, 0, "layers.0.mlp", 1}} {
		if got, ok := d.SourceValue("weight", c.slice, c.source, c.tensor, 0); got != c.want || !ok {
			t.Errorf("%+v: %v, %v", c, got, ok)
		}
	}
	for _, c := range []struct {
		slice  int
		tensor string
		p      float64
		want   bool
	}{{0, "x", 0, true}, {0, "mlp", 0, false}, {1, "mlp", 0, false}, {1, "mlp", 0.5, true}, {1, "mlp", 0.9, true}, {1, "mlp", 1, false}} {
		if got, ok := d.Flag("normalize", c.slice, c.tensor, c.p); (got || !ok) != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if _, ok := d.SourceValue("scale", 0, 0, "x", 0); ok {
		t.Error("scale of linear")
	}
	unused := d.Unused(func(slice, source int) []string {
		return []string{fmt.Sprintf("layers.%d.attn", 10*source)}
	})
	want := []string{"7:35 weight: filter \"mlp\" matches no tensor", "10:45 normalize: filter \"mlp\" matches no tensor"}
	if got := spell(unused); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// Files that would take for ever, or much memory, are refused.
func TestLimits(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		fmt.Fprintf(&bomb, "a%d: &a%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 10))
	}
	for name, c := range map[string]struct{ src, want string }{
		"billion laughs": {bomb.String(), "aliases make this more than 100000 values"},
		"nesting":        {strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested deeper than 100 levels"},
		"size":           {strings.Repeat("#\n", 1<<19) + "#", "a recipe has at most 1048576"},
		"merge bomb":     {strings.NewReplacer("[", "{<<: [", "]", "]}", "x", "{}").Replace(bomb.String()), "aliases make this more than 100000 values"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse(t, "r.yml", c.src); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.300v", err)
			}
		})
	}
	many := "[" + strings.Repeat("1,", 300) + "]"
	_, err := parse(t, "r.yml", "merge_method: passthrough\nmodels: "+many)
	if n := strings.Count(err.Error(), "\n"); n != 3*50 {
		t.Errorf("%d lines for 300 problems", n)
	}
}

// The line shown is fit for a terminal, with the caret under the place.
func TestExcerpt(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"\ufeffmodls: 1\r\nmerge_method: !foo slerp", "r.yml:1:1: unknown key \"modls\", did you mean \"models\"?\n    1 | modls: 1\n      | ^\n" +
			"r.yml:1:1: nothing says what to merge; a recipe has exactly one of models, slices and modules\n    1 | modls: 1\n      | ^\n" +
			"r.yml:2:15: merge_method is text, not the tag \"!foo\"\n    2 | merge_method: !foo slerp\n      |               ^"},
		{"merge_method: passthrough\nmodels: [{é: \"\\e[1m\", model: a}]\n", "r.yml:2:11: unknown key \"é\"; an entry of models has model and parameters\n    2 | models: [{é: \"\\e[1m\", model: a}]\n      |           ^"},
		{"merge_method: passthrough\nmodels: [{model: " + strings.Repeat("a", 200) + ", modle: b}]\n", "r.yml:2:220: unknown key \"modle\", did you mean \"model\"?\n    2 | ..." + strings.Repeat("a", 47) + ", modle: b}]\n      |     " + strings.Repeat(" ", 48) + "^"},
	} {
		_, err := parse(t, "r.yml", c.src)
		if err == nil || err.Error() != c.want {
			t.Errorf("got\n%v\nwant\n%s", err, c.want)
		}
	}
}
