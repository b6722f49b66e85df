package plan

import (
	"cmp"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
)

// A side is what one parent gives to the output: its tensors, under the names
// that they get there. Layers may come from several models.
type side struct {
	parts []part // sorted by name
	// last is the model of the last layers: norm and head come from it, and
	// messages call the side by its name.
	last *model.Model
	// dress makes a tensor of last an operand of the side, where more is to be
	// done than reading it.
	dress func(name string, o Operand) Operand
}

// A part is one tensor of a side.
type part struct {
	name string
	o    Operand
}

// whole is a side that is one model as it is.
func whole(m *model.Model) *side {
	s := &side{parts: make([]part, len(m.Tensors)), last: m}
	for i := range m.Tensors {
		s.parts[i] = part{m.Tensors[i].Name, Operand{Model: m, Index: int32(i)}}
	}
	s.sort()
	return s
}

func (s *side) sort() {
	slices.SortFunc(s.parts, func(a, b part) int { return cmp.Compare(a.name, b.name) })
}

// find gives the operand for an output name; none if the side has none.
func (s *side) find(name string) Operand {
	i, ok := slices.BinarySearchFunc(s.parts, name, func(p part, name string) int { return strings.Compare(p.name, name) })
	if !ok {
		return Operand{}
	}
	return s.parts[i].o
}

// tied is the embedding that serves as the head, of the name given, where the
// side has no head of its own; none otherwise.
func (s *side) tied(head string) Operand {
	if i, ok := s.last.TiedEmbedding(); ok {
		o := Operand{Model: s.last, Index: int32(i)}
		if s.dress != nil {
			o = s.dress(head, o)
		}
		return o
	}
	return Operand{}
}

// sharedHead reports whether the operand is a head that is the embedding under
// another name.
func (o Operand) sharedHead() bool { return !o.None() && o.Model.SharedHead(int(o.Index)) }

// measureStacks counts the layers over which gradients are spread. Those of
// the text stop at the depth that config.json states: what follows is extra,
// such as a layer for multi-token prediction.
func (p *Plan) measureStacks() {
	p.depth = p.Primary.Stacks()
	if stack, layers, err := p.Primary.TextStack(); err == nil {
		p.depth[stack] = layers
	}
}

// position is the place of an output tensor's layer in its stack, 0 for what
// belongs to none.
func (p *Plan) position(name string) float64 {
	stack, i, ok := model.LayerOf(name)
	if n, known := p.depth[stack]; ok && known {
		return min(1, recipe.Position(i-p.from, n))
	}
	return 0
}

// flagT is t for an output tensor by -t, which has a value for every one.
func (p *Plan) flagT(name string) float64 {
	t, _ := p.Recipe.T.At(name, p.position(name))
	return t
}

// unusedT warns about rules of t that no tensor meets.
func (p *Plan) unusedT() {
	names := make([]string, len(p.Tensors))
	for i := range p.Tensors {
		names[i] = p.Tensors[i].Name
	}
	for _, u := range p.Recipe.T.Unused(names) {
		if u.Filter != "" {
			p.warn("-t: %v", u)
		}
	}
}
