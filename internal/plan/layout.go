package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// layoutHint says how transformers converts a model to the layout of its
// classes.
const layoutHint = "load both with transformers 5 and save them with save_pretrained(FOLDER, save_original_format=False): then both have one layout"

// layouts forbids parents that store one network in two ways. --missing is for
// the odd tensor that one of them lacks: a bias, a norm, a pooler, a vision
// tower, layers for multi-token prediction. Two ways of storing the same thing
// show in tensors that pair with nothing on both sides at once:
//
//   - the layers of the text: neither parent has anything of the other's (or
//     most of what either has in layers, where it does not show which are the
//     text's);
//   - in a stack that both have, tensors in the same layer, in two layers or
//     more, or in the only one; in one layer if they are a fused and a single matrix;
//   - in one layer, a whole module with a matrix, such as a dense MLP beside
//     experts;
//   - a whole layer of a stack, with later ones on both sides.
//
// Numbers that are not of a floating type, and buffers that transformers works
// out itself, don't count. It reports whether there is a reason.
func (p *planner) layouts(a, b *side) bool {
	stacks := surveyStacks(a, b)
	msg, known := strangers(a, b, stacks), false
	if msg == "" {
		msg = gap(a, b, stacks)
	}
	if msg == "" {
		msg, known = twoLayouts(a, b, stacks)
	}
	if msg == "" {
		return false
	}
	p.block("%s", msg)
	if known {
		p.hint = layoutHint
	}
	return true
}

// A stackSurvey says how the tensors of a stack pair. Where there are two of a
// kind, the first is of a, the second of b.
type stackSurvey struct {
	elems    [2]int64
	last     [2]int    // the last layer, -1 without one
	alone    [2]int    // the first layer of which the other has nothing, -1 without one
	example  [2]string // a tensor that pairs with nothing
	aloneIn  [2]string // one in the layer alone
	paired   bool      // some tensor pairs
	layers   int       // how many there are
	unpaired int       // layers in which both have tensors that pair with nothing
	whole    bool      // in one of them that is true of whole modules
	conflict [2]string // of the first layer of that kind, or of unpaired
}

// surveyStacks goes through the layers of both sides. Their names are sorted,
// so the tensors of a layer stand together.
func surveyStacks(a, b *side) map[string]*stackSurvey {
	stacks := map[string]*stackSurvey{}
	for i, j := 0, 0; i < len(a.parts) || j < len(b.parts); {
		var prefix string
		if i < len(a.parts) {
			if prefix = layerPrefix(a.parts[i].name); prefix == "" {
				i++
				continue
			}
		}
		if j < len(b.parts) {
			other := layerPrefix(b.parts[j].name)
			if other == "" {
				j++
				continue
			}
			if i == len(a.parts) || other < prefix {
				prefix = other
			}
		}
		x, y := layerParts(a.parts[i:], prefix), layerParts(b.parts[j:], prefix)
		i, j = i+len(x), j+len(y)
		stack, n, _ := model.LayerOf(prefix + "x")
		s := stacks[stack]
		if s == nil {
			s = &stackSurvey{last: [2]int{-1, -1}, alone: [2]int{-1, -1}}
			stacks[stack] = s
		}
		s.add(n, [2]*side{a, b}, [2][]part{x, y})
	}
	return stacks
}

// layerPrefix returns the part of a name that all tensors of the layer share, such
// as model.layers.7. with its dot; "" for a tensor outside the layers.
func layerPrefix(name string) string {
	stack, _, ok := model.LayerOf(name)
	if !ok {
		return ""
	}
	end := len(stack) + 1
	return name[:end+strings.IndexByte(name[end:], '.')+1]
}

// layerParts returns the parts at the beginning of a list that belong to a layer.
func layerParts(parts []part, prefix string) []part {
	n := 0
	for n < len(parts) && strings.HasPrefix(parts[n].name, prefix) {
		n++
	}
	return parts[:n]
}

// maxUnpaired bounds the tensors of a layer that pair with nothing and are looked
// at: a file can have any number.
const maxUnpaired = 256

// add looks at layer n: what either side has of it, sorted by name.
func (s *stackSurvey) add(n int, sides [2]*side, layer [2][]part) {
	s.layers++
	var only [2][]part
	for k, parts := range layer {
		if len(parts) > 0 {
			s.last[k] = max(s.last[k], n)
		}
		for _, x := range parts {
			t := x.o.Tensor()
			s.elems[k] += t.Elems()
			if has(layer[1-k], x.name) || !sides[1-k].meant(x.name, sides[k].names(x.o)).o.None() {
				s.paired = true // with a name of this layer, or of the same parameter elsewhere
			} else if x.o.Key().Index != x.o.Index {
				continue // one more name of a parameter
			} else if len(only[k]) < maxUnpaired && t.DType.Blends() && !isTransient(t.Info) {
				only[k] = append(only[k], x)
			}
		}
		if len(only[k]) == 0 {
			continue
		}
		if s.example[k] == "" {
			s.example[k] = only[k][0].name
		}
		if len(layer[1-k]) == 0 && (s.alone[k] < 0 || n < s.alone[k]) {
			s.alone[k], s.aloneIn[k] = n, only[k][0].name
		}
	}
	if len(only[0]) == 0 || len(only[1]) == 0 {
		return
	}
	s.unpaired++
	paired := map[string]bool{} // modules of the layer
	for _, x := range layer[0] {
		if has(layer[1], x.name) {
			paired[moduleIn(x.name)] = true
		}
	}
	whole := func(parts []part) bool {
		return slices.ContainsFunc(parts, func(x part) bool { return len(x.o.Tensor().Shape) > 1 && !paired[moduleIn(x.name)] })
	}
	isWhole := whole(only[0]) && whole(only[1])
	if s.unpaired == 1 || isWhole && !s.whole {
		s.conflict = examples(only)
	}
	s.whole = s.whole || isWhole
}

// isTransient reports whether a tensor is a buffer that transformers works out
// itself, also of releases that kept tables of sines.
func isTransient(t tensor.Info) bool {
	return model.IsBuffer(t) || strings.Contains(t.Name, "rotary_") || strings.HasSuffix(t.Name, ".embed_positions")
}

// has reports whether there is a part of that name among sorted ones.
func has(parts []part, name string) bool {
	_, found := slices.BinarySearchFunc(parts, name, func(p part, name string) int { return strings.Compare(p.name, name) })
	return found
}

// moduleIn returns the direct part of a layer that a tensor belongs to.
func moduleIn(name string) string {
	rest := name[len(layerPrefix(name)):]
	module, _, _ := strings.Cut(rest, ".")
	return module
}

// examples returns the first tensors of either side, of one module if both have
// some of it.
func examples(only [2][]part) [2]string {
	for _, x := range only[0] {
		for _, y := range only[1] {
			if moduleIn(x.name) == moduleIn(y.name) {
				return [2]string{x.name, y.name}
			}
		}
	}
	return [2]string{only[0][0].name, only[1][0].name}
}

// strangers says that the layers of the two are different ones; "" if they
// have layers in common, or only one has some.
func strangers(a, b *side, stacks map[string]*stackSurvey) string {
	var example [2]string
	for k, s := range []*side{a, b} {
		if t := mainStack(s, k, stacks); t != nil {
			example[k] = t.example[k]
		} else {
			example[k] = numbered(s, []*side{b, a}[k])
		}
		if example[k] == "" {
			return ""
		}
	}
	return fmt.Sprintf("no layer of %s pairs with one of %s: theirs have tensors such as %s and %s", a.last.Name(), b.last.Name(),
		text.Quote(example[0]), text.Quote(example[1]))
}

// numbered returns a tensor that stands for layers which are numbered within a word
// (encoder_layer_0, block0), where most of a parent is in tensors of such names that
// pair with nothing; else "".
func numbered(s, other *side) (example string) {
	var alone, all int64
	for _, x := range s.parts {
		t := x.o.Tensor()
		if !t.DType.Blends() {
			continue
		}
		all += t.Elems()
		if layerPrefix(x.name) != "" || !strings.ContainsAny(x.name, "0123456789") || has(other.parts, x.name) || !other.meant(x.name, s.names(x.o)).o.None() {
			continue
		}
		if alone += t.Elems(); example == "" {
			example = x.name
		}
	}
	if alone <= all/2 {
		return ""
	}
	return example
}

// mainStack returns the stack of the text of side k, if nothing of it pairs. Where
// it does not show which stack is the text, it is the largest one of which that
// is true, if it has a quarter of what is in layers. It is nil if there is none
// such.
func mainStack(s *side, k int, stacks map[string]*stackSurvey) *stackSurvey {
	if name, _, err := s.last.TextStack(); err == nil {
		if t := stacks[name]; t != nil && t.last[k] >= 0 {
			if t.paired || t.example[k] == "" {
				return nil
			}
			return t
		}
	}
	all := int64(0)
	for _, t := range stacks {
		all += t.elems[k]
	}
	var best *stackSurvey
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		if t := stacks[name]; !t.paired && t.example[k] != "" && t.elems[k] >= all/4 && (best == nil || t.elems[k] > best.elems[k]) {
			best = t
		}
	}
	return best
}

// gap says that one parent lacks a whole layer of a stack, but has later ones.
func gap(a, b *side, stacks map[string]*stackSurvey) string {
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		for k, s := 0, stacks[name]; k < 2; k++ {
			if s.alone[k] < 0 || s.alone[k] >= s.last[1-k] {
				continue
			}
			has, lacks := a, b
			if k == 1 {
				has, lacks = b, a
			}
			return fmt.Sprintf("layer %d of %s is in %s, and %s has nothing of it but has later layers: %s", s.alone[k], text.Quote(name), has.last.Name(), lacks.last.Name(), text.Quote(s.aloneIn[k]))
		}
	}
	return ""
}

// twoLayouts says that layers which both have are stored in two ways; "" if
// they are not. known reports whether both ways are well-known ones of storing
// the same.
func twoLayouts(a, b *side, stacks map[string]*stackSurvey) (msg string, known bool) {
	for _, name := range slices.Sorted(maps.Keys(stacks)) {
		s := stacks[name]
		if s.unpaired == 0 {
			continue
		}
		x, y := s.conflict[0], s.conflict[1]
		inA, inB := layoutOf(x), layoutOf(y)
		known := inA != "" && inB != "" && inA != inB
		if s.unpaired < 2 && !s.whole && s.layers > 1 && !known {
			continue
		}
		say := func(name, layout string, s *side) string {
			msg := fmt.Sprintf("%s in %s", text.Quote(name), s.last.Name())
			if layout != "" {
				msg += " (" + layout + ")"
			}
			return msg
		}
		if known {
			return fmt.Sprintf("the layers are stored in two layouts, which can't be merged with each other: %s, %s", say(x, inA, a), say(y, inB, b)), true
		}
		return fmt.Sprintf("the layers are not made of the same tensors: %s, %s, and neither has the other's", say(x, "", a), say(y, "", b)), false
	}
	return "", false
}

// towers warns of stacks that the secondary alone has and that are copied: the
// primary's config.json does not describe them.
func (p *planner) towers(a, b *side) {
	if len(p.Blockers) > 0 || a.last.Config == nil {
		return
	}
	var only text.Names
	said := map[string]bool{}
	for _, x := range a.parts {
		stack, _, _ := model.LayerOf(x.name)
		said[stack] = true
	}
	for _, x := range b.parts {
		if stack, _, ok := model.LayerOf(x.name); ok && !said[stack] {
			said[stack] = true
			only.Add(stack, "")
		}
	}
	if only.Count() > 0 {
		p.warn("config.json is that of %s, which has no %s: name %s first, and the output can use them", a.last.Name(), only.String(), b.last.Name())
	}
}

// layoutOf describes how the tensor of this name stores experts, an attention
// or an MLP; "" if that does not show.
func layoutOf(name string) string {
	parts := strings.Split(name, ".")
	has := func(words ...string) bool {
		return slices.ContainsFunc(parts, func(part string) bool { return slices.Contains(words, part) })
	}
	if i := slices.IndexFunc(parts, func(part string) bool { return strings.HasSuffix(part, "experts") }); i >= 0 && i+1 < len(parts) {
		if next := parts[i+1]; next != "" && next[0] >= '0' && next[0] <= '9' {
			return "each expert by itself"
		}
		return "all experts in one tensor"
	}
	switch {
	case has("qkv_proj", "query_key_value", "c_attn", "qkv", "Wqkv", "W_pack", "in_proj_weight"):
		return "query, key and value in one tensor"
	case has("q_proj", "k_proj", "v_proj", "query", "key", "value"):
		return "query, key and value apart"
	case has("gate_up_proj"):
		return "gate and up in one tensor"
	case has("gate_proj", "up_proj"):
		return "gate and up apart"
	}
	return ""
}
