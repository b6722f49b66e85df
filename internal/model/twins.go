package model

import (
	"slices"
	"strconv"
	"strings"
)

// Whole modules that a class ties, by their names and its model types. Which
// ones they are depends on numbers in config.json, so tiedNames can't have them.
const (
	hybridTypes   = `zamba zamba2`
	detectorTypes = `grounding-dino mm-grounding-dino`
	codebookTypes = `fine_acoustics`
)

// maxTwins is how many layers a model with such modules may have.
const maxTwins = 1 << 10

// HasTwins reports whether some class ties the module of a name as a whole.
func HasTwins(name string) bool {
	for _, module := range []string{".shared_transf", "bbox_embed.", "class_embed.", "lm_heads.", "input_embeds_layers."} {
		if strings.Contains(name, module) {
			return true
		}
	}
	return false
}

// TiesModules reports whether the class and the config of the model tie whole
// modules.
func (m *Model) TiesModules() bool {
	return slices.ContainsFunc(m.Tensors, func(t Tensor) bool { return m.twins(t.Name) != nil })
}

// twins lists the names of the parameter that name is, name among them, where
// the class and the config of the model tie the whole module that it is in. The
// source of the others comes first. It is nil if they tie no such module.
func (m *Model) twins(name string) []string {
	if m.Config == nil || !HasTwins(name) {
		return nil
	}
	for _, find := range []func(string) (prefix string, names []string){m.hybridTwins, m.detectorTwins, m.codebookTwins} {
		if prefix, names := find(name); len(names) > 1 && m.tiedIn(prefix) {
			return names
		}
	}
	return nil
}

// withNumbers puts each number between two parts of a name.
func withNumbers(before, after string, numbers ...int) []string {
	names := make([]string, len(numbers))
	for i, n := range numbers {
		names[i] = before + strconv.Itoa(n) + "." + after
	}
	return names
}

// cutNumber takes PREFIX, module, a number and REST apart.
func cutNumber(name, module string) (prefix string, number int, rest string, ok bool) {
	i := strings.Index("."+name, "."+module)
	if i < 0 {
		return "", 0, "", false
	}
	digits, rest, ok := strings.Cut(name[i+len(module):], ".")
	number, err := strconv.Atoi(digits)
	return name[:i], number, rest, ok && err == nil && strconv.Itoa(number) == digits
}

// hybridTwins are those of Zamba: its attention blocks are num_mem_blocks ones,
// which the layers of the kind "hybrid" use in turn.
func (m *Model) hybridTwins(name string) (string, []string) {
	prefix, layer, rest, ok := cutNumber(name, "layers.")
	if !ok || !strings.HasPrefix(rest, "shared_transf") {
		return "", nil
	}
	blocks, known := m.hybrid[prefix]
	if !known {
		blocks = m.Config.part(prefix).hybridBlocks()
		if m.hybrid == nil {
			m.hybrid = map[string][][]int{}
		}
		m.hybrid[prefix] = blocks
	}
	for _, layers := range blocks {
		if slices.Contains(layers, layer) {
			return prefix, withNumbers(prefix+"layers.", rest, layers...)
		}
	}
	return "", nil
}

// hybridBlocks lists the layers that use each of the attention blocks.
func (c *Config) hybridBlocks() [][]int {
	kind := c.String("model_type")
	if !isListed(hybridTypes, kind) {
		return nil
	}
	n := 1
	if kind == "zamba2" {
		n = c.number("num_mem_blocks", 1)
	}
	kinds := c.kindList("layers_block_type")
	if n < 1 || n > len(kinds) || len(kinds) > maxTwins {
		return nil
	}
	blocks := make([][]int, n)
	k := 0
	for i, kind := range kinds {
		if kind == "hybrid" {
			blocks[k%n] = append(blocks[k%n], i)
			k++
		}
	}
	return blocks
}

// detectorTwins are those of Grounding DINO: the decoder has the heads too, and
// all layers have one head where config.json does not say otherwise.
func (m *Model) detectorTwins(name string) (string, []string) {
	c := m.Config
	kind := c.String("model_type")
	if !isListed(detectorTypes, kind) {
		return "", nil
	}
	flags := [][2]string{{"bbox_embed.", "decoder_bbox_embed_share"}, {"class_embed.", "decoder_cls_embed_share"}}
	if kind == "grounding-dino" {
		flags = flags[:1] // its class_embed has no weights
	}
	for _, f := range flags {
		module, flag := f[0], f[1]
		prefix, layer, rest, ok := cutNumber(name, module)
		n := c.number("decoder_layers", 0)
		if !ok || prefix != "" && prefix != "model.decoder." || layer >= n || n > maxTwins {
			continue
		}
		layers := []int{layer}
		if c.isTrue(flag, true) {
			layers = layers[:0]
			for i := range n {
				layers = append(layers, i)
			}
		}
		return "", slices.Concat(withNumbers(module, rest, layers...), withNumbers("model.decoder."+module, rest, layers...))
	}
	return "", nil
}

// codebookTwins are those of Bark's fine model: each head is the embedding of
// the next codebook.
func (m *Model) codebookTwins(name string) (string, []string) {
	prefix, i, rest, ok := cutNumber(name, "lm_heads.")
	if !ok {
		prefix, i, rest, ok = cutNumber(name, "input_embeds_layers.")
		i--
	}
	c := m.Config.part(prefix)
	if !ok || rest != "weight" || !isListed(codebookTypes, c.String("model_type")) || i < 0 || i >= c.number("n_codes_total", 8)-c.number("n_codes_given", 1) {
		return "", nil
	}
	return prefix, slices.Concat(withNumbers(prefix+"input_embeds_layers.", rest, i+1), withNumbers(prefix+"lm_heads.", rest, i))
}

// Means reports whether every name that another model has in the layers of a
// stack from the given one on is that of a parameter of m too.
func (m *Model) Means(other *Model, stack string, from int) bool {
	if !HasTwins(stack + ".") { // a layer of Zamba has more than the block that it shares
		return false
	}
	for i := range other.Tensors {
		name := other.Tensors[i].Name
		if prefix, layer, ok := LayerOf(name); ok && prefix == stack && layer >= from {
			if _, ok := m.Named(name); !ok {
				return false
			}
		}
	}
	return true
}
