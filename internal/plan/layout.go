package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/model"
)

// layoutHint tells how transformers brings a model to the layout of its classes.
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
//     more, or in the only one: fused and single matrices;
//   - in one layer, a whole module with a matrix, such as a dense MLP beside
//     experts;
//   - a whole layer of a stack, with later ones on both sides.
//
// Numbers that are not of a floating type, and buffers that transformers works
// out itself, don't count. It reports whether there is a reason.
func (p *Plan) layouts(a, b *side) bool {
	onlyA, onlyB := unpaired(a, b), unpaired(b, a)
	if s := p.strangers(a, b, onlyA, onlyB); s != "" {
		p.block("%s", s)
		return true
	}
	if s := gap(a, b, onlyA); s != "" {
		p.block("%s", s)
		return true
	}
	if s := gap(b, a, onlyB); s != "" {
		p.block("%s", s)
		return true
	}
	if len(onlyA) == 0 || len(onlyB) == 0 {
		return false
	}
	msg, known := twoLayouts(a, b, onlyA, onlyB)
	if msg == "" {
		return false
	}
	p.block("%s", msg)
	if known {
		p.hint = layoutHint
	}
	return true
}

// towers warns of stacks that the secondary alone has and that are copied: the
// primary's config.json does not describe them.
func (p *Plan) towers(a, b *side) {
	if len(p.Blockers) > 0 || a.last.Config == nil {
		return
	}
	var only mismatch
	said := map[string]bool{}
	for _, x := range a.parts {
		stack, _, _ := model.LayerOf(x.name)
		said[stack] = true
	}
	for _, x := range b.parts {
		if stack, _, ok := model.LayerOf(x.name); ok && !said[stack] {
			said[stack] = true
			only.add(stack, "")
		}
	}
	if only.count() > 0 {
		p.warn("config.json is that of %s, which has no %s: name %s first, and the output can use them", a.last.Name(), only.list(), b.last.Name())
	}
}

// unpaired lists the indexes of the parts of a that are weights in a layer and
// that b lacks.
func unpaired(a, b *side) []int {
	var list []int
	for i := range a.parts {
		x := &a.parts[i]
		if _, _, ok := model.LayerOf(x.name); !ok || !b.find(x.name).None() {
			continue
		}
		if t := x.o.Tensor(); t.DType.Blends() && !model.IsBuffer(t.Info) {
			list = append(list, i)
		}
	}
	return list
}

// strangers says that the layers of the two are different ones; "" if they
// have layers in common, or only one has some.
func (p *Plan) strangers(a, b *side, onlyA, onlyB []int) string {
	if len(onlyA) == 0 || len(onlyB) == 0 {
		return ""
	}
	mainA, mainB := mainStack(a, b), mainStack(b, a)
	if mainA == "" || mainB == "" {
		return ""
	}
	example := func(s *side, only []int, stack string) string {
		for _, i := range only {
			if in, _, _ := model.LayerOf(s.parts[i].name); in == stack {
				return s.parts[i].name
			}
		}
		return stack
	}
	return fmt.Sprintf("no layer of %s pairs with one of %s: theirs have tensors such as %s and %s", a.last.Name(), b.last.Name(),
		model.Quote(example(a, onlyA, mainA)), model.Quote(example(b, onlyB, mainB)))
}

// mainStack is the stack of the text of a, if it has no tensor in common with
// b. Where it does not show which stack is the text, it is the largest one of
// which that is true, if it has a quarter of what is in layers. It is "" if
// there is none such.
func mainStack(a, b *side) string {
	elems, common, all := map[string]int64{}, map[string]bool{}, int64(0)
	for i := range a.parts {
		x := &a.parts[i]
		if stack, _, ok := model.LayerOf(x.name); ok {
			n := x.o.Tensor().Elems()
			elems[stack] += n
			all += n
			common[stack] = common[stack] || !b.find(x.name).None()
		}
	}
	if stack, _, err := a.last.TextStack(); err == nil && elems[stack] > 0 {
		if common[stack] {
			return ""
		}
		return stack
	}
	best := ""
	for s, n := range elems {
		if !common[s] && n >= all/4 && (n > elems[best] || n == elems[best] && s < best) {
			best = s
		}
	}
	return best
}

// gap says that the other parent lacks a whole layer of a stack, but has later
// ones.
func gap(a, b *side, only []int) string {
	if len(only) == 0 {
		return ""
	}
	type layer struct {
		stack string
		n     int
	}
	lacks := map[layer]string{} // a tensor of each layer that may be lacking
	for _, i := range only {
		name := a.parts[i].name
		stack, n, _ := model.LayerOf(name)
		lacks[layer{stack, n}] = name
	}
	last := map[string]int{}
	for i := range b.parts {
		if stack, n, ok := model.LayerOf(b.parts[i].name); ok {
			delete(lacks, layer{stack, n})
			last[stack] = max(last[stack], n)
		}
	}
	first := layer{}
	for l := range lacks {
		if l.n < last[l.stack] && (first.stack == "" || l.stack < first.stack || l.stack == first.stack && l.n < first.n) {
			first = l
		}
	}
	if first.stack == "" {
		return ""
	}
	return fmt.Sprintf("layer %d of %s is in %s, and %s has nothing of it but has later layers: %s", first.n, model.Quote(first.stack), a.last.Name(), b.last.Name(), model.Quote(lacks[first]))
}

// A slot is a module in a layer: a direct part of the layer.
type slot struct {
	stack  string
	layer  int
	module string
}

func slotOf(name string) slot {
	stack, layer, _ := model.LayerOf(name)
	rest := name[len(stack)+1:]
	rest = rest[strings.IndexByte(rest, '.')+1:]
	module, _, _ := strings.Cut(rest, ".")
	return slot{stack, layer, module}
}

// twoLayouts says that layers which both have are stored in two layouts; "" if
// they are not.
func twoLayouts(a, b *side, onlyA, onlyB []int) (msg string, known bool) {
	type layer struct {
		stack string
		n     int
	}
	in := func(s *side, only []int) map[layer]bool {
		m := map[layer]bool{}
		for _, i := range only {
			stack, n, _ := model.LayerOf(s.parts[i].name)
			m[layer{stack, n}] = true
		}
		return m
	}
	inA, inB := in(a, onlyA), in(b, onlyB)
	both := map[string][]int{} // layers with unpaired tensors on both sides, by stack
	for l := range inA {
		if inB[l] {
			both[l.stack] = append(both[l.stack], l.n)
		}
	}
	if len(both) == 0 {
		return "", false
	}
	depth := map[string]map[int]bool{} // the layers of those stacks
	pairs := map[slot]bool{}           // modules that have a pair
	for i := range a.parts {
		name := a.parts[i].name
		stack, n, ok := model.LayerOf(name)
		if !ok || both[stack] == nil {
			continue
		}
		if depth[stack] == nil {
			depth[stack] = map[int]bool{}
		}
		depth[stack][n] = true
		if !b.find(name).None() {
			pairs[slotOf(name)] = true
		}
	}
	// whole reports whether a layer has a module with a matrix of which
	// nothing is paired.
	whole := func(s *side, only []int) map[layer]bool {
		m := map[layer]bool{}
		for _, i := range only {
			at := slotOf(s.parts[i].name)
			if !pairs[at] && len(s.parts[i].o.Tensor().Shape) > 1 {
				m[layer{at.stack, at.layer}] = true
			}
		}
		return m
	}
	wholeA, wholeB := whole(a, onlyA), whole(b, onlyB)
	for _, s := range slices.Sorted(maps.Keys(both)) {
		slices.Sort(both[s])
		for _, n := range both[s] {
			l := layer{s, n}
			if len(both[s]) > 1 || len(depth[s]) == 1 || wholeA[l] && wholeB[l] {
				x, y := examples(a, b, onlyA, onlyB, s, n)
				return sayLayouts(a, b, x, y)
			}
		}
	}
	return "", false
}

// examples are the first tensors of a layer that are not paired, of one module
// if either parent has some of it.
func examples(a, b *side, onlyA, onlyB []int, stack string, n int) (x, y string) {
	inB := map[string]string{} // by module
	for _, i := range onlyB {
		name := b.parts[i].name
		if at := slotOf(name); at.stack == stack && at.layer == n {
			if y == "" {
				y = name
			}
			if inB[at.module] == "" {
				inB[at.module] = name
			}
		}
	}
	for _, i := range onlyA {
		name := a.parts[i].name
		if at := slotOf(name); at.stack == stack && at.layer == n {
			if x == "" {
				x = name
			}
			if other := inB[at.module]; other != "" {
				return name, other
			}
		}
	}
	return x, y
}

// sayLayouts names the layouts by a tensor of each. known reports whether both
// are well-known ways of storing the same.
func sayLayouts(a, b *side, x, y string) (msg string, known bool) {
	say := func(name, layout string, s *side) string {
		text := fmt.Sprintf("%s in %s", model.Quote(name), s.last.Name())
		if layout != "" {
			text += " (" + layout + ")"
		}
		return text
	}
	inA, inB := layoutOf(x), layoutOf(y)
	if inA != "" && inB != "" && inA != inB {
		return fmt.Sprintf("the layers are stored in two layouts, which can't be merged with each other: %s, %s", say(x, inA, a), say(y, inB, b)), true
	}
	return fmt.Sprintf("the layers are not made of the same tensors: %s, %s, and neither has the other's", say(x, "", a), say(y, "", b)), false
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
