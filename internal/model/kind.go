package model

import (
	"slices"
	"strings"
)

// A Kind is the part of a model that a tensor belongs to.
type Kind string

const (
	Attention Kind = "attention"
	MLP       Kind = "mlp" // feed-forward layers, experts and their routers
	Norm      Kind = "norm"
	Embedding Kind = "embedding"
	Head      Kind = "head"
	Other     Kind = "other"
)

// Kinds returns all kinds, in the order in which they are listed.
func Kinds() []Kind { return []Kind{Attention, MLP, Norm, Embedding, Head, Other} }

// KindOf derives the kind of a tensor from its name, for the families of
// transformers and for the names of original releases. A norm is one wherever
// it stands; else what is part of an attention is attention.
func KindOf(name string) Kind {
	switch {
	case IsHead(name):
		return Head
	case IsEmbedding(name):
		return Embedding
	}
	_, _, inLayer := LayerOf(name)
	name = strings.ToLower(name)
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(word string) bool { return strings.Contains(name, word) })
	}
	is := func(words ...string) bool {
		for part := range strings.SplitSeq(name, ".") {
			if slices.Contains(words, part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("norm") && !has("layernorm_mlp", "layernorm_qkv"), is("ln", "ln_f"), strings.HasPrefix(name, "ln_"), strings.Contains(name, ".ln_"):
		return Norm
	case has("attn", "attention"):
		return Attention
	case has("mlp", "expert", "moe", "ffn", "feed_forward", "feedforward", "densereludense", "intermediate"),
		is("ff", "fc1", "fc2", "router"), inLayer && is("output"):
		return MLP
	case has("embed"), is("wpe", "wte", "shared"):
		return Embedding
	case has("lm_head", "classifier", "qa_outputs"), is("cls", "score", "head"):
		return Head
	}
	return Other
}
