package plan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
)

// testDir is a temporary folder whose path can stand in YAML as it is.
func testDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "plan")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.ToSlash(dir)
}

// fromYAML makes the request of a recipe, whose models are opened.
func fromYAML(t *testing.T, dir, text string) (recipe.Request, []*model.Model, error) {
	t.Helper()
	name := filepath.Join(dir, "recipe.yml")
	text = strings.NewReplacer("$A", filepath.Join(dir, "a"), "$B", filepath.Join(dir, "bb"), "$C", filepath.Join(dir, "ccc")).Replace(text)
	d, err := recipe.Parse(name, []byte(text), method.All())
	if err != nil {
		return recipe.Request{}, nil, err
	}
	r := request(t, "")
	d.ShardSize, d.Missing, d.NonFinite, d.Tokenizer, d.Vocab = r.ShardSize, r.Missing, r.NonFinite, r.Tokenizer, r.Vocab
	r.Recipe = *d
	var models []*model.Model
	for _, path := range r.Parents() {
		models = append(models, open(t, path))
	}
	return r, models, nil
}

// operands says what a tensor is made of where that is not the tensors of its
// name in both parents.
func operands(x *plan.Tensor) string {
	place := func(o operand.Operand) string { return filepath.Base(o.Model.Path) + ":" + o.Tensor().Name }
	if sum := x.Sum(); sum != nil {
		var all []string
		for k, o := range x.Operands {
			all = append(all, fmt.Sprintf("%v*%s", sum.Weights[k], place(o)))
		}
		return " " + strings.Join(all, " + ")
	}
	var all []string
	own := true
	for _, o := range x.Operands {
		if !o.None() {
			all = append(all, place(o))
			own = own && o.Tensor().Name == x.Name
		}
	}
	if len(all) == 2 && own {
		return ""
	}
	return " " + strings.Join(all, ", ")
}

// TestRecipes is what recipe files come to, for three models of two layers.
func TestRecipes(t *testing.T) {
	for _, c := range []struct {
		name, recipe string
		want         []string
	}{
		{"slerp", "merge_method: slerp\nbase_model: $A\nmodels: [{model: $A}, {model: $B}]\nparameters: {t: 0.3}\ndtype: bfloat16\n",
			[]string{"lm_head.weight BF16 4 slerp 0.3",
				"model.layers.0.attn BF16 4 slerp 0.3",
				"model.layers.0.mlp BF16 4 slerp 0.3",
				"model.layers.1.attn BF16 4 slerp 0.3",
				"model.layers.1.mlp BF16 4 slerp 0.3"}},
		{"the base is the second", "merge_method: slerp\nbase_model: $B\nmodels: [{model: $A}, {model: $B}]\nparameters: {t: [{filter: mlp, value: [0, 1]}, {value: 0.3}]}\n",
			[]string{"lm_head.weight F32 4 slerp 0.3",
				"model.layers.0.attn F32 4 slerp 0.3",
				"model.layers.0.mlp F32 4 copy bb:model.layers.0.mlp 0: t = 0",
				"model.layers.1.attn F32 4 slerp 0.3",
				"model.layers.1.mlp F32 4 copy a:model.layers.1.mlp 1: t = 1"}},
		{"linear", "merge_method: linear\nmodels:\n- {model: $A, parameters: {weight: 0.5}}\n- {model: $B, parameters: {weight: 0.3}}\n- {model: $C, parameters: {weight: [{filter: mlp, value: 1}, {value: 0.2}]}}\n",
			[]string{"lm_head.weight F32 4 linear 0.5*a:lm_head.weight + 0.3*bb:lm_head.weight + 0.2*ccc:lm_head.weight",
				"model.layers.0.attn F32 4 linear 0.5*a:model.layers.0.attn + 0.3*bb:model.layers.0.attn + 0.2*ccc:model.layers.0.attn",
				"model.layers.0.mlp F32 4 linear 0.5*a:model.layers.0.mlp + 0.3*bb:model.layers.0.mlp + 1*ccc:model.layers.0.mlp",
				"model.layers.1.attn F32 4 linear 0.5*a:model.layers.1.attn + 0.3*bb:model.layers.1.attn + 0.2*ccc:model.layers.1.attn",
				"model.layers.1.mlp F32 4 linear 0.5*a:model.layers.1.mlp + 0.3*bb:model.layers.1.mlp + 1*ccc:model.layers.1.mlp"}},
		{"linear, one weight", "merge_method: linear\nmodels:\n- {model: $A, parameters: {weight: 1}}\n- {model: $B, parameters: {weight: 0}}\n",
			[]string{"lm_head.weight F32 4 copy a:lm_head.weight",
				"model.layers.0.attn F32 4 copy a:model.layers.0.attn",
				"model.layers.0.mlp F32 4 copy a:model.layers.0.mlp",
				"model.layers.1.attn F32 4 copy a:model.layers.1.attn",
				"model.layers.1.mlp F32 4 copy a:model.layers.1.mlp"}},
		{"layers stacked", "merge_method: passthrough\nslices:\n- sources: [{model: $A, layer_range: [0, 2]}]\n- sources: [{model: $B, layer_range: [1, 2]}]\n",
			[]string{"lm_head.weight F32 4 copy bb:lm_head.weight",
				"model.layers.0.attn F32 4 copy a:model.layers.0.attn",
				"model.layers.0.mlp F32 4 copy a:model.layers.0.mlp",
				"model.layers.1.attn F32 4 copy a:model.layers.1.attn",
				"model.layers.1.mlp F32 4 copy a:model.layers.1.mlp",
				"model.layers.2.attn F32 4 copy bb:model.layers.1.attn",
				"model.layers.2.mlp F32 4 copy bb:model.layers.1.mlp"}},
		{"scaled", "merge_method: passthrough\nslices:\n- sources: [{model: $A, layer_range: [0, 1], parameters: {scale: [{filter: mlp, value: 0.5}, {value: 1}]}}]\n",
			[]string{"lm_head.weight F32 4 copy a:lm_head.weight",
				"model.layers.0.attn F32 4 copy a:model.layers.0.attn",
				"model.layers.0.mlp F32 4 linear 0.5*a:model.layers.0.mlp"}},
		{"slices of pairs", "merge_method: slerp\nbase_model: $A\nparameters: {t: 0.5}\nslices:\n- sources: [{model: $A, layer_range: [0, 1]}, {model: $B, layer_range: [1, 2]}]\n- sources: [{model: $A, layer_range: [1, 2]}, {model: $B, layer_range: [0, 1]}]\n  parameters: {t: 0.1}\n",
			[]string{"lm_head.weight F32 4 slerp 0.1",
				"model.layers.0.attn F32 4 slerp a:model.layers.0.attn, bb:model.layers.1.attn 0.5",
				"model.layers.0.mlp F32 4 slerp a:model.layers.0.mlp, bb:model.layers.1.mlp 0.5",
				"model.layers.1.attn F32 4 slerp a:model.layers.1.attn, bb:model.layers.0.attn 0.1",
				"model.layers.1.mlp F32 4 slerp a:model.layers.1.mlp, bb:model.layers.0.mlp 0.1"}},
		{"layers that are not there", "merge_method: passthrough\nslices:\n- sources: [{model: $A, layer_range: [0, 3]}]\n",
			[]string{"error: recipe.yml:3: layer_range [0, 3] goes beyond the 2 layers of a; [0, 2] is all of them"}},
		{"a model of other shapes", "merge_method: linear\nmodels:\n- {model: $A, parameters: {weight: 1}}\n- {model: $W, parameters: {weight: 1}}\n",
			[]string{"lm_head.weight F32 4 linear 1*a:lm_head.weight + 1*wide:lm_head.weight",
				"model.layers.0.attn F32 4 linear 1*a:model.layers.0.attn + 1*wide:model.layers.0.attn",
				"model.layers.0.mlp F32 4 linear 1*a:model.layers.0.mlp + 1*wide:model.layers.0.mlp",
				"model.layers.1.attn F32 4 linear 1*a:model.layers.1.attn + 1*wide:model.layers.1.attn",
				"model.layers.1.mlp F32 4 linear 1*a:model.layers.1.mlp + 1*wide:model.layers.1.mlp",
				"blocked: recipe.yml:3:1: shapes differ: model.layers.0.mlp is [4] in a and [5] in wide"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := testDir(t)
			for _, name := range []string{"a", "bb", "ccc"} {
				layers(2, "").make(t, filepath.Join(dir, name))
			}
			parent{`{"model_type": "llama", "num_hidden_layers": 2}`, "model.layers.{0..1}.mlp:F32:5 model.layers.{0..1}.attn:F32:4 lm_head.weight:F32:4"}.make(t, filepath.Join(dir, "wide"))
			r, models, err := fromYAML(t, dir, strings.ReplaceAll(c.recipe, "$W", filepath.Join(dir, "wide")))
			var p *plan.Plan
			if err == nil {
				p, err = plan.New(r, models...)
			}
			compareLines(t, dir, p, err, c.want)
		})
	}
}

// Tables that transformers works out are in some files of a Marian model and not
// in others. Those of the first model are taken as they are, those that only
// another model has are left out, and neither counts as missing.
func TestTablesOfSines(t *testing.T) {
	const (
		config = `{"model_type": "marian"}`
		sines  = " model.encoder.embed_positions.weight:F32:2x2 model.decoder.embed_positions.weight:F32:2x2"
		table  = "model.decoder.embed_positions.weight F32 2x2 copy a:model.decoder.embed_positions.weight"
	)
	for _, c := range []struct{ method, a, b, missing, want string }{
		{"linear", "w:F32:4" + sines, "w:F32:4", "error", table},
		{"linear", "w:F32:4", "w:F32:4" + sines, "error", ""},
		{"linear", "w:F32:4" + sines, "w:F32:4", "zero", table},
		{"linear", "w:F32:4" + sines, "w:F32:4" + sines, "error", "model.decoder.embed_positions.weight F32 2x2 linear 0.25*a:model.decoder.embed_positions.weight + 0.25*bb:model.decoder.embed_positions.weight"},
		{"slerp", "w:F32:4" + sines, "w:F32:4", "error", table + ": only the primary has it"},
		{"slerp", "w:F32:4", "w:F32:4" + sines, "error", ""},
		{"slerp", "w:F32:4" + sines, "w:F32:4", "zero", table + ": only the primary has it"},
	} {
		t.Run(c.method+" "+c.missing, func(t *testing.T) {
			t.Parallel()
			dir := testDir(t)
			parent{config, c.a}.make(t, filepath.Join(dir, "a"))
			parent{config, c.b}.make(t, filepath.Join(dir, "bb"))
			r, models, err := fromYAML(t, dir, fmt.Sprintf("merge_method: %s\nbase_model: $A\nmodels:\n- {model: $A, parameters: {weight: 0.25}}\n- {model: $B, parameters: {weight: 0.25}}\nparameters: {normalize: false, t: 0.5}\n", c.method))
			if err != nil {
				t.Fatal(err)
			}
			r.Missing = recipe.Missing(c.missing)
			p, err := plan.New(r, models...)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, line := range lines(p) {
				if strings.Contains(line, "blocked") || strings.Contains(line, "missing") || strings.Contains(line, "some of the models") {
					t.Error(line)
				}
				if strings.HasPrefix(line, "model.decoder.") {
					got = line
				}
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// The last slice has a head that repeats its model's embedding, and is left out
// of a tied output. A bias that is not tied unties the output: then the head is
// written, with the embedding of the output.
func TestUntiedSlices(t *testing.T) {
	const (
		config = `{"model_type": "bert", "architectures": ["BertForMaskedLM"], "tie_word_embeddings": true, "num_hidden_layers": 2}`
		names  = "bert.embeddings.word_embeddings.weight:F32:4x2 bert.encoder.layer.{0..1}.w:F32:2 cls.predictions.bias:F32:4 cls.predictions.decoder.weight:F32:4x2:=bert.embeddings.word_embeddings.weight"
		head   = "cls.predictions.decoder.weight F32 4x2 copy a:bert.embeddings.word_embeddings.weight: "
	)
	for more, want := range map[string]string{" cls.predictions.decoder.bias:F32:4:=cls.predictions.bias": "", " cls.predictions.decoder.bias:F32:4": head} {
		dir := testDir(t)
		parent{config, names + more}.make(t, filepath.Join(dir, "a"))
		parent{config, names + more}.make(t, filepath.Join(dir, "bb"))
		r, models, err := fromYAML(t, dir, "merge_method: passthrough\nslices:\n- sources: [{model: $A, layer_range: [0, 1]}]\n- sources: [{model: $B, layer_range: [1, 2]}]\n")
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.New(r, models...)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, line := range lines(p) {
			if strings.HasPrefix(line, "cls.predictions.decoder.weight") {
				got = line
			}
		}
		if (got == "") != (want == "") || !strings.HasPrefix(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s\n%s", more, got, want, strings.Join(lines(p), "\n"))
		}
		if untied := strings.Contains(string(p.Config), `"tie_word_embeddings": false`); untied != (want != "") {
			t.Errorf("%s: config.json is %s", more, p.Config)
		}
	}
}

// A conversion keeps the values, or brings all floating ones to a type.
func TestConversions(t *testing.T) {
	for _, c := range []struct {
		name, tensors, flags string
		want                 []string
	}{
		{"as they are", "w:F32:4 h:F16:4 i:I64:2:1", "--format bin", []string{"h F16 4 copy a:h", "i I64 2 copy a:i", "w F32 4 copy a:w"}},
		{"another type", "w:F32:4 h:F16:4 i:I64:2:1", "--dtype float16", []string{"h F16 4 copy a:h", "i I64 2 copy a:i", "w F16 4 convert a:w"}},
	} {
		dir := t.TempDir()
		r := request(t, c.flags)
		flags := r.Recipe
		r.Recipe = recipe.Conversion("a")
		r.DType, r.Format, r.ShardSize = flags.DType, flags.Format, flags.ShardSize
		p, err := plan.New(r, parent{"{}", c.tensors}.open(t, filepath.Join(dir, "a")))
		compareLines(t, dir, p, err, c.want)
	}
}

// A comparison pairs what a merge would, and refuses less.
func TestPairs(t *testing.T) {
	dir := t.TempDir()
	a := parent{"", "w:F32:4x2 v:F32:4 i:I64:2:1 x:F32:3 b:BF16:4"}.open(t, filepath.Join(dir, "a"))
	b := parent{"", "w:F32:2x4 v:F32:4 i:I64:2:1 y:F32:3 b:F32:4"}.open(t, filepath.Join(dir, "bb"))
	p, err := plan.Pairs(request(t, "-t 0.2"), a, b)
	compareLines(t, dir, p, err, []string{"b BF16 4 slerp 0.2", "i I64 2 follow: not of a floating type", "v F32 4 slerp 0.2", "w F32 4x2 unlike: [4, 2] in the primary and [2, 4] in the secondary", "x F32 3 copy a:x: only the primary has it", "y F32 3 copy bb:y: only the secondary has it"})
}

// The fingerprint is that of what the output depends on, and of nothing else.
func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	a, b := parent{"", "w:F32:4"}.open(t, filepath.Join(dir, "a")), parent{"", "w:F32:4"}.open(t, filepath.Join(dir, "bb"))
	of := func(flags, version string, more ...string) string {
		t.Helper()
		p, err := plan.New(request(t, flags), a, b)
		if err != nil {
			t.Fatal(err)
		}
		f, err := p.Fingerprint(version, more...)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	was := of("", "v1")
	if of("-t 0.5 --max-memory 100000000", "v1") != was {
		t.Error("memory makes another fingerprint")
	}
	for name, f := range map[string]string{"t": of("-t 0.4", "v1"), "type": of("--dtype float16", "v1"), "version": of("", "v2"), "choice": of("", "v1", "card"), "format": of("--format bin", "v1")} {
		if f == was {
			t.Errorf("another %s makes the same fingerprint", name)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bb", "generation_config.json"), []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	b = open(t, filepath.Join(dir, "bb"))
	if of("", "v1") == was {
		t.Error("another file of a parent makes the same fingerprint")
	}
}
