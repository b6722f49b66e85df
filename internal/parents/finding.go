// Package parents compares two parents of a merge in all but their weights:
// config.json, tokenizers, special tokens and chat templates. A difference that
// matters is a [Finding]; plans, comparisons and pages show the same ones.
package parents

import (
	"fmt"
	"slices"

	"slerpmerge/internal/model"
)

// A Weight says how much a finding matters.
type Weight uint8

const (
	// Forbids: tensors of the parents can't fit together.
	Forbids Weight = iota
	// Grave: hardly any merge survives it.
	Grave
	// Ordinary: it may change what the output does.
	Ordinary
	// Slight: it rarely matters.
	Slight
	// Setting: some setting that says nothing about the weights.
	Setting
)

// A Finding is one difference between the parents.
type Finding struct {
	Weight Weight
	Text   string
	Depth  bool // it says that the numbers of layers differ
}

// Options say how two parents are compared.
type Options struct {
	// Depth has different numbers of layers forbid the merge.
	Depth bool
	// Memory bounds the size in bytes of tokenizer files that are parsed: reading
	// one takes a part of its size.
	Memory int64
}

// Compare compares a, the primary, and another parent.
func Compare(a, b *model.Model, opt Options) []Finding {
	c := &comparison{a: a, b: b, memory: opt.Memory}
	if a.Config == nil || b.Config == nil {
		if a.Config == nil && a.Dir != "" || b.Config == nil && b.Dir != "" {
			c.warnUnconfigured()
		}
		return c.found
	}
	c.compareSizes(opt.Depth)
	c.compareSettings()
	c.compareTokenizers()
	c.compareOutlines()
	return c.found
}

// A comparison gathers the findings about two parents.
type comparison struct {
	a, b   *model.Model
	memory int64
	found  []Finding
}

func (c *comparison) add(w Weight, format string, args ...any) {
	c.found = append(c.found, Finding{Weight: w, Text: fmt.Sprintf(format, args...)})
}

func (c *comparison) grave(format string, args ...any)  { c.add(Grave, format, args...) }
func (c *comparison) warn(format string, args ...any)   { c.add(Ordinary, format, args...) }
func (c *comparison) slight(format string, args ...any) { c.add(Slight, format, args...) }

// sizes are the settings of config.json that decide shapes, by the names that
// the families of transformers give them.
var sizes = [][]string{
	{"hidden_size", "n_embd", "d_model"},
	model.DepthNames,
	{"num_attention_heads", "n_head"},
	{"num_key_value_heads"},
	{"head_dim"},
	{"intermediate_size", "n_inner"},
	{"num_local_experts", "num_experts"},
}

// compareSizes finds sizes that differ. Shapes that differ would show it as
// well, but the size is the better name for it.
func (c *comparison) compareSizes(depth bool) {
	a, b := c.a.Config, c.b.Config
	for _, names := range sizes {
		x, okx := a.Int(names...)
		y, oky := b.Int(names...)
		if !okx || !oky || x == y || names[0] == model.DepthNames[0] && !depth {
			continue
		}
		name := names[0]
		if i := slices.IndexFunc(names, a.Has); i >= 0 {
			name = names[i]
		}
		c.add(Forbids, "%s is %d in %s and %d in %s", name, x, c.a.Name(), y, c.b.Name())
		c.found[len(c.found)-1].Depth = names[0] == model.DepthNames[0]
	}
	if x, y := a.SharesEmbeddings(), b.SharesEmbeddings(); x != y {
		c.add(Forbids, "share_encoder_decoder_embeddings is %v in %s and %v in %s: encoder and decoder have one embedding only where it is true", x, c.a.Name(), y, c.b.Name())
	}
}

// warnUnconfigured says that config.json can't be compared, and what comes of
// it where the primary, whose own is copied, has none.
func (c *comparison) warnUnconfigured() {
	if c.a.Config != nil {
		c.warn("%s has no config.json, so only names and shapes of tensors can be compared", c.b.Name())
		return
	}
	c.warn("%s has no config.json, so only names and shapes of tensors can be compared, and the output will have none: transformers can't open it", c.a.Name())
}
