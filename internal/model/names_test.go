package model

import (
	"testing"

	"slerpmerge/internal/tensor"
)

func TestOneEnd(t *testing.T) {
	for config, want := range map[string]bool{
		`{"tie_word_embeddings": true}`:  true,
		`{}`:                             true,
		`{"tie_word_embeddings": false}`: false,
		`{"text_config": {"tie_word_embeddings": false}}`:                   false,
		`{"architectures": ["LlamaForCausalLM"]}`:                           true,
		`{"architectures": ["GPT2LMHeadModel"]}`:                            true,
		`{"architectures": ["BertModel"]}`:                                  false,
		`{"architectures": ["LlamaModel"], "tie_word_embeddings": true}`:    false,
		`{"architectures": ["LlavaForConditionalGeneration"], "x": [1, 2]}`: true,
		`{"architectures": ["MarianMTModel"]}`:                              true,
		`{"architectures": ["IdeficsForVisionText2Text"]}`:                  true,
		`{"architectures": ["ImageGPTForCausalImageModeling"]}`:             true,
		`{"architectures": ["Pix2StructTextModel"]}`:                        true,
		`{"architectures": ["SomethingNew"]}`:                               true,
		`{"architectures": ["T5EncoderModel"]}`:                             false,
		`{"architectures": ["BertForSequenceClassification"]}`:              false,
		`{"architectures": ["T5ForQuestionAnswering"]}`:                     false,
	} {
		c, err := ParseConfig([]byte(config))
		if err != nil {
			t.Fatal(err)
		}
		m := &Model{Config: c, Tensors: []Tensor{{Info: tensor.Info{Name: "model.norm.weight"}}, {Info: tensor.Info{Name: "model.embed_tokens.weight"}}}}
		if got := m.OneEnd(); got != want {
			t.Errorf("%s: %v, want %v", config, got, want)
		}
		m.Tensors = append(m.Tensors, Tensor{Info: tensor.Info{Name: "lm_head.weight"}})
		m.endsKnown = false
		if m.OneEnd() {
			t.Errorf("%s: tied beside a head", config)
		}
	}
}

// A head that metadata give as the embedding is both ends, whatever else is
// called an embedding.
func TestOneEndByMetadata(t *testing.T) {
	c, err := ParseConfig([]byte(`{"model_type": "marian", "share_encoder_decoder_embeddings": false}`))
	if err != nil {
		t.Fatal(err)
	}
	m := &Model{Config: c, Tensors: []Tensor{
		{Info: tensor.Info{Name: "lm_head.weight", DType: tensor.F32, Shape: []uint64{1}}},
		{Info: tensor.Info{Name: "model.encoder.embed_tokens.weight", DType: tensor.F32, Shape: []uint64{1}}},
	}}
	m.drop(map[string]string{"model.decoder.embed_tokens.weight": "lm_head.weight"})
	stored := func(name string) bool { _, ok := m.Lookup(name); return ok }
	if source, ok := m.TieSource("lm_head.weight", stored); ok {
		t.Errorf("the head is taken for %s, the embedding of the encoder", source)
	}
}
