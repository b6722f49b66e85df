package model

import (
	"slices"
	"strings"
)

// Kinds of layers, by the names that transformers gives them.
const (
	fullAttention    = "full_attention"
	slidingAttention = "sliding_attention"
	linearAttention  = "linear_attention"
	indexedAttention = "indexed_attention"
	dense            = "dense"
	sparse           = "sparse"
)

// attentionRules say by model_type how the configuration classes of
// transformers (configuration_*.py, __post_init__) make layer_types where
// config.json has no such list. All of them take the list where there is one.
var attentionRules = map[string]layerRule{
	"afmoe":            every("global_attn_every_n_layers", 4, fullAttention, slidingAttention),
	"bailing_hybrid":   every("layer_group_size", 6, fullAttention, linearAttention),
	"beam":             lastIs(fullAttention, every("", 6, fullAttention, slidingAttention)),
	"cohere2":          every("sliding_window_pattern", 4, fullAttention, slidingAttention),
	"cohere2_moe":      cohereAttention,
	"cwm":              everyFirst("", 4, fullAttention, slidingAttention),
	"deepseek_v4":      deepseekAttention,
	"diffusion_gemma":  every("", 6, fullAttention, slidingAttention),
	"dots1":            slidingFrom("max_window_layers", 62),
	"dots3_note":       each(func(_ *Config, i, _ int) string { return either(i < 2 || i%4 == 1, fullAttention, slidingAttention) }),
	"embedding_gemma2": every("sliding_window_pattern", 6, fullAttention, slidingAttention),
	"exaone4":          exaoneAttention,
	"exaone_moe":       exaoneAttention,
	"flint": each(func(_ *Config, i, n int) string {
		return either(i < 2 || i%4 == 1 || i == n-1, fullAttention, slidingAttention)
	}),
	"gemma2":         every("", 2, fullAttention, slidingAttention),
	"gemma3":         every("sliding_window_pattern", 6, fullAttention, slidingAttention),
	"gemma3n":        every("", 5, fullAttention, slidingAttention),
	"gemma4":         every("", 6, fullAttention, slidingAttention),
	"gemma4_unified": every("", 6, fullAttention, slidingAttention),
	"glm5_next":      every("", 4, indexedAttention, linearAttention),
	"gpt_oss":        every("", 2, fullAttention, slidingAttention),
	"granite_swa":    everyFirst("", 4, fullAttention, slidingAttention),
	"granitemoe_swa": everyFirst("", 4, fullAttention, slidingAttention),
	"inkling":        indexed("local_layer_ids", 0, "hybrid_sliding", "hybrid", every("", 6, "hybrid", "hybrid_sliding")),
	"inkling2":       every("", 6, "hybrid", "hybrid_sliding"),
	"kimi_linear":    kimiAttention,
	"kolibri1":       every("", 5, fullAttention, slidingAttention),
	"lfm2":           indexed("full_attn_idxs", 0, fullAttention, "conv", alike(fullAttention)),
	"lfm3":           each(lfm3Attention),
	"llama4":         llama4Attention,
	"mimo_v2_flash": each(func(_ *Config, i, _ int) string {
		return either(i == 0 || (i+1)%6 == 0, fullAttention, slidingAttention)
	}),
	"minimax":            every("", 2, linearAttention, fullAttention),
	"modernbert":         everyFirst("global_attn_every_n_layers", 3, fullAttention, slidingAttention),
	"modernbert-decoder": everyFirst("global_attn_every_n_layers", 3, fullAttention, slidingAttention),
	"neomme": each(func(_ *Config, i, n int) string {
		return either((i+1)%6 == 0 || i == n-1, fullAttention, slidingAttention)
	}),
	"olmo3":               every("", 4, fullAttention, slidingAttention),
	"olmo_hybrid":         olmoAttention,
	"qwen2":               qwenAttention,
	"qwen2_5_omni":        qwenAttention,
	"qwen2_5_omni_talker": qwenAttention,
	"qwen2_5_vl":          qwenAttention,
	"qwen2_moe":           qwenMoeAttention,
	"qwen2_vl":            qwenAttention,
	"qwen3":               qwenAttention,
	"qwen3_5":             every("full_attention_interval", 4, fullAttention, linearAttention),
	"qwen3_5_moe":         every("full_attention_interval", 4, fullAttention, linearAttention),
	"qwen3_next":          every("full_attention_interval", 4, fullAttention, linearAttention),
	"qwen4_exp":           every("full_attention_interval", 4, indexedAttention, linearAttention),
	"smollm3":             smolAttention,
	"t5gemma":             every("", 2, fullAttention, slidingAttention),
	"t5gemma2":            every("sliding_window_pattern", 6, fullAttention, slidingAttention),
	"ultrabert":           every("", 3, fullAttention, slidingAttention),
	"vaultgemma":          every("", 2, fullAttention, slidingAttention),
}

// lastIsFull are the families whose last layer has full attention whatever
// their list says.
var lastIsFull = []string{"diffusion_gemma", "embedding_gemma2", "gemma4", "gemma4_unified"}

// fixedAttention are rules of classes that know no list of kinds.
var fixedAttention = map[string]layerRule{
	"gpt_neo":         gptNeoAttention,
	"jamba":           jambaAttention,
	"muse_glimmer":    museAttention,
	"muse_spark":      museAttention,
	"nemotron_h":      nemotronAttention,
	"recurrent_gemma": recurrentAttention,
	"zamba":           listed(zambaAttention, "layers_block_type"),
	"zamba2":          listed(each(zamba2Attention), "layers_block_type"),
}

// mlpRules say by model_type which layers are mixtures of experts where there
// is not a list of it. The classes of listedMLP take mlp_layer_types.
var mlpRules = map[string]layerRule{
	"afmoe":           below("num_dense_layers", 1, dense, sparse),
	"axk1":            firstDense(1),
	"axk2":            firstDense(1),
	"bailing_hybrid":  firstDense(2),
	"beam":            below("", 3, dense, sparse),
	"cohere2_moe":     firstDense(0),
	"deepseek_v2":     below(firstDenseKey, 0, dense, sparse),
	"deepseek_v3":     below(firstDenseKey, 3, dense, sparse),
	"deepseek_v32":    firstDense(3),
	"deepseek_v4":     below("num_hash_layers", 3, "hash_moe", "moe"),
	"dots1":           below(firstDenseKey, 0, dense, sparse),
	"dots3_note":      firstDense(1),
	"ernie4_5_moe":    each(ernieMLP),
	"ernie4_5_vl_moe": below("", 1, dense, sparse),
	"exaone_moe":      firstDense(1),
	"flint":           each(qwenMLP),
	"glm4_moe":        below(firstDenseKey, 1, dense, sparse),
	"glm4_moe_lite":   below("", 1, dense, sparse),
	"glm4v_moe":       below(firstDenseKey, 1, dense, sparse),
	"glm5_next":       below("", 3, dense, sparse),
	"glm_moe_dsa":     firstDense(3),
	"hy_v3":           below("", 1, dense, sparse),
	"hy_v4":           below("", 1, dense, sparse),
	"inkling":         below("dense_mlp_idx", 0, dense, sparse),
	"jamba":           jambaMLP,
	"kimi_linear":     firstDense(1),
	"laguna":          below("", 1, dense, sparse),
	"lfm2_moe":        below("num_dense_layers", 2, dense, sparse),
	"llama4":          indexed("moe_layers", 0, sparse, dense, every("interleave_moe_layer_step", 1, sparse, dense)),
	"mimo_v2_flash":   below("", 1, dense, sparse),
	"mistral4":        below(firstDenseKey, 0, dense, sparse),
	"mistral_large4":  firstDense(3),
	"qwen2_moe":       each(qwenMLP),
	"qwen3_moe":       each(qwenMLP),
	"qwen3_next":      each(qwenMLP),
	"qwen3_omni_moe":  each(qwenMLP),
	"qwen3_vl_moe":    each(qwenMLP),
	"step3p5":         indexed("moe_layers_enum", 0, sparse, dense, below("", 3, dense, sparse)),
}

// listedMLP are the families whose class takes mlp_layer_types.
var listedMLP = []string{"axk1", "axk2", "bailing_hybrid", "beam", "cohere2_moe", "deepseek_v32", "deepseek_v4", "dots3_note", "ernie4_5_vl_moe", "exaone_moe",
	"glm4_moe_lite", "glm5_next", "glm_moe_dsa", "hy_v3", "hy_v4", "inkling", "kimi_linear", "laguna", "mimo_v2_flash", "mistral_large4", "step3p5"}

// byPlace are the families whose class gives layers other tensors by their
// place, whatever config.json says: the first or the last one, or those that
// share a block with an earlier one.
var byPlace = []string{"gpt_neox_japanese", "inkling2", "modernbert", "modernbert-decoder", "rwkv", "zamba", "zamba2", "zaya"}

// placeNumbers are the families in which the place of a layer, or its place
// among all layers, enters its arithmetic, and as what.
var placeNumbers = map[string]string{"diffllama": "lambda_init", "minimax": "the decay of linear attention"}

// LayersByPlace reports whether the class goes by a layer's place.
func (c *Config) LayersByPlace() bool {
	return slices.Contains(byPlace, c.LanguagePart().layerFamily())
}

const firstDenseKey = "first_k_dense_replace"

// firstDense returns the rule of first_k_dense_replace, with moe_layer_freq beside
// it: a period, or a list with an entry for each layer.
func firstDense(def int) layerRule {
	return func(c *Config, n int) []string {
		first, freq := c.number(firstDenseKey, def), c.number("moe_layer_freq", 1)
		flags := c.kindList("moe_layer_freq")
		kinds := make([]string, n)
		for i := range kinds {
			kinds[i] = either(i >= first && (len(flags) <= i || flags[i] != "0") && (freq < 1 || i%freq == 0), sparse, dense)
		}
		return kinds
	}
}

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

func slidingFrom(key string, def int) layerRule {
	return each(func(c *Config, i, _ int) string {
		return either(!c.isNull("sliding_window", false) && i >= c.number(key, def), slidingAttention, fullAttention)
	})
}

var qwenAttention = each(func(c *Config, i, _ int) string {
	sliding := c.isTrue("use_sliding_window", false) && !c.isNull("sliding_window", false)
	return either(sliding && i >= c.number("max_window_layers", 28), slidingAttention, fullAttention)
})

var qwenMoeAttention = each(func(c *Config, i, _ int) string {
	return either(c.isTrue("use_sliding_window", false) && i%2 == 0 && i < c.number("max_window_layers", 28), slidingAttention, fullAttention)
})

func cohereAttention(c *Config, n int) []string {
	first := min(c.number(firstDenseKey, 0), n)
	return append(every("prefix_dense_sliding_window_pattern", 1, fullAttention, slidingAttention)(c, first),
		every("sliding_window_pattern", 4, fullAttention, slidingAttention)(c, n-first)...)
}

func deepseekAttention(c *Config, n int) []string {
	const heavy, light = "heavily_compressed_attention", "compressed_sparse_attention"
	if ratios := c.kindList("compress_ratios"); len(ratios) >= n {
		return ratios[:n]
	}
	return each(func(_ *Config, i, _ int) string { return either(i < 2 || i%2 == 0, heavy, light) })(c, n)
}

// exaoneAttention takes sliding_window_pattern as a period or as letters: L is
// local, G is global.
func exaoneAttention(c *Config, n int) []string {
	if letters := strings.ToUpper(c.String("sliding_window_pattern")); letters != "" {
		return each(func(_ *Config, i, n int) string {
			return either(letters[i%len(letters)] == 'G' || i == n-1, fullAttention, slidingAttention)
		})(c, n)
	}
	if c.isNull("sliding_window", false) {
		return alike(fullAttention)(c, n)
	}
	return every("sliding_window_pattern", 4, fullAttention, slidingAttention)(c, n)
}

// kimiAttention counts layers from 1 in linear_attn_config.
func kimiAttention(c *Config, n int) []string {
	if part, err := c.object("linear_attn_config"); err == nil && part.Has("kda_layers") && part.Has("full_attn_layers") {
		return indexed("full_attn_layers", 1, fullAttention, linearAttention, nil)(part, n)
	}
	return each(func(_ *Config, i, _ int) string { return either(i > 0 && i%4 == 0, fullAttention, linearAttention) })(c, n)
}

func lfm3Attention(_ *Config, i, _ int) string {
	switch {
	case i%4 == 2:
		return fullAttention
	case i%4 == 0 && i > 0:
		return slidingAttention
	}
	return "conv"
}

// ropeKinds are 1 for the layers that have positions, and 0 for the others.
var ropeKinds = listed(every("no_rope_layer_interval", 4, "0", "1"), "no_rope_layers")

func llama4Attention(c *Config, n int) []string {
	kinds := ropeKinds(c, n)
	for i := range kinds {
		kinds[i] = either(kinds[i] != "0", "chunked_attention", fullAttention)
	}
	return kinds
}

func smolAttention(c *Config, n int) []string {
	kinds := ropeKinds(c, n)
	sliding := c.isTrue("use_sliding_window", false) && !c.isNull("sliding_window", true)
	for i := range kinds {
		kinds[i] = either(sliding && kinds[i] == "0", slidingAttention, fullAttention)
	}
	return kinds
}

func olmoAttention(c *Config, n int) []string {
	kinds := every("", 4, fullAttention, linearAttention)(c, n)
	if n > 0 && !slices.Contains(kinds, fullAttention) {
		kinds[n-1] = fullAttention
	}
	return kinds
}

// museAttention counts from the last layer.
var museAttention = listed(each(func(_ *Config, i, n int) string { return either((n-1-i)%4 == 0, fullAttention, slidingAttention) }), "layer_types")

var jambaAttention = periodic("attn_layer_period", 8, "attn_layer_offset", 4, fullAttention, linearAttention)
var jambaMLP = periodic("expert_layer_period", 2, "expert_layer_offset", 1, sparse, dense)

// periodic gives one layer of each period, that of the offset, one kind.
func periodic(period string, defPeriod int, offset string, defOffset int, in, out string) layerRule {
	return each(func(c *Config, i, _ int) string {
		p := c.number(period, defPeriod)
		return either(p > 0 && i%p == c.number(offset, defOffset), in, out)
	})
}

// nemotronAttention reads hybrid_override_pattern, a letter for each layer.
func nemotronAttention(c *Config, n int) []string {
	letters := c.String("hybrid_override_pattern")
	if len(letters) < n {
		return listed(nil, "layers_block_type", "layer_types")(c, n)
	}
	names := map[byte]string{'M': linearAttention, 'E': "moe", '*': fullAttention, '-': "mlp"}
	return each(func(_ *Config, i, _ int) string {
		if name, ok := names[letters[i]]; ok {
			return name
		}
		return letters[i : i+1]
	})(c, n)
}

// recurrentAttention repeats block_types as often as is needed.
func recurrentAttention(c *Config, n int) []string {
	kinds := c.kindList("block_types")
	if len(kinds) == 0 {
		kinds = []string{"recurrent", "recurrent", fullAttention}
	}
	return each(func(_ *Config, i, _ int) string { return kinds[i%len(kinds)] })(c, n)
}

func zambaAttention(c *Config, n int) []string {
	kinds := []string{linearAttention, linearAttention, "hybrid"}
	return append(kinds[:min(3, n)], periodic("attn_layer_period", 6, "attn_layer_offset", 4, "hybrid", linearAttention)(c, max(0, n-3))...)
}

func zamba2Attention(_ *Config, i, _ int) string {
	return either(i > 0 && i <= 42 && i%6 == 0 || i == 47 || i == 51, "hybrid", linearAttention)
}

// gptNeoAttention expands attention_types, such as [[["global", "local"], 12]].
func gptNeoAttention(c *Config, n int) []string {
	var kinds []string
	for _, group := range c.list("", "attention_types") {
		pair := listOf([]byte(group))
		if len(pair) != 2 {
			return nil
		}
		names, times := listOf([]byte(pair[0])), atoi(pair[1])
		for ; times > 0 && len(names) > 0 && len(kinds) <= n; times-- {
			for _, name := range names {
				kinds = append(kinds, strings.Trim(name, `"`))
			}
		}
	}
	if len(kinds) == 0 {
		return each(func(_ *Config, i, _ int) string { return either(i%2 == 0, "global", "local") })(c, n)
	}
	return kinds // of another number of layers, the class refuses them
}

func ernieMLP(c *Config, i, n int) string {
	end := c.number("moe_layer_end_index", -1)
	if end < 0 {
		end = n - 1
	}
	period := max(1, c.number("moe_layer_interval", 1))
	return either((i+1)%period == 0 && i >= c.number("moe_layer_start_index", 1) && i <= end, sparse, dense)
}

// qwenMLP returns the rule of mlp_only_layers and decoder_sparse_step.
func qwenMLP(c *Config, i, _ int) string {
	only, ok := c.numbers("mlp_only_layers")
	if !ok && c.layerFamily() == "flint" {
		only = []int{0, 1}
	}
	step := max(1, c.number("decoder_sparse_step", 1))
	return either(!slices.Contains(only, i) && (i+1)%step == 0, sparse, dense)
}
