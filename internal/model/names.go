package model

import (
	"slices"
	"strconv"
	"strings"

	"slerpmerge/internal/tensor"
)

// LayerOf splits "model.layers.7.mlp.up_proj.weight" into "model.layers" and
// 7, and reports whether there is a number to split at.
func LayerOf(name string) (prefix string, n int, ok bool) {
	for at := 0; ; {
		dot := strings.IndexByte(name[at:], '.')
		if dot < 0 {
			return "", 0, false
		}
		start := at + dot + 1
		end := start
		for end < len(name) && name[end] >= '0' && name[end] <= '9' {
			end++
		}
		if end > start && end < len(name) && name[end] == '.' {
			if n, err := strconv.Atoi(name[start:end]); err == nil && n < 1<<20 {
				return name[:start-1], n, true
			}
		}
		at = start
	}
}

// Heads and embeddings go by these names across the families of transformers.
var (
	headNames      = []string{"lm_head.weight", "embed_out.weight", "cls.predictions.decoder.weight"}
	embeddingNames = []string{"embed_tokens.weight", "wte.weight", "embed_in.weight", "word_embeddings.weight", "tok_embeddings.weight"}
)

func endsIn(name string, endings []string) bool {
	for _, e := range endings {
		if name == e || strings.HasSuffix(name, "."+e) {
			return true
		}
	}
	return false
}

// IsHead reports whether a name is that of a language-model head.
func IsHead(name string) bool { return endsIn(name, headNames) || name == "output.weight" }

// IsEmbedding reports whether a name is that of the input embedding.
func IsEmbedding(name string) bool { return endsIn(name, embeddingNames) }

// IsBuffer reports whether a tensor is one that old checkpoints hold and that
// transformers works out itself: rotary frequencies and causal masks.
func IsBuffer(t tensor.Info) bool {
	mask := !t.DType.Blends() && endsIn(t.Name, []string{"attn.bias", "attention.bias"})
	return mask || endsIn(t.Name, []string{"rotary_emb.inv_freq", "masked_bias"})
}

// WorksOut reports whether a name is that of a table which transformers makes
// anew for a model of this type and leaves out when it saves one: files of one
// model have it or not by their format.
func (m *Model) WorksOut(name string) bool {
	return m.Config != nil && m.Config.String("model_type") == "marian" &&
		endsIn(name, []string{"encoder.embed_positions.weight", "decoder.embed_positions.weight"})
}

// BeforeLayers reports whether a tensor that belongs to no layer stands before
// all of them: an embedding, of tokens or positions, and its norm.
func BeforeLayers(name string) bool {
	if IsHead(name) {
		return false
	}
	return strings.Contains(name, "embed") || endsIn(name, []string{"wte.weight", "wpe.weight"})
}

// Words in the names of classes without a language-model head, except those
// that have one of headClasses too.
var (
	withoutHead = []string{"Classification", "QuestionAnswering", "MultipleChoice", "NextSentence", "Detection", "Segmentation", "Retrieval", "Regression", "RewardModel"}
	headClasses = []string{"LM", "ForConditionalGeneration", "ForPreTraining", "DoubleHeads", "GenerationDecoder", "SeamlessM4TModel", "SeamlessM4Tv2Model",
		"ToText", "ToSpeech", "BlipForQuestionAnswering", "ForBlockDiffusion", "ToPhraseAlignment", "ForCTC",
		"MTModel", "Text2Text", "CausalImageModeling", "Pix2StructTextModel"}
)

// headless reports whether the class that config.json names has no
// language-model head at all, such as BertModel. A class whose name says
// nothing of that may have one.
func (m *Model) headless() bool {
	classes := m.Config.Strings("architectures")
	return len(classes) > 0 && !slices.ContainsFunc(classes, func(class string) bool {
		has := func(part string) bool { return strings.Contains(class, part) }
		bare := strings.HasSuffix(class, "Model") || strings.HasSuffix(class, "Encoder")
		return slices.ContainsFunc(headClasses, has) || !bare && !slices.ContainsFunc(withoutHead, has)
	})
}

// SaysTied reports whether config.json says in so many words that the head is
// tied to the embedding.
func (m *Model) SaysTied() bool {
	if m.Config == nil {
		return false
	}
	tied, ok := m.Config.Bool("tie_word_embeddings")
	return ok && tied && m.Config.Tied()
}
