package plan_test

import (
	"path/filepath"
	"strings"
	"testing"

	"slerpmerge/internal/plan"
)

// said are the warnings and blockers of a plan, or its error.
func said(p *plan.Plan, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for _, s := range p.Warnings {
		all = append(all, "warning: "+s)
	}
	for _, s := range p.Blockers {
		all = append(all, "blocked: "+s)
	}
	return strings.Join(all, "\n")
}

// expect looks for a text in what a plan says; of an empty one nothing must be
// said.
func expect(t *testing.T, p *plan.Plan, err error, want string) {
	t.Helper()
	if got := said(p, err); want == "" && got != "" || !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Two parents that store one network in two ways are refused, odd tensors are
// not.
func TestLayouts(t *testing.T) {
	const (
		experts = "model.layers.{0..1}.mlp.experts.0.down_proj.weight:F32:2x2 model.layers.{0..1}.q.weight:F32:2x2 model.norm.weight:F32:2"
		fused   = "model.layers.{0..1}.mlp.experts.down_proj:F32:2x2x2 model.layers.{0..1}.q.weight:F32:2x2 model.norm.weight:F32:2"
		plain   = "l.{0..2}.attn.q.weight:F32:2x2 l.{0..2}.attn.k.weight:F32:2x2"
	)
	for _, c := range []struct{ name, a, b, want string }{
		{"experts", experts, fused, "blocked: the layers are stored in two layouts, which can't be merged with each other: model.layers.0.mlp.experts.0.down_proj.weight in a (each expert by itself), model.layers.0.mlp.experts.down_proj in bb (all experts in one tensor)"},
		{"attention", "l.0.attn.qkv_proj.weight:F32:6x2 l.0.attn.o_proj.weight:F32:2x2", "l.0.attn.q_proj.weight:F32:2x2 l.0.attn.o_proj.weight:F32:2x2",
			"l.0.attn.qkv_proj.weight in a (query, key and value in one tensor), l.0.attn.q_proj.weight in bb (query, key and value apart)"},
		{"mlp", "l.0.mlp.gate_up_proj.weight:F32:6x2 l.0.attn.o_proj.weight:F32:2x2", "l.0.mlp.gate_proj.weight:F32:2x2 l.0.mlp.up_proj.weight:F32:2x2 l.0.attn.o_proj.weight:F32:2x2", "(gate and up in one tensor)"},
		{"dense and sparse layers", "l.{0..2}.attn.w:F32:2x2 l.{0..1}.mlp.up.weight:F32:2x2 l.2.mlp.experts.0.w:F32:2x2", "l.{0..2}.attn.w:F32:2x2 l.0.mlp.up.weight:F32:2x2 l.{1..2}.mlp.experts.0.w:F32:2x2",
			"l.1.mlp.up.weight in a, l.1.mlp.experts.0.w in bb"},
		{"one odd tensor", plain + " l.1.attn.x.weight:F32:2x2", plain + " l.1.attn.y.weight:F32:2x2", "warning: 1 tensor of a is missing from bb: l.1.attn.x.weight: copied"},
		{"norms in one", plain + " l.{0..2}.attn.q_norm.weight:F32:2", plain, "warning: 3 tensors of a are missing from bb"},
		{"norms in one, biases in the other", plain + " l.{0..2}.attn.q_norm.weight:F32:2", plain + " l.{0..2}.attn.q.bias:F32:2",
			"blocked: the layers are not made of the same tensors: l.0.attn.q_norm.weight in a, l.0.attn.q.bias in bb, and neither has the other's"},
		{"buffers", plain + " l.{0..2}.attn.q_norm.weight:F32:2", plain + " l.{0..2}.attn.rotary_emb.inv_freq:F32:2 l.{0..2}.attn.count:I64:1:1", "warning: "},
		{"a gap", "l.0.w:F32:2 l.2.w:F32:2", "l.{0..2}.w:F32:2", "blocked: layer 1 of l is in bb, and a has nothing of it but has later layers: l.1.w"},
		{"other architectures", "transformer.h.{0..1}.attn.c_attn.weight:F32:2x2 lm_head.weight:F32:4x2", "model.layers.{0..1}.self_attn.q_proj.weight:F32:2x2 lm_head.weight:F32:4x2",
			"blocked: no layer of a pairs with one of bb: theirs have tensors such as transformer.h.0.attn.c_attn.weight and model.layers.0.self_attn.q_proj.weight"},
		{"other towers", "model.layers.{0..1}.w:F32:2x2 visual.blocks.{0..1}.w:F32:3x3", "model.layers.{0..1}.w:F32:2x2 audio.blocks.{0..1}.v:F32:3x3", "warning: config.json is that of a, which has no audio.blocks: name bb first"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p, err := plan.New(request(t, ""), parent{"", c.a}.open(t, filepath.Join(dir, "a")), parent{"", c.b}.open(t, filepath.Join(dir, "bb")))
			expect(t, p, err, c.want)
		})
	}
}

// What config.json says of layers stays true when a recipe moves them, or the
// recipe is refused or warned about.
func TestMovedLayers(t *testing.T) {
	const (
		layers3 = "model.embed_tokens.weight:F32:4x2 model.layers.{0..2}.mlp.up_proj.weight:F32:4x2 model.norm.weight:F32:2"
		moe     = "model.embed_tokens.weight:F32:4x2 model.layers.0.mlp.up_proj.weight:F32:4x2 model.layers.{1..2}.mlp.experts.0.up_proj.weight:F32:4x2 model.norm.weight:F32:2"
		norms   = "model.embed_tokens.weight:F32:4x2 model.layers.{1..2}.attn_norm.weight:F32:2 model.layers.{0..2}.mlp.up_proj.weight:F32:4x2 model.norm.weight:F32:2"
		dense   = `{"model_type": "deepseek_v3", "num_hidden_layers": 3, "first_k_dense_replace": 1}`
	)
	for _, c := range []struct {
		name   string
		a      parent
		ranges string
		config string // is in the output's
		want   string
	}{
		{"a depth by another name", parent{`{"model_type": "mpt", "n_layers": 3}`, strings.ReplaceAll(layers3, "model.layers", "transformer.blocks")}, "[0, 3] [1, 3]", `"n_layers": 5`, ""},
		{"no depth at all", parent{`{"model_type": "llama"}`, layers3}, "[0, 3] [1, 3]", `"num_hidden_layers": 5`, "does not say the number of layers, which is now 5 and no longer 3: num_hidden_layers is added"},
		{"dense layers stay first", parent{dense, moe}, "[0, 1] [0, 3]", `"first_k_dense_replace": 2`, ""},
		{"a dense layer in the middle", parent{dense, moe}, "[0, 3] [0, 1]", "", "layer 3 of the output was dense as layer 0 of a, and config.json makes it sparse (by first_k_dense_replace): transformers would leave tensors of it at random"},
		{"two dense layers in the middle", parent{dense, moe}, "[0, 3] [0, 1] [0, 1]", "", "; so is layer 4: transformers"},
		{"a setting without meaning", parent{dense, layers3}, "[0, 3] [0, 1]", `"num_hidden_layers": 4`, ""},
		{"a period", parent{`{"model_type": "other", "num_hidden_layers": 3, "sliding_window_pattern": 2}`, layers3}, "[0, 2] [0, 2]", "", ""},
		{"another period", parent{`{"model_type": "other", "num_hidden_layers": 3, "sliding_window_pattern": 2}`, layers3}, "[0, 1] [0, 2]", "", "and config.json makes it full_attention (by sliding_window_pattern)"},
		{"a layer by its place", parent{`{"model_type": "other", "num_hidden_layers": 3}`, norms}, "[0, 3] [0, 1]", "",
			"layer 3 of the output has the tensors of layer 0 of a, which are not those that layers have at that place, and no setting of config.json says so: transformers may leave some of them at random"},
		{"layers by their place", parent{`{"model_type": "other", "num_hidden_layers": 3}`, norms}, "[0, 3] [0, 1] [0, 1]", "", "(nor of layer 4)"},
		{"more layers by their place", parent{`{"model_type": "other", "num_hidden_layers": 3}`, norms}, "[0, 3] [0, 1] [0, 1] [0, 1]", "", "(nor of layers 4-5)"},
		{"a class that goes by the place", parent{`{"model_type": "modernbert", "num_hidden_layers": 3, "layer_types": ["a", "a", "a"]}`, norms}, "[1, 3]", "", "transformers would leave some of them at random"},
		{"a part for each layer elsewhere", parent{`{"model_type": "gemma3n_text", "num_hidden_layers": 3, "num_kv_shared_layers": 0}`, layers3 + " model.embed_tokens_per_layer.weight:F32:4x6"}, "[0, 2]", "",
			"1 tensor holds a part for each of the 3 layers of a, which can't be taken apart: model.embed_tokens_per_layer.weight"},
		{"a series beside the stack", parent{`{"model_type": "other", "num_hidden_layers": 3}`, layers3 + " model.res.queries.{0..2}:F32:2"}, "[0, 2]", "", "warning: model.res.queries of a has a tensor for each layer and is not moved with the layers"},
		{"two series beside the stack", parent{`{"model_type": "other", "num_hidden_layers": 3}`, layers3 + " model.res.queries.{0..2}:F32:2 model.res.keys.{0..2}:F32:2"}, "[0, 2]", "", "model.res.keys, model.res.queries of a have a tensor for each layer and are not moved"},
		{"several stacks", parent{`{"model_type": "t5", "num_layers": 2}`, "shared.weight:F32:4x4 encoder.block.{0..1}.norm.weight:F32:4 decoder.block.{0..1}.norm.weight:F32:4"}, "[0, 1]", "",
			"a has several stacks of layers (decoder.block, encoder.block), so it is not clear which layers layer_range means"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := testDir(t)
			c.a.make(t, filepath.Join(dir, "a"))
			text := "merge_method: passthrough\nslices:\n"
			for _, r := range strings.SplitAfter(c.ranges, "] ") {
				text += "- sources: [{model: $A, layer_range: " + strings.TrimSpace(r) + "}]\n"
			}
			r, models, err := fromYAML(t, dir, text)
			var p *plan.Plan
			if err == nil {
				p, err = plan.New(r, models...)
			}
			expect(t, p, err, c.want)
			if err == nil && !strings.Contains(string(p.Config), c.config) {
				t.Errorf("config %s, want %s", p.Config, c.config)
			}
		})
	}
}

// A recipe with modules says of each part of a model how it is merged.
func TestModules(t *testing.T) {
	const head = "merge_method: passthrough\nbase_model: $A\nmodules:\n"
	for _, c := range []struct{ name, modules, want string }{
		{"all parts", "  text_decoder: {slices: [{sources: [{model: $A, layer_range: [0, 3]}]}, {sources: [{model: $B, layer_range: [1, 4]}]}]}\n  vision_tower: {models: [{model: $A}]}\n  multi_modal_projector: {models: [{model: $A}]}\n", ""},
		{"moved", "  text_decoder: {models: [{model: $A}]}\n  vision_tower: {slices: [{sources: [{model: $A, layer_range: [1, 3]}]}]}\n  multi_modal_projector: {models: [{model: $A}]}\n",
			"layer_range [1, 3] moves layers of the module vision_tower; only the layers of the language model can be moved"},
		{"dropped", "  text_decoder: {models: [{model: $A}]}\n  vision_tower: {slices: [{sources: [{model: $A, layer_range: [0, 2]}]}]}\n  multi_modal_projector: {models: [{model: $A}]}\n",
			"the slices of the module vision_tower end at layer 2 of 3"},
		{"a part left out", "  text_decoder: {models: [{model: $A}]}\n  multi_modal_projector: {models: [{model: $A}]}\n", "3 tensors are in none of the recipe's modules: vision_tower.encoder.layers.0.fc1.weight"},
		{"one part too many", "  text_decoder: {models: [{model: $A}]}\n  vision_tower: {models: [{model: $A}]}\n  multi_modal_projector: {models: [{model: $A}]}\n  audio_tower: {models: [{model: $A}]}\n", "a has no tensors in a module audio_tower"},
		{"layers of a part without any", "  text_decoder: {models: [{model: $A}]}\n  vision_tower: {models: [{model: $A}]}\n  multi_modal_projector: {slices: [{sources: [{model: $A, layer_range: [0, 1]}]}]}\n",
			"a has no numbered layers in the module multi_modal_projector"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := testDir(t)
			for _, name := range []string{"a", "bb"} {
				parent{`{"text_config": {"num_hidden_layers": 4, "tie_word_embeddings": false}, "vision_config": {"num_hidden_layers": 3}}`,
					"language_model.model.embed_tokens.weight:F32:4x2 language_model.model.layers.{0..3}.mlp.up_proj.weight:F32:2x2 language_model.lm_head.weight:F32:4x2 " +
						"vision_tower.encoder.layers.{0..2}.fc1.weight:F32:2x2 multi_modal_projector.linear.weight:F32:2x2"}.make(t, filepath.Join(dir, name))
			}
			r, models, err := fromYAML(t, dir, head+c.modules)
			var p *plan.Plan
			if err == nil {
				p, err = plan.New(r, models...)
			}
			if err == nil {
				err = p.Refusal()
			}
			expect(t, p, err, c.want)
		})
	}
}

// Vocabularies of two lengths come to one, by the policy.
func TestVocabularyPolicies(t *testing.T) {
	for _, c := range []struct {
		policy     string
		a, b, rows int
		want       string // of the embedding
	}{
		{"base", 8, 6, 8, "rows from 6 on are those of a"}, {"base", 6, 8, 6, "the first 6 rows"}, {"extend", 8, 6, 8, "rows from 6 on are those of a"},
		{"truncate", 8, 6, 6, "the first 6 rows"}, {"zero", 8, 6, 8, "2 rows of bb are filled in (--vocab zero)"},
		{"mean", 6, 8, 8, "2 rows of a are filled in (--vocab mean)"}, {"gradient", 6, 8, 8, "2 rows of a are filled in (--vocab gradient)"},
	} {
		dir := t.TempDir()
		extra := "lm_head.weight:F32:%dx2 final_logits_bias:F32:1x%[1]d"
		a, b := vocab(c.a), vocab(c.b)
		a.tensors += " " + strings.ReplaceAll(strings.ReplaceAll(extra, "%dx2", "8x2"), "%[1]d", "8")
		b.tensors += " " + strings.ReplaceAll(strings.ReplaceAll(extra, "%dx2", "6x2"), "%[1]d", "6")
		if c.a < c.b {
			a.tensors, b.tensors = strings.ReplaceAll(b.tensors, "8x2", "6x2"), strings.ReplaceAll(a.tensors, "6x2", "8x2")
		}
		p, err := plan.New(request(t, "--vocab "+c.policy), a.open(t, filepath.Join(dir, "a")), b.open(t, filepath.Join(dir, "bb")))
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Refusal(); err != nil {
			t.Errorf("%s: %v", c.policy, err)
		}
		for i := range p.Tensors {
			x := &p.Tensors[i]
			if x.Name == "w" {
				continue
			}
			if n := max(x.Shape[0], x.Shape[1]); n != uint64(c.rows) || x.Why != c.want {
				t.Errorf("--vocab %s, %d and %d: %s is %v: %s", c.policy, c.a, c.b, x.Name, x.Shape, x.Why)
			}
			if x.Tail != nil && x.BlendElems() != int64(min(c.a, c.b))*x.Elems()/int64(c.rows) {
				t.Errorf("--vocab %s: %d elements of %s are blended", c.policy, x.BlendElems(), x.Name)
			}
		}
		if !strings.Contains(strings.ReplaceAll(string(p.Config), " ", ""), `"vocab_size":`+string(rune('0'+c.rows))) {
			t.Errorf("--vocab %s: config %s", c.policy, p.Config)
		}
	}
}
