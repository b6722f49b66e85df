package model

import (
	"strings"
	"testing"
)

// stackOfLayers makes the argument of SetLayers: the layers of one model.
func stackOfLayers(c *Config, depth int, layers ...int) []LayerSettings {
	var out []LayerSettings
	for _, l := range layers {
		out = append(out, LayerSettings{Config: c, Layer: l, Depth: depth})
	}
	return out
}

func TestSetLayers(t *testing.T) {
	const llama = "model.layers"
	for _, c := range []struct {
		name, stack string
		depth       int
		layers      []int
		in, want    string
		issues      string // key: layer has > gets, key: ...
		notes       string // a word of each
	}{
		// the depth, by any name and at any place
		{"depth", llama, 3, []int{0, 1, 0, 1, 2}, `{"num_hidden_layers": 3, "x": 3}`, `{"num_hidden_layers": 5, "x": 3}`, "", ""},
		{"n_layers", llama, 3, []int{0, 2}, `{"n_layers": 3, "n_heads": 3}`, `{"n_layers": 2, "n_heads": 3}`, "", ""},
		{"n_layer", llama, 3, []int{0, 2}, `{"n_layer": 3}`, `{"n_layer": 2}`, "", ""},
		{"two names for it", "backbone.blocks", 3, []int{0, 2}, `{"num_blocks": 3, "num_hidden_layers": 3}`, `{"num_blocks": 2, "num_hidden_layers": 2}`, "", ""},
		{"decoder", "model.decoder.layers", 3, []int{0, 2}, `{"encoder_layers": 3, "decoder_layers": 3, "num_hidden_layers": 3}`,
			`{"encoder_layers": 3, "decoder_layers": 2, "num_hidden_layers": 3}`, "", ""},
		{"encoder", "model.encoder.layers", 3, []int{0, 2}, `{"encoder_layers": 3, "decoder_layers": 3, "num_hidden_layers": 3}`,
			`{"encoder_layers": 2, "decoder_layers": 3, "num_hidden_layers": 2}`, "", ""},
		{"encoder of T5", "encoder.block", 3, []int{0, 2}, `{"num_layers": 3, "num_decoder_layers": 3}`, `{"num_layers": 2, "num_decoder_layers": 3}`, "", ""},
		{"decoder of T5", "decoder.block", 3, []int{0, 2}, `{"num_layers": 3, "num_decoder_layers": 3}`, `{"num_layers": 3, "num_decoder_layers": 2}`, "", ""},
		{"decoder alone", "model.decoder.layers", 3, []int{0, 2}, `{"num_hidden_layers": 3}`, `{"num_hidden_layers": 2}`, "", ""},
		{"part", llama, 3, []int{0, 2}, `{"text_config": {"num_hidden_layers": 3}, "vision_config": {"num_hidden_layers": 3}}`,
			`{"text_config": {"num_hidden_layers": 2}, "vision_config": {"num_hidden_layers": 3}}`, "", ""},
		{"part of a part", llama, 3, []int{0, 2},
			`{"talker_config": {"text_config": {"num_hidden_layers": 3}}, "thinker_config": {"audio_config": {"num_hidden_layers": 3}, "text_config": {"num_hidden_layers": 3}}}`,
			`{"talker_config": {"text_config": {"num_hidden_layers": 3}}, "thinker_config": {"audio_config": {"num_hidden_layers": 3}, "text_config": {"num_hidden_layers": 2}}}`, "", ""},
		{"top and part", llama, 3, []int{0, 2}, `{"num_hidden_layers": 3, "layer_types": ["a", "b", "c"], "text_config": {"num_hidden_layers": 3, "layer_types": ["a", "b", "c"]}}`,
			`{"num_hidden_layers": 2, "layer_types": ["a", "c"], "text_config": {"num_hidden_layers": 2, "layer_types": ["a", "c"]}}`, "", ""},
		{"depth unsaid", llama, 3, []int{0, 2}, `{"text_config": {"model_type": "llama"}}`, `{"text_config": {"model_type": "llama","num_hidden_layers": 2}}`, "", "num_hidden_layers is added"},
		{"depth by another name", llama, 3, []int{0, 2}, `{"n_transformer_layers": 3, "max_window_layers": 3}`, `{"n_transformer_layers": 2, "max_window_layers": 3}`, "", "n_transformer_layers"},

		// lists by layer, and lists of layers
		{"lists", llama, 3, []int{0, 2, 2, 1}, `{"num_hidden_layers": 3, "intermediate_size": [1, 2, 3], "hidden_size": 3, "architectures": ["A", "B", "C"], "per_layer_x": [true, false, null]}`,
			`{"num_hidden_layers": 4, "intermediate_size": [1, 3, 3, 2], "hidden_size": 3, "architectures": ["A", "B", "C"], "per_layer_x": [true, null, null, false]}`, "", ""},
		{"white space stays", llama, 2, []int{1, 0, 1}, "{\n \"num_hidden_layers\": 2,\n \"layer_types\": [\n  \"a\",\n  \"b\"\n ]\n}\n",
			"{\n \"num_hidden_layers\": 3,\n \"layer_types\": [\n  \"b\",\n  \"a\",\n  \"b\"\n ]\n}\n", "", ""},
		{"extra layers behind", llama, 2, []int{1, 1, 0}, `{"num_hidden_layers": 2, "num_nextn_predict_layers": 1, "layer_types": ["a", "b", "mtp"]}`,
			`{"num_hidden_layers": 3, "num_nextn_predict_layers": 1, "layer_types": ["b", "b", "a", "mtp"]}`, "", ""},
		{"letters", llama, 4, []int{3, 0, 1, 2, 3}, `{"num_hidden_layers": 4, "hybrid_override_pattern": "M-*E"}`, `{"num_hidden_layers": 5, "hybrid_override_pattern": "EM-*E"}`, "", ""},
		{"numbers", llama, 4, []int{3, 0, 3, 2}, `{"num_hidden_layers": 4, "cross_attention_layers": [3]}`, `{"num_hidden_layers": 4, "cross_attention_layers": [0, 2]}`, "", ""},
		{"numbers from 1", llama, 4, []int{3, 0}, `{"num_hidden_layers": 4, "model_type": "kimi_linear", "linear_attn_config": {"kda_layers": [1, 2, 3], "full_attn_layers": [4]}, "first_k_dense_replace": 0}`,
			`{"num_hidden_layers": 2, "model_type": "kimi_linear", "linear_attn_config": {"kda_layers": [2], "full_attn_layers": [1]}, "first_k_dense_replace": 0}`, "", ""},
		{"numbers of attention", llama, 4, []int{0, 1, 0, 1, 2, 3}, `{"num_hidden_layers": 4, "attn_layer_idx": [1, 3]}`, `{"num_hidden_layers": 6, "attn_layer_idx": [1, 3, 5]}`, "", ""},
		{"none left", llama, 2, []int{0}, `{"num_hidden_layers": 2, "attn_layer_indices": [1]}`, `{"num_hidden_layers": 1, "attn_layer_indices": []}`, "", ""},
		{"numbers as text", llama, 4, []int{3, 0, 2}, `{"num_hidden_layers": 4, "moe_layers_enum": "2,3"}`, `{"num_hidden_layers": 3, "moe_layers_enum": "0,2"}`, "", ""},
		{"all layers by number", llama, 2, []int{0, 1, 1}, `{"num_hidden_layers": 2, "moe_layers": [0, 1]}`, `{"num_hidden_layers": 3, "moe_layers": [0, 1, 2]}`, "", ""},
		{"table by layer", llama, 12, []int{5, 11, 0}, `{"num_hidden_layers": 12, "per_layer_config": {"05": {"x": 1}, "11": {"x": 2}}}`,
			`{"num_hidden_layers": 3, "per_layer_config": {"00": {"x": 1},"01": {"x": 2}}}`, "", ""},
		{"earlier layers", llama, 4, []int{0, 1, 0, 1, 2, 3}, `{"num_hidden_layers": 4, "kv_source_layers": [0, 1, 1, 1]}`, `{"num_hidden_layers": 6, "kv_source_layers": [0, 1, 2, 3, 3, 3]}`, "", ""},
		{"unknown list", llama, 4, []int{0, 1}, `{"num_hidden_layers": 4, "odd": [1, 2, 3, 4]}`, `{"num_hidden_layers": 2, "odd": [1, 2, 3, 4]}`, "", "odd"},
		{"unknown numbers", llama, 4, []int{0, 1}, `{"num_hidden_layers": 4, "exit_layers": [1, 3]}`, `{"num_hidden_layers": 2, "exit_layers": [1, 3]}`, "", "exit_layers"},

		// rules that are made true
		{"period becomes a list", llama, 4, []int{0, 1, 1, 2, 3}, `{"num_hidden_layers": 4, "model_type": "gemma2"}`,
			`{"num_hidden_layers": 5, "model_type": "gemma2", "layer_types": ["sliding_attention", "full_attention", "full_attention", "sliding_attention", "full_attention"]}`, "", ""},
		{"a null list is set", llama, 2, []int{1, 0}, `{"num_hidden_layers": 2, "model_type": "qwen3_next", "full_attention_interval": 2, "layer_types": null}`,
			`{"num_hidden_layers": 2, "model_type": "qwen3_next", "full_attention_interval": 2, "layer_types": ["full_attention", "linear_attention"]}`, "", ""},
		{"a period that still holds", llama, 4, []int{0, 1, 2, 3, 2, 3}, `{"num_hidden_layers": 4, "model_type": "gemma2"}`, `{"num_hidden_layers": 6, "model_type": "gemma2"}`, "", ""},
		{"first layers", llama, 4, []int{0, 0, 1, 2, 3}, `{"num_hidden_layers": 4, "model_type": "deepseek_v3", "first_k_dense_replace": 1}`,
			`{"num_hidden_layers": 5, "model_type": "deepseek_v3", "first_k_dense_replace": 2}`, "", ""},
		{"first layers dropped", llama, 4, []int{2, 3}, `{"num_hidden_layers": 4, "model_type": "glm4_moe", "first_k_dense_replace": 1}`,
			`{"num_hidden_layers": 2, "model_type": "glm4_moe", "first_k_dense_replace": 0}`, "", ""},
		{"a default of the class", llama, 4, []int{0, 1, 2, 3, 3}, `{"num_hidden_layers": 4, "model_type": "deepseek_v3"}`,
			`{"num_hidden_layers": 5, "model_type": "deepseek_v3"}`, "", ""},
		{"sparse steps", llama, 4, []int{0, 1, 1, 2}, `{"num_hidden_layers": 4, "model_type": "qwen3_moe", "decoder_sparse_step": 2, "mlp_only_layers": []}`,
			`{"num_hidden_layers": 4, "model_type": "qwen3_moe", "decoder_sparse_step": 1, "mlp_only_layers": [0, 3]}`, "", ""},
		{"periods of Jamba", llama, 4, []int{1, 3, 0, 2}, `{"num_hidden_layers": 4, "model_type": "jamba", "attn_layer_period": 4, "attn_layer_offset": 3, "expert_layer_period": 2, "expert_layer_offset": 1}`,
			`{"num_hidden_layers": 4, "model_type": "jamba", "attn_layer_period": 3, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1}`,
			"expert_layer_period: 0 sparse > dense, expert_layer_period: 3 dense > sparse", ""},
		{"mixtures of Llama 4", llama, 4, []int{1, 1, 0}, `{"num_hidden_layers": 4, "model_type": "llama4_text", "interleave_moe_layer_step": 2, "no_rope_layers": [1, 1, 1, 0], "layer_types": ["a", "b", "c", "d"]}`,
			`{"num_hidden_layers": 3, "model_type": "llama4_text", "interleave_moe_layer_step": 2, "no_rope_layers": [1, 1, 1], "layer_types": ["b", "b", "a"], "moe_layers": [0, 1]}`, "", ""},
		{"without positions", llama, 4, []int{3, 0}, `{"num_hidden_layers": 4, "model_type": "smollm3", "no_rope_layer_interval": 4}`,
			`{"num_hidden_layers": 2, "model_type": "smollm3", "no_rope_layer_interval": 4, "no_rope_layers": [0, 1]}`, "", ""},
		{"shared at the end", llama, 4, []int{0, 1, 2, 3, 3}, `{"num_hidden_layers": 4, "num_kv_shared_layers": 2}`, `{"num_hidden_layers": 5, "num_kv_shared_layers": 3}`, "", ""},
		{"mixtures between two numbers", llama, 4, []int{0, 0, 1, 2, 0}, `{"num_hidden_layers": 4, "model_type": "ernie4_5_moe", "moe_layer_start_index": 1}`,
			`{"num_hidden_layers": 5, "model_type": "ernie4_5_moe", "moe_layer_start_index": 2, "moe_layer_end_index": 3, "moe_layer_interval": 1}`, "", ""},
		{"types of GPT-Neo", "transformer.h", 2, []int{1, 0, 1}, `{"num_layers": 2, "model_type": "gpt_neo", "attention_types": [[["global", "local"], 1]], "attention_layers": ["global", "local"]}`,
			`{"num_layers": 3, "model_type": "gpt_neo", "attention_types": [[["local", "global", "local"], 1]], "attention_layers": ["local", "global", "local"]}`, "", ""},
		{"types of GPT-Neo without its model type", "transformer.h", 2, []int{1, 0, 1}, `{"num_layers": 2, "attention_types": [[["global", "local"], 1]]}`,
			`{"num_layers": 3, "attention_types": [[["local", "global", "local"], 1]]}`, "", ""},
		{"types for more layers than there are", "transformer.h", 4, []int{0, 1}, `{"num_layers": 4, "model_type": "gpt_neo", "attention_types": [[["global", "local"], 2]]}`,
			`{"num_layers": 2, "model_type": "gpt_neo", "attention_types": [[["global", "local"], 1]]}`, "", ""},
		{"repeated types", llama, 3, []int{2, 0}, `{"num_hidden_layers": 3, "model_type": "recurrent_gemma", "block_types": ["recurrent", "attention"]}`,
			`{"num_hidden_layers": 2, "model_type": "recurrent_gemma", "block_types": ["recurrent", "recurrent"]}`, "", ""},

		{"a part without a type", llama, 4, []int{0, 0}, `{"model_type": "gemma2", "text_config": {"num_hidden_layers": 4}, "qformer_config": {"layer_types": [1, 2, 3, 4]}}`,
			`{"model_type": "gemma2", "text_config": {"num_hidden_layers": 2,"layer_types": ["sliding_attention", "sliding_attention"]}, "qformer_config": {"layer_types": [1, 2, 3, 4]}}`, "", ""},
		{"another part", llama, 4, []int{0, 0}, `{"num_hidden_layers": 4, "qformer_config": {"layer_types": [1, 2, 3, 4]}}`,
			`{"num_hidden_layers": 2, "qformer_config": {"layer_types": [1, 2, 3, 4]}}`, "", ""},

		// rules that can't be
		{"dense in the middle", llama, 3, []int{0, 1, 2, 0, 1, 2}, `{"num_hidden_layers": 3, "model_type": "deepseek_v3", "first_k_dense_replace": 1}`,
			`{"num_hidden_layers": 6, "model_type": "deepseek_v3", "first_k_dense_replace": 1}`, "first_k_dense_replace: 3 dense > sparse", ""},
		{"family unknown", llama, 4, []int{0, 1, 1}, `{"num_hidden_layers": 4, "model_type": "other", "sliding_window_pattern": 2}`,
			`{"num_hidden_layers": 3, "model_type": "other", "sliding_window_pattern": 2}`, "sliding_window_pattern: 2 full_attention > sliding_attention", ""},
		{"the last one is full", llama, 2, []int{0, 1, 0}, `{"num_hidden_layers": 2, "model_type": "gemma4_text", "layer_types": ["sliding_attention", "full_attention"]}`,
			`{"num_hidden_layers": 3, "model_type": "gemma4_text", "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}`,
			"layer_types: 2 sliding_attention > full_attention", ""},
		{"shared in the middle", llama, 3, []int{2, 0}, `{"num_hidden_layers": 3, "num_kv_shared_layers": 1}`, `{"num_hidden_layers": 2, "num_kv_shared_layers": 1}`,
			"num_kv_shared_layers: 0 shared > own, num_kv_shared_layers: 1 own > shared", ""},

		// numbers that go by the place
		{"scaled by place", "h", 3, []int{0, 2}, `{"n_layer": 3, "scale_attn_by_inverse_layer_idx": true}`, `{"n_layer": 2, "scale_attn_by_inverse_layer_idx": true}`, "", "scale_attn_by_inverse_layer_idx"},
		{"a number by place", llama, 3, []int{0, 2}, `{"num_hidden_layers": 3, "model_type": "diffllama"}`, `{"num_hidden_layers": 2, "model_type": "diffllama"}`, "", "lambda_init"},
		{"a number by place among all", llama, 3, []int{0, 1}, `{"num_hidden_layers": 3, "model_type": "minimax"}`, `{"num_hidden_layers": 2, "model_type": "minimax"}`, "", "among all"},
		{"scaled by depth", llama, 3, []int{0, 2}, `{"num_hidden_layers": 3, "scale_depth": 1.4}`, `{"num_hidden_layers": 2, "scale_depth": 1.4}`, "", "scale_depth"},
	} {
		cfg, err := ParseConfig([]byte(c.in))
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		source, _ := ParseConfig([]byte(c.in))
		report := cfg.SetLayers(c.stack, c.depth, stackOfLayers(source, c.depth, c.layers...))
		if got := string(cfg.Bytes()); got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
		var issues []string
		for _, x := range report.Issues {
			issues = append(issues, x.Key+": "+string(rune('0'+x.Layer))+" "+x.Has+" > "+x.Gets)
		}
		if got := strings.Join(issues, ", "); got != c.issues {
			t.Errorf("%s: issues %q, want %q", c.name, got, c.issues)
		}
		if notes := strings.Join(report.Notes, "\n"); (c.notes == "") != (notes == "") || !strings.Contains(notes, c.notes) {
			t.Errorf("%s: notes %q, want %q", c.name, notes, c.notes)
		}
	}
}

// Layers of several models bring what their own config.json says of them.
func TestSetLayersOfTwoModels(t *testing.T) {
	parse := func(text string) *Config {
		c, err := ParseConfig([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a := parse(`{"model_type": "gemma2", "num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"]}`)
	b := parse(`{"text_config": {"model_type": "gemma2", "num_hidden_layers": 4}}`)
	c := parse(string(a.Bytes()))
	layers := append(stackOfLayers(b, 4, 3, 2), stackOfLayers(a, 2, 0)...)
	c.SetLayers("model.layers", 2, layers)
	const want = `{"model_type": "gemma2", "num_hidden_layers": 3, "layer_types": ["full_attention", "sliding_attention", "sliding_attention"]}`
	if got := string(c.Bytes()); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	c = parse(string(b.Bytes()))
	c.SetLayers("model.layers", 4, layers)
	if got, want := c.LayerKinds(3), []string{"full_attention", "sliding_attention", "sliding_attention"}; strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("a default of the class becomes %q, want %q: %s", got, want, c.Bytes())
	}
}

func TestTextPath(t *testing.T) {
	for text, want := range map[string]string{
		`{"num_hidden_layers": 1}`:                                                   "",
		`{"text_config": {}}`:                                                        "text_config",
		`{"text_config": {}, "num_hidden_layers": 1}`:                                "",
		`{"vision_config": {"text_config": {"num_hidden_layers": 1}}}`:               "",
		`{"thinker_config": {"text_config": {"num_hidden_layers": 1}}}`:              "thinker_config.text_config",
		`{"a": {"b": {"c": {"llm_config": {"n_layers": 1}}}}}`:                       "a.b.c.llm_config",
		`{"talker_config": {"text_config": {"n_layer": 1}}, "llm_config": {}}`:       "llm_config",
		`{"decoder": {"num_hidden_layers": 1}, "encoder": {"num_hidden_layers": 2}}`: "decoder",
		`{"a.b": {"text_config": {"num_hidden_layers": 1}}}`:                         "\x00.text_config",
	} {
		c, err := ParseConfig([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.TextPath(); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
