package model

import "strings"

// Model types of transformers 5 whose config ties nothing where
// tie_word_embeddings is not said. All others tie.
const untiedTypes = `
afmoe apertus arcee aria aria_text axk1 axk2 bailing_hybrid bamba beam bitnet blt blt_global_transformer blt_local_decoder blt_local_encoder
blt_patcher bridgetower chameleon codegen cohere_asr cohere_compass cosmos3_edge cosmos3_edge_text cosmos3_omni cwm dbrx deepseek_ocr2
deepseek_ocr2_encoder deepseek_ocr2_text deepseek_v2 deepseek_v3 deepseek_v32 deepseek_v4 diffllama doge dots1 dots3_note dots3_note_text emu3
emu3_text_model esmc eurobert evolla exaone4 exaone4_5 exaone_moe falcon_h1 fast_vlm flex_olmo flint fsmt fuyu git glm glm4 glm46v glm4_moe
glm4_moe_lite glm4v glm4v_moe glm4v_moe_text glm5_next glm5_next_text glm_image glm_moe_dsa glm_ocr glmga gpt_neox gpt_oss gptj granite
granite4_vision granite4_vision_text granitemoe granitemoe_swa granitemoehybrid granitemoeshared helium higgs_audio_v2 hrm_text hunyuan_v1_dense
hunyuan_v1_moe hy_v3 hy_v4 hyperclovax idefics idefics2 idefics3 imagegpt internlm3 iquestcoder jais2 jamba kimi_linear kolibri1 kyutai_speech_to_text
laguna llama llama4 llama4_text llava llava_next llava_next_video llava_onevision longcat_flash mamba2 mellum mimo_v2_flash minicpmv4_6 minicpmv4_7
minimax minimax_m2 minimax_m3_vl minimax_m3_vl_text ministral ministral3 mistral mistral4 mistral_large4 mistral_large4_text mixtral mllama_text_model
modernvbert molmo2 molmo2_text moonshine_streaming moshi moshi_depth muse_glimmer_text muse_spark_text musicgen_decoder musicgen_melody_decoder
nanochat nemotron nemotron_h neucodec olmo olmo2 olmo3 olmo_hybrid olmoe openai_privacy_filter perception_lm persimmon phi phi3 phi4_multimodal phimoe
pix2struct pix2struct_text_model pp_formulanet_text qianfan_ocr qwen2 qwen2_5_omni_talker qwen2_5_omni_thinker qwen2_5_vl qwen2_moe qwen2_vl qwen3
qwen3_5 qwen3_5_moe qwen3_5_moe_text qwen3_5_text qwen3_moe qwen3_next qwen3_omni_moe_talker_code_predictor qwen3_omni_moe_talker_text
qwen3_omni_moe_thinker qwen3_vl qwen3_vl_moe qwen4_exp qwen4_exp_text reformer rembert rwkv seed_oss smolvlm solar_open stablelm step3p5 ultrabert
ultravbert unlimited_ocr unlimited_ocr_text vibevoice video_llama_3 video_llava vipllava xcodec2 xlstm
`

// Types of several parts that are tied where their own tie_word_embeddings is
// not said, whatever that of the text model is.
const tiedWholes = `
aya_vision blip cohere2_vision deepseek_vl deepseek_vl_hybrid diffusion_gemma ernie4_5_vl_moe flava florence2 fun_asr_nano gemma3 gemma3n gemma4
gemma4_unified gemma4_unified_assistant glmasr got_ocr2 granite_docling granite_speech granite_speech_plus grounding-dino hunyuan_vl
hyperclovax_vision_v2 internvl janus kimi_k25 kosmos-2 lfm2_vl lfm3_vl lighton_ocr minicpm_ocr mistral3 mm-grounding-dino moss_transcribe_diarize
ovis2 paddleocr_vl paligemma pe_audio_video qwen3_asr voxtral_realtime
`

// Types that are tied where either their own tie_word_embeddings or that of
// the text model is true.
const tiedByEither = `
fast_vlm glm4v glm4v_moe glm_ocr hunyuan_vl llava llava_next_video llava_onevision minimax_m3_vl paddleocr_vl qwen2_5_vl
qwen2_vl shieldgemma2 video_llama_3
`

// Types that take tie_word_embeddings of the text model: always, or where
// their own is not said.
const (
	tiedByText = `vibevoice`
	textIsNext = `perception_lm`
)

// Types that tie whatever config.json says. For some of them
// tie_word_embeddings says something else: T5 scales by it.
const alwaysTied = `longt5 mt5 pop2piano t5 udop umt5 vilt`

// isListed reports whether a list of words has one.
func isListed(list, kind string) bool {
	for word := range strings.FieldsSeq(list) {
		if word == kind {
			return true
		}
	}
	return false
}

// Tied reports whether transformers 5 ties the weights of a model with this
// config.json, if they do not differ: by tie_word_embeddings of the whole or of
// the text model, by the rules and defaults of the model type.
func (c *Config) Tied() bool {
	kind := c.String("model_type")
	own, said := c.flag("tie_word_embeddings")
	switch {
	case isListed(alwaysTied, kind):
		return true
	case kind == "csm": // "false" of tie_word_embeddings means nothing there
		codebooks, ok := c.flag("tie_codebooks_embeddings")
		return codebooks || !ok
	}
	if strings.HasPrefix(kind, "lfm2") {
		if old, ok := c.flag("tie_embedding"); ok {
			own, said = old, true
		}
	}
	text, parted := c.textModel()
	switch {
	case isListed(tiedByEither, kind):
		if !said {
			own = !isListed(untiedTypes, kind)
		}
		return own || parted && text.Tied()
	case parted && (isListed(tiedByText, kind) || isListed(textIsNext, kind) && !said):
		return text.Tied()
	case said:
		return own
	case isListed(untiedTypes, kind):
		return false
	case parted && !isListed(tiedWholes, kind): // a type that transformers does not know
		return text.Tied()
	}
	return true
}

// SharesEmbeddings reports whether encoder and decoder have one embedding, as
// they do in all types but Marian, which may say otherwise.
func (c *Config) SharesEmbeddings() bool {
	shared, said := c.flag("share_encoder_decoder_embeddings")
	return shared || !said
}

// Untie makes the config say that nothing is tied, and reports whether this
// type of model lets it say so.
func (c *Config) Untie() bool {
	kind := c.String("model_type")
	if isListed(alwaysTied, kind) {
		return false
	}
	name := "tie_word_embeddings"
	if kind == "csm" {
		name = "tie_codebooks_embeddings"
	} else {
		c.SetAll("tie_embedding", "false")
		c.SetAll(name, "false")
	}
	if c.Tied() {
		c.Set(name, "false")
	}
	if c.Tied() { // by the text model's default
		for _, sub := range textMembers {
			c.setIn(sub, name, "false")
		}
	}
	return !c.Tied()
}

// textMembers hold the config of the text model, which has a model type and
// defaults of its own.
var textMembers = []string{"text_config", "llm_config", "language_config"}

// textModel returns the config of the text model, where the model has other parts.
func (c *Config) textModel() (text *Config, ok bool) {
	for _, name := range textMembers {
		if raw := c.Raw(name); len(raw) > 0 && raw[0] == '{' {
			if text, err := ParseConfig(raw); err == nil {
				return text, true
			}
		}
	}
	return nil, false
}

// flag returns a boolean member at the top level.
func (c *Config) flag(name string) (value, ok bool) {
	text := string(c.Raw(name))
	return text == "true", text == "true" || text == "false"
}

// part returns the config of a part of the model, found by the first names of its
// tensors, such as "language_model." or "thinker."; c itself where no member of
// c describes it.
func (c *Config) part(prefix string) *Config {
	for word := range strings.SplitSeq(strings.TrimSuffix(prefix, "."), ".") {
		if word == "" || word == "model" {
			continue
		}
		members := []string{word + "_config", word}
		if strings.Contains(word, "text") || strings.Contains(word, "language") {
			members = append(members, textMembers...)
		}
		for _, name := range members {
			if raw := c.Raw(name); len(raw) > 0 && raw[0] == '{' {
				if sub, err := ParseConfig(raw); err == nil {
					_, rest, _ := strings.Cut(prefix, word+".")
					return sub.part(rest)
				}
			}
		}
	}
	return c
}
