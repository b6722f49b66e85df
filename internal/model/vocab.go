package model

import (
	"slices"
	"strconv"
	"strings"
)

// vocabFields are the settings that give a number of tokens. type_vocab_size
// and its like are none.
var vocabFields = []string{"vocab_size", "decoder_vocab_size", "encoder_vocab_size", "src_vocab_size", "tgt_vocab_size", "text_vocab_size", "padded_vocab_size",
	"unpadded_vocab_size", "org_vocab_size", "vocab_size_per_layer_input", "audio_vocab_size", "vision_vocab_size", "n_words", "n_token", "n_vocab"}

// A VocabSize is a setting that gives a number of tokens.
type VocabSize struct {
	Path, Name string // the object that holds it, and its name there
	Size       int64
}

// VocabSizes returns all such settings, of all parts of a model.
func (c *Config) VocabSizes() []VocabSize {
	var all []VocabSize
	for i := range c.fields {
		f := &c.fields[i]
		if f.kind != '0' || !slices.Contains(vocabFields, f.name) {
			continue
		}
		if n, err := strconv.ParseInt(string(c.raw[f.valStart:f.valEnd]), 10, 64); err == nil && n > 0 {
			all = append(all, VocabSize{f.sub, f.name, n})
		}
	}
	return all
}

// VocabSize returns the number of tokens of the text vocabulary.
func (c *Config) VocabSize() (int64, bool) {
	for _, sub := range []string{c.TextPath(), ""} {
		if n, err := strconv.ParseInt(string(c.rawIn(sub, "vocab_size")), 10, 64); err == nil {
			return n, true
		}
	}
	return c.Int("vocab_size", "n_words", "n_token", "n_vocab")
}

// SetVocabSize gives one of the VocabSizes another value.
func (c *Config) SetVocabSize(v VocabSize) {
	if f := c.find(v.Path, v.Name); f != nil && f.kind == '0' {
		c.raw = splice(c.raw, f.valStart, f.valEnd, strconv.FormatInt(v.Size, 10))
		c.rescan()
	}
}

// OfText reports whether the setting may be that of the text vocabulary: it
// stands at the top or in a part that is for text.
func (v VocabSize) OfText() bool {
	return v.Path == "" || !OtherInput(v.Path)
}

// OtherInput reports whether a module or a part of config.json is by its name
// for something else than the text of the language model: pictures, sound, or
// the query transformer between them and the text.
func OtherInput(name string) bool {
	name = strings.ToLower(name)
	for component := range strings.SplitSeq(name, ".") {
		if otherModality(component) || slices.ContainsFunc([]string{"qformer", "talker", "code2wav", "token2wav", "code_predictor", "depth_decoder", "vocoder"},
			func(word string) bool { return strings.HasPrefix(component, word) }) {
			return true
		}
	}
	return false
}
