package model

import (
	"slices"
	"strconv"
	"strings"
)

// A layerAxis is one respect in which the layers of a model can differ by its
// config.json: the kind of attention, dense or sparse, with positions or
// without.
type layerAxis struct {
	// rule returns the rule by which a config tells it; nil where none does.
	rule func(c *Config) layerRule
	// keys are the settings that may say it, the strongest first.
	keys []string
	// fix makes the config say it of n layers in a way that transformers
	// reads. It reports whether it changed something; the rule decides
	// afterwards whether that was enough.
	fix func(c *Config, want []string) bool
}

var layerAxes = []layerAxis{
	{attentionRule, []string{"layer_types", "layers_block_type", "block_types", "hybrid_override_pattern", "attention_types", "attn_layer_period", "attn_layer_indices",
		"full_attention_interval", "sliding_window_pattern", "global_attn_every_n_layers", "layer_group_size", "full_attn_idxs", "local_layer_ids",
		"linear_attn_config", "compress_ratios", "no_rope_layers", "no_rope_layer_interval", "max_window_layers"}, fixAttention},
	{mlpRule, []string{"mlp_layer_types", firstDenseKey, "moe_layer_freq", "num_dense_layers", "mlp_only_layers", "decoder_sparse_step", "moe_layers",
		"interleave_moe_layer_step", "expert_layer_period", "moe_layer_interval", "moe_layer_start_index", "num_hash_layers", "dense_mlp_idx", "moe_layers_enum"}, fixMLP},
	{ropeRule, []string{"no_rope_layers", "no_rope_layer_interval"}, func(c *Config, want []string) bool { return c.setKinds("no_rope_layers", want) }},
	{indexerRule, []string{"indexer_types", "index_topk_pattern", "index_topk_freq"}, func(c *Config, want []string) bool { return c.setKinds("indexer_types", want) }},
	{crossRule, []string{"cross_attention_layers"}, func(c *Config, want []string) bool { return c.setNumbers("cross_attention_layers", want, "cross") }},
	{sharedRule, []string{sharedKey}, fixShared},
}

// kindsOf returns the kinds of n layers in one respect, nil where the config does
// not say.
func (x *layerAxis) kindsOf(c *Config, n int) []string {
	if rule := x.rule(c); rule != nil {
		if kinds := rule(c, n); len(kinds) == n {
			return kinds
		}
	}
	return nil
}

// key returns the setting that says it; "" where it is a default of the class.
func (x *layerAxis) key(c *Config) string {
	for _, key := range x.keys {
		if c.Has(key) && !c.isNull(key, false) {
			return key
		}
	}
	return ""
}

func attentionRule(c *Config) layerRule {
	family := c.layerFamily()
	if rule := fixedAttention[family]; rule != nil {
		return rule
	}
	rule := attentionRules[family]
	if rule == nil {
		rule = unknownAttention(c)
	}
	listed := listed(rule, "layer_types", "layers_block_type")
	if slices.Contains(lastIsFull, family) {
		return lastIs(fullAttention, listed)
	}
	if rule == nil && c.kindList("layer_types") == nil && c.kindList("layers_block_type") == nil {
		return nil
	}
	return listed
}

// unknownAttention reads the settings of a family that is not in the table by
// the meaning that they have elsewhere.
func unknownAttention(c *Config) layerRule {
	switch {
	case c.Has("hybrid_override_pattern"):
		return nemotronAttention
	case c.Has("attn_layer_period"):
		return jambaAttention
	case c.Has("attn_layer_indices"):
		return indexed("attn_layer_indices", 0, fullAttention, linearAttention, nil)
	case c.Has("full_attention_interval"):
		return every("full_attention_interval", 0, fullAttention, linearAttention)
	case c.Has("sliding_window_pattern"):
		return exaoneAttention
	case c.Has("global_attn_every_n_layers"):
		return everyFirst("global_attn_every_n_layers", 0, fullAttention, slidingAttention)
	case c.Has("attention_types"):
		return gptNeoAttention
	case c.Has("block_types"):
		return recurrentAttention
	case c.isTrue("use_sliding_window", false) && c.Has("max_window_layers"):
		return qwenAttention
	}
	return nil
}

func fixAttention(c *Config, want []string) bool {
	family := c.layerFamily()
	switch {
	case family == "jamba" || attentionRules[family] == nil && c.Has("attn_layer_period"):
		return c.setPeriod("attn_layer_period", "attn_layer_offset", want, fullAttention)
	case family == "recurrent_gemma":
		names := slices.Clone(want)
		for i := range names {
			if names[i] == fullAttention {
				names[i] = "attention"
			}
		}
		return c.setKinds("block_types", names)
	case family == "gpt_neo" || attentionRules[family] == nil && c.Has("attention_types") && !c.Has("layer_types"):
		quoted := make([]string, len(want))
		for i := range want {
			quoted[i] = strconv.Quote(want[i])
		}
		c.Set("attention_types", "[[["+strings.Join(quoted, ", ")+"], 1]]")
		return true
	case strings.HasPrefix(family, "zamba"):
		return c.setKinds("layers_block_type", want)
	case attentionRules[family] != nil:
		return c.setKinds("layer_types", want)
	}
	return false
}

func mlpRule(c *Config) layerRule {
	family := c.layerFamily()
	rule := mlpRules[family]
	switch {
	case rule != nil:
	case c.Has(firstDenseKey) || c.Has("moe_layer_freq"):
		rule = firstDense(0)
	case c.Has("num_dense_layers"):
		rule = below("num_dense_layers", 0, dense, sparse)
	case c.Has("mlp_only_layers") || c.Has("decoder_sparse_step"):
		rule = each(qwenMLP)
	case c.Has("moe_layers") || c.Has("interleave_moe_layer_step"):
		rule = indexed("moe_layers", 0, sparse, dense, every("interleave_moe_layer_step", 1, sparse, dense))
	case c.Has("expert_layer_period"):
		rule = jambaMLP
	case c.Has("moe_layer_interval") || c.Has("moe_layer_start_index"):
		rule = each(ernieMLP)
	}
	list := "mlp_layer_types"
	if rule != nil && !slices.Contains(listedMLP, family) && mlpRules[family] != nil {
		return rule // the class knows no list
	}
	if rule == nil && c.kindList(list) == nil {
		return nil
	}
	return listed(rule, list)
}

func fixMLP(c *Config, want []string) bool {
	family := c.layerFamily()
	first := 0 // how many layers are dense before the others
	for first < len(want) && want[first] == dense {
		first++
	}
	switch {
	case slices.Contains(listedMLP, family):
		return c.setKinds("mlp_layer_types", want)
	case family == "jamba" || mlpRules[family] == nil && c.Has("expert_layer_period"):
		return c.setPeriod("expert_layer_period", "expert_layer_offset", want, sparse)
	case family == "llama4" || mlpRules[family] == nil && c.Has("moe_layers"):
		return c.setNumbers("moe_layers", want, sparse)
	case family == "ernie4_5_moe":
		end := len(want)
		for end > first && want[end-1] == dense {
			end--
		}
		if slices.Contains(want[first:end], dense) {
			return false
		}
		c.Set("moe_layer_start_index", strconv.Itoa(first))
		c.Set("moe_layer_end_index", strconv.Itoa(end-1))
		c.Set("moe_layer_interval", "1")
		return true
	case family == "flint" || strings.HasPrefix(family, "qwen") || mlpRules[family] == nil && (c.Has("mlp_only_layers") || c.Has("decoder_sparse_step")):
		c.setNumbers("mlp_only_layers", want, dense)
		if c.number("decoder_sparse_step", 1) != 1 {
			c.Set("decoder_sparse_step", "1")
		}
		return true
	case slices.Contains(want[first:], dense):
		return false
	case family == "afmoe" || family == "lfm2_moe" || mlpRules[family] == nil && c.Has("num_dense_layers"):
		c.Set("num_dense_layers", strconv.Itoa(first))
		return true
	case mlpRules[family] != nil || c.Has(firstDenseKey):
		c.Set(firstDenseKey, strconv.Itoa(first))
		return true
	}
	return false
}

func ropeRule(c *Config) layerRule {
	switch c.layerFamily() {
	case "llama4", "smollm3", "mistral_large4":
		return ropeKinds
	}
	if c.Has("no_rope_layer_interval") || len(c.kindList("no_rope_layers")) > 0 {
		return listed(every("no_rope_layer_interval", 0, "0", "1"), "no_rope_layers")
	}
	return nil
}

// indexerRule says which layers look for their tokens themselves, and which
// take the result of an earlier one.
func indexerRule(c *Config) layerRule {
	const full, shared = "full", "shared"
	schedule := func(c *Config, n int) []string {
		if letters := c.String("index_topk_pattern"); len(letters) >= n && n > 0 {
			return each(func(_ *Config, i, _ int) string { return either(letters[i] == 'F', full, shared) })(c, n)
		}
		if list := c.kindList("index_topk_pattern"); len(list) >= n && n > 0 {
			return list[:n]
		}
		freq, offset := max(1, c.number("index_topk_freq", 1)), c.number("index_skip_topk_offset", 2)
		return each(func(_ *Config, i, _ int) string { return either(max(0, i-offset+1)%freq == 0, full, shared) })(c, n)
	}
	switch c.layerFamily() {
	case "glm_moe_dsa", "glm5_next", "mistral_large4":
		return listed(schedule, "indexer_types")
	case "hy_v4":
		return listed(each(func(_ *Config, i, _ int) string { return either(i == 0 || i%4 == 1, full, shared) }), "indexer_types")
	}
	if len(c.kindList("indexer_types")) > 0 {
		return listed(nil, "indexer_types")
	}
	return nil
}

// crossRule says which layers attend to an image.
func crossRule(c *Config) layerRule {
	if c.layerFamily() != "mllama" && !c.Has("cross_attention_layers") {
		return nil
	}
	return indexed("cross_attention_layers", 0, "cross", "self", each(func(_ *Config, i, _ int) string {
		return either(i%5 == 3 && i < 40, "cross", "self")
	}))
}

const sharedKey = "num_kv_shared_layers"

// sharedRule says which layers, the last ones, take keys and values from an
// earlier one.
func sharedRule(c *Config) layerRule {
	def := 0
	if c.layerFamily() == "gemma3n" {
		def = 15
	}
	if c.number(sharedKey, def) == 0 {
		return nil
	}
	return each(func(c *Config, i, n int) string { return either(i >= n-c.number(sharedKey, def), "shared", "own") })
}

func fixShared(c *Config, want []string) bool {
	first := len(want)
	for first > 0 && want[first-1] == "shared" {
		first--
	}
	if slices.Contains(want[:first], "shared") {
		return false
	}
	c.Set(sharedKey, strconv.Itoa(len(want)-first))
	return true
}

// setKinds writes a list with an entry for each layer.
func (c *Config) setKinds(name string, kinds []string) bool {
	values := make([]string, len(kinds))
	for i, kind := range kinds {
		if values[i] = strconv.Quote(kind); kind == "0" || kind == "1" {
			values[i] = kind
		}
	}
	return c.setValues(name, values)
}

// setNumbers writes the list of the layers that are of one kind.
func (c *Config) setNumbers(name string, kinds []string, in string) bool {
	values := []string{}
	for i, kind := range kinds {
		if kind == in {
			values = append(values, strconv.Itoa(i))
		}
	}
	return c.setValues(name, values)
}

func (c *Config) setValues(name string, values []string) bool {
	if f := c.find("", name); f != nil && len(c.list("", name)) > 0 && len(values) > 0 {
		c.setList("", name, values)
	} else {
		c.Set(name, "["+strings.Join(values, ", ")+"]")
	}
	return true
}

// setPeriod looks for a period and an offset that name exactly the layers of
// one kind.
func (c *Config) setPeriod(period, offset string, kinds []string, in string) bool {
	first := slices.Index(kinds, in)
	if first < 0 {
		first = len(kinds)
	}
	for p := first + 1; p <= len(kinds)+1; p++ {
		fits := true
		for i, kind := range kinds {
			fits = fits && (kind == in) == (i%p == first)
		}
		if fits {
			c.Set(period, strconv.Itoa(p))
			c.Set(offset, strconv.Itoa(first))
			return true
		}
	}
	return false
}
