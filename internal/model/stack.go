package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/text"
)

// Stacks counts the layers of every numbered stack by the name before the
// number: {"model.layers": 32} for model.layers.0... to model.layers.31....
// Only the first number of a name counts, so that the experts inside a layer
// are no stack of their own.
func (m *Model) Stacks() map[string]int {
	s := map[string]int{}
	for i := range m.Tensors {
		if prefix, n, ok := LayerOf(m.Tensors[i].Name); ok && n+1 > s[prefix] {
			s[prefix] = n + 1
		}
	}
	return s
}

// TextStack finds the layers of the language model among the numbered stacks,
// and their number. Layers beyond the depth that config.json states, such as
// those for multi-token prediction, don't count.
//
// A model may have several stacks: a vision tower beside the text, an encoder
// beside a decoder. Each rule below drops those that do not meet it, unless
// none does; it is an error if more than one is left.
func (m *Model) TextStack() (stack string, layers int, err error) {
	stacks := m.Stacks()
	if len(stacks) == 0 {
		return "", 0, fmt.Errorf("%s has no numbered layers", m.Name())
	}
	depth, known := int64(0), false
	if m.Config != nil {
		depth, known = m.Config.Depth()
	}
	found := slices.Sorted(maps.Keys(stacks))
	if known {
		found = slices.DeleteFunc(found, func(s string) bool { return int64(stacks[s]) < depth })
		if len(found) == 0 {
			return "", 0, fmt.Errorf("%s has no stack of the %d layers that its config.json states", m.Name(), depth)
		}
	}
	keep := func(meets func(stack string) bool) {
		if kept := slices.DeleteFunc(slices.Clone(found), func(s string) bool { return !meets(s) }); len(kept) > 0 {
			found = kept
		}
	}
	if len(found) > 1 {
		keep(func(s string) bool { return !otherModality(s) })
	}
	if len(found) > maxSeveral {
		return "", 0, severalStacks(m, found)
	}
	if len(found) > 1 && !slices.ContainsFunc(found, func(s string) bool { return slices.Contains(found, sibling(s)) }) {
		beside := m.besideEmbedding()
		keep(func(s string) bool { return slices.Contains(beside, parentOf(s)) })
	}
	if len(found) > 1 {
		keep(func(s string) bool { return int64(stacks[s]) == depth })
	}
	if width, ok := m.hiddenSize(); ok && len(found) > 1 {
		widths := m.widths(found)
		keep(func(s string) bool { return slices.Contains(widths[s], width) })
	}
	if len(found) > 1 {
		return "", 0, severalStacks(m, found)
	}
	if known {
		return found[0], int(depth), nil
	}
	return found[0], stacks[found[0]], nil
}

// maxSeveral bounds the stacks that the slower rules are tried on: a file can
// have any number.
const maxSeveral = 64

func severalStacks(m *Model, stacks []string) error {
	var list text.Names
	for _, s := range stacks {
		list.Add(s, "")
	}
	return fmt.Errorf("%s has several stacks of layers (%s)", m.Name(), list.String())
}

// modalities are words in the names of modules that see or hear.
var modalities = []string{"vision", "visual", "image", "pixel", "video", "audio", "speech", "sound", "vit", "vqmodel"}

// otherModality reports whether a module is by its name one for other input
// than text.
func otherModality(name string) bool {
	for part := range strings.SplitSeq(strings.ToLower(name), ".") {
		for word := range strings.SplitSeq(part, "_") {
			if slices.Contains(modalities, word) {
				return true
			}
		}
	}
	return false
}

// sibling returns the name of the encoder that belongs to a decoder; "" if the
// stack is not in a decoder. Neither of the two is the text alone.
func sibling(stack string) string {
	parts := strings.Split(stack, ".")
	i := slices.Index(parts, "decoder")
	if i < 0 {
		return ""
	}
	parts[i] = "encoder"
	return strings.Join(parts, ".")
}

// parentOf returns the module that holds the one of this name: "" for the model.
func parentOf(name string) string {
	return name[:max(0, strings.LastIndexByte(name, '.'))]
}

// besideEmbedding lists the modules that hold an input embedding, of
// model.embed_tokens.weight the module model. A layer's own (a copy for
// multi-token prediction) is none.
func (m *Model) besideEmbedding() []string {
	var modules []string
	for i := range m.Tensors {
		name := m.Tensors[i].Name
		if _, _, inLayer := LayerOf(name); !inLayer && IsEmbedding(name) {
			modules = append(modules, parentOf(parentOf(name)))
		}
	}
	return modules
}

// hiddenSize returns the width of the language model that config.json states.
func (m *Model) hiddenSize() (uint64, bool) {
	if m.Config == nil {
		return 0, false
	}
	n, ok := m.Config.Int("hidden_size", "n_embd", "d_model")
	return uint64(n), ok && n > 0
}

// widths lists the lengths of the vectors in the first layer of each stack:
// the weights of norms are as wide as the model.
func (m *Model) widths(stacks []string) map[string][]uint64 {
	w := map[string][]uint64{}
	for i := range m.Tensors {
		t := &m.Tensors[i]
		if s, layer, ok := LayerOf(t.Name); ok && layer == 0 && len(t.Shape) == 1 && slices.Contains(stacks, s) && !slices.Contains(w[s], t.Shape[0]) {
			w[s] = append(w[s], t.Shape[0])
		}
	}
	return w
}
