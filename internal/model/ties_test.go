package model

import (
	"slices"
	"testing"
)

// The configs are those of transformers 5.23: what its config classes make of
// the same members.
func TestConfigTied(t *testing.T) {
	for in, want := range map[string]bool{
		`{}`:                                                                          true,
		`{"tie_word_embeddings": false}`:                                              false,
		`{"tie_word_embeddings": null}`:                                               true,
		`{"model_type": "llama"}`:                                                     false,
		`{"model_type": "gemma2"}`:                                                    true,
		`{"model_type": "mamba"}`:                                                     true,
		`{"model_type": "mamba2"}`:                                                    false,
		`{"model_type": "unheard_of"}`:                                                true,
		`{"model_type": "llama", "tie_word_embeddings": true}`:                        true,
		`{"model_type": "t5", "tie_word_embeddings": false}`:                          true,
		`{"model_type": "mt5", "tie_word_embeddings": false}`:                         true,
		`{"model_type": "csm", "tie_word_embeddings": false}`:                         true,
		`{"model_type": "csm", "tie_codebooks_embeddings": false}`:                    false,
		`{"model_type": "lfm2", "tie_embedding": false}`:                              false,
		`{"model_type": "lfm2", "tie_embedding": true, "tie_word_embeddings": false}`: true,
		`{"model_type": "qwen2_vl", "tie_word_embeddings": false, "text_config": {"model_type": "qwen2_vl_text", "tie_word_embeddings": true}}`: true,
		`{"model_type": "qwen2_vl", "tie_word_embeddings": true, "text_config": {"model_type": "qwen2_vl_text", "tie_word_embeddings": false}}`: true,
		`{"model_type": "qwen2_vl", "text_config": {"model_type": "qwen2_vl_text", "tie_word_embeddings": false}}`:                              false,
		`{"model_type": "llava", "text_config": {"model_type": "gemma"}}`:                                                                       true,
		`{"model_type": "llava", "text_config": {"model_type": "llama"}}`:                                                                       false,
		`{"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "tie_word_embeddings": false}}`:                                  true,
		`{"model_type": "gemma3", "tie_word_embeddings": false, "text_config": {"model_type": "gemma3_text", "tie_word_embeddings": true}}`:     false,
		`{"model_type": "idefics3", "text_config": {"model_type": "llama", "tie_word_embeddings": true}}`:                                       false,
		`{"model_type": "vibevoice", "tie_word_embeddings": true, "text_config": {"model_type": "qwen2", "tie_word_embeddings": false}}`:        false,
		`{"model_type": "perception_lm", "text_config": {"model_type": "llama", "tie_word_embeddings": true}}`:                                  true,
		`{"model_type": "perception_lm", "tie_word_embeddings": false, "text_config": {"model_type": "llama", "tie_word_embeddings": true}}`:    false,
		`{"model_type": "unheard_of", "text_config": {"model_type": "x", "tie_word_embeddings": false}}`:                                        false,
	} {
		c, err := ParseConfig([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Tied(); got != want {
			t.Errorf("%s: tied %v, want %v", in, got, want)
		}
	}
}

func TestConfigUntie(t *testing.T) {
	for _, c := range []struct {
		in, want string
		ok       bool
	}{
		{`{"model_type": "gemma"}`, `{"model_type": "gemma","tie_word_embeddings": false}`, true},
		{`{"tie_word_embeddings": true, "x": 1}`, `{"tie_word_embeddings": false, "x": 1}`, true},
		{`{"model_type": "t5", "tie_word_embeddings": true}`, `{"model_type": "t5", "tie_word_embeddings": true}`, false},
		{`{"model_type": "lfm2", "tie_embedding": true}`, `{"model_type": "lfm2", "tie_embedding": false}`, true},
		{`{"model_type": "csm"}`, `{"model_type": "csm","tie_codebooks_embeddings": false}`, true},
		{`{"model_type": "llava", "text_config": {"model_type": "gemma"}}`,
			`{"model_type": "llava", "text_config": {"tie_word_embeddings": false,"model_type": "gemma"}, "tie_word_embeddings": false}`, true},
		{`{"model_type": "qwen2_vl", "tie_word_embeddings": true, "text_config": {"tie_word_embeddings": true}}`,
			`{"model_type": "qwen2_vl", "tie_word_embeddings": false, "text_config": {"tie_word_embeddings": false}}`, true},
	} {
		cfg, err := ParseConfig([]byte(c.in))
		if err != nil {
			t.Fatal(err)
		}
		if ok := cfg.Untie(); ok != c.ok || string(cfg.Bytes()) != c.want {
			t.Errorf("%s: %v, %s, want %v, %s", c.in, ok, cfg.Bytes(), c.ok, c.want)
		}
	}
}

func TestTiesOf(t *testing.T) {
	for _, c := range []struct {
		name, tied, prefix string
		source, want       bool
	}{
		{"lm_head.weight", "model.embed_tokens.weight", "", true, true},
		{"model.embed_tokens.weight", "lm_head.weight", "", false, true},
		{"thinker.lm_head.weight", "thinker.model.embed_tokens.weight", "thinker.", true, true},
		{"thinker.lm_head.weight", "model.embed_tokens.weight", "", true, false},
		{"my_lm_head.weight", "model.embed_tokens.weight", "", true, false},
		{"lm_head.weight", "wte.weight", "", true, true},
		{"wte.weight", "lm_head.weight", "", false, true},
		{"encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "", false, true},
		{"model.encoder.embed_tokens.weight", "model.shared.weight", "model.", true, true},
		{"cls.predictions.decoder.bias", "cls.predictions.bias", "", true, true},
		{"model.layers.0.mlp.up_proj.weight", "lm_head.weight", "", false, false},
	} {
		i := slices.IndexFunc(tiesOf(c.name), func(x tiedName) bool { return x.name == c.tied && x.by.only == "" })
		if i < 0 {
			if c.want {
				t.Errorf("%s is not tied to %s", c.name, c.tied)
			}
			continue
		}
		if x := tiesOf(c.name)[i]; !c.want || x.prefix != c.prefix || x.source != c.source {
			t.Errorf("%s and %s: %+v", c.name, c.tied, x)
		}
	}
}

func TestTieSourceByType(t *testing.T) {
	for _, c := range []struct{ config, name, other, want string }{
		{`{"model_type": "roberta"}`, "lm_head.decoder.bias", "lm_head.bias", "lm_head.bias"},
		{`{"model_type": "esm"}`, "lm_head.decoder.bias", "lm_head.bias", ""},
		{`{"model_type": "gte"}`, "lm_head.decoder.bias", "lm_head.bias", ""},
		{`{"model_type": "bert"}`, "cls.predictions.decoder.bias", "cls.predictions.bias", "cls.predictions.bias"},
		{`{"model_type": "lxmert"}`, "cls.predictions.decoder.bias", "cls.predictions.bias", ""},
		{`{"model_type": "fsmt", "tie_word_embeddings": true}`, "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"},
		{`{"model_type": "t5gemma"}`, "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", ""}, // two embeddings
	} {
		m := tableOf(t, c.config, c.other)
		got, _ := m.TieSource(c.name, func(name string) bool { return name == c.other })
		if got != c.want {
			t.Errorf("%s: %s is made from %q, want %q", c.config, c.name, got, c.want)
		}
	}
}

func TestTwins(t *testing.T) {
	const (
		zamba    = `{"model_type": "zamba2", "num_mem_blocks": 2, "layers_block_type": ["hybrid", "mamba", "hybrid", "hybrid", "hybrid"]}`
		dino     = `{"model_type": "grounding-dino", "decoder_layers": 2}`
		mm       = `{"model_type": "mm-grounding-dino", "decoder_layers": 2, "decoder_cls_embed_share": false}`
		fine     = `{"model_type": "fine_acoustics", "n_codes_total": 3, "n_codes_given": 1}`
		bark     = `{"model_type": "bark", "fine_acoustics_config": ` + fine + `}`
		tooMany  = `{"model_type": "grounding-dino", "decoder_layers": 1000000000}`
		negative = `{"model_type": "zamba2", "num_mem_blocks": -1, "layers_block_type": ["hybrid", "hybrid"]}`
	)
	for _, c := range []struct {
		config, name string
		want         []string
	}{
		{zamba, "layers.3.shared_transformer.x.weight", []string{"layers.0.shared_transformer.x.weight", "layers.3.shared_transformer.x.weight"}},
		{zamba, "model.layers.2.shared_transformer.x", []string{"model.layers.2.shared_transformer.x", "model.layers.4.shared_transformer.x"}},
		{zamba, "layers.1.shared_transformer.x", nil},
		{zamba, "layers.3.mamba.x", nil},
		{zamba, "layers.03.shared_transformer.x", nil},
		{negative, "layers.1.shared_transformer.x", nil},
		{`{"model_type": "zamba2", "tie_word_embeddings": false, "layers_block_type": ["hybrid", "hybrid"]}`, "layers.1.shared_transformer.x", nil},
		{dino, "model.decoder.bbox_embed.1.x", []string{"bbox_embed.0.x", "bbox_embed.1.x", "model.decoder.bbox_embed.0.x", "model.decoder.bbox_embed.1.x"}},
		{dino, "bbox_embed.2.x", nil},
		{dino, "class_embed.1.bias", nil},
		{dino, "model.encoder_output_bbox_embed.0.x", nil},
		{tooMany, "bbox_embed.1.x", nil},
		{mm, "class_embed.1.bias", []string{"class_embed.1.bias", "model.decoder.class_embed.1.bias"}},
		{fine, "lm_heads.1.weight", []string{"input_embeds_layers.2.weight", "lm_heads.1.weight"}},
		{fine, "input_embeds_layers.0.weight", nil},
		{fine, "lm_heads.2.weight", nil},
		{bark, "fine_acoustics.input_embeds_layers.1.weight", []string{"fine_acoustics.input_embeds_layers.1.weight", "fine_acoustics.lm_heads.0.weight"}},
		{`{"model_type": "llama"}`, "layers.3.shared_transformer.x", nil},
	} {
		if got := tableOf(t, c.config).twins(c.name); !slices.Equal(got, c.want) {
			t.Errorf("%s: %s: %q, want %q", c.config, c.name, got, c.want)
		}
	}
}

// The source of the others comes first: t follows it.
func TestTieRank(t *testing.T) {
	for _, names := range [][]string{
		{"model.embed_tokens.weight", "lm_head.weight"},
		{"shared.weight", "encoder.embed_tokens.weight", "lm_head.weight"},
		{"backbone.embeddings.weight", "lm_head.weight"},
		{"bert.embeddings.word_embeddings.weight", "cls.predictions.decoder.weight"},
		{"model.decoder.embed_tokens.weight", "proj_out.weight"},
		{"encoder.relative_bias.biases.0.relative_attention_bias.weight", "decoder.output_projection.weight", "lm_head.weight"},
	} {
		if !slices.IsSortedFunc(names, func(a, b string) int { return TieRank(a) - TieRank(b) }) {
			t.Errorf("%v: ranks are not in this order", names)
		}
		if TieRank(names[0]) == TieRank(names[len(names)-1]) {
			t.Errorf("%v: first and last have one rank", names)
		}
	}
}

func TestAliasesFollowRenames(t *testing.T) {
	m := tableOf(t, "", "_orig_mod.model.norm.weight", "_orig_mod.lm_head.weight")
	m.lent = []Alias{{"_orig_mod.model.embed_tokens.weight", 1, "_orig_mod.model.embed_tokens.weight"}}
	m.Unwrap()
	if got := m.Aliases()[0].Name; got != "model.embed_tokens.weight" {
		t.Errorf("the alias is called %s", got)
	}
	m.Unwrap() // undoes what was done before
	if got := m.Aliases()[0].Name; got != "model.embed_tokens.weight" {
		t.Errorf("the alias is called %s the second time", got)
	}
}
