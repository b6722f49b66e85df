package model

import (
	"slices"
	"strings"
	"testing"
)

// TestCompanions sorts what may stand in a model's folder: the tokenizer's
// files, other settings, and what is left behind.
func TestCompanions(t *testing.T) {
	// vocab_files_names of all tokenizer classes of transformers 5.23, then its
	// other tokenizer files, then those of models with code of their own.
	const tokenizer = "bpe.codes byte_maps.json dict.txt emoji.json entity_vocab.json merges.txt normalizer.json prophetnet.tokenizer sentencepiece.bpe.model " +
		"sentencepiece.model source.spm spiece.model spm.model spm_char.model target.spm target_vocab.json tokenizer.json tokenizer.model tokenizer_config.json " +
		"vocab-src.json vocab-tgt.json vocab.json vocab.txt word_pronunciation.json word_shape.json " +
		"added_tokens.json chat_template.jinja chat_template.json special_tokens_map.json additional_chat_templates/tool_use.jinja " +
		"qwen.tiktoken tiktoken.model tekken.json ice_text.model tokenizer.model.v3"
	const settings = "generation_config.json preprocessor_config.json processor_config.json video_preprocessor_config.json audio_tokenizer_config.json " +
		"modules.json config_sentence_transformers.json sentence_bert_config.json sentence_xlm-roberta_config.json"
	const others = "modeling_custom.py onnx/model.onnx original/params.json tf_model.h5 trainer_state.json model.Q4.gguf notes.txt pytorch_model.bin"
	const silent = "config.json model.safetensors README.md SHA256SUMS slerpmerge.json slerpmerge.parent.json .gitattributes .DS_Store .cache/huggingface/x .git/HEAD " +
		"Thumbs.db __pycache__/x.pyc LICENSE"
	dir := makeFolder(t, strings.Fields(strings.Join([]string{tokenizer, settings, others, silent}, " "))...)
	m := &Model{Path: dir, Dir: dir, Files: []File{{Name: "model.safetensors"}}}
	folder, err := new(Model).newWeightFolder(nil, dir, "")
	if err == nil {
		err = m.list(folder.names, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, got []string, names string) {
		t.Helper()
		list := strings.Fields(names)
		slices.Sort(list)
		if !slices.Equal(got, list) {
			t.Errorf("%s:\n%q, want\n%q", what, got, list)
		}
	}
	want("tokenizer", m.Companions(true), tokenizer)
	want("settings", m.Companions(false), settings)
	want("licences", m.Licences(), "LICENSE")
	taken := func(name string) bool { return name == "LICENSE" || name == "notes.txt" }
	want("others", m.Others(taken), "modeling_custom.py onnx/ original/ tf_model.h5 trainer_state.json model.Q4.gguf pytorch_model.bin")
	want("of a weight file alone", (&Model{}).Others(taken), "")
}
