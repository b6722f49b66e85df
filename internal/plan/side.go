package plan

import (
	"cmp"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
)

// A side has the tensors that one parent gives to the output, under the names
// that they get there. Layers may come from several models.
type side struct {
	parts []part // sorted by name
	// aliases are names that no file stores, by metadata, sorted; whole are the
	// parts of the model that belong to no layer, where the side has only some
	// of them.
	aliases, whole []part
	// groups are the names of parameters that have several, made when needed.
	groups map[operand.Operand][]string
	// near is the index in parts of what find found last.
	near int
	// last is the model of the last layers: norm and head come from it, and
	// messages call the side by its name.
	last *model.Model
	// wrap makes a tensor of last an operand of the side, where more is to be
	// done than reading it.
	wrap func(name string, o operand.Operand) operand.Operand
}

// A part is one tensor of a side.
type part struct {
	name string
	o    operand.Operand
}

// whole returns a side that is one model as it is.
func whole(m *model.Model) *side {
	s := &side{parts: make([]part, len(m.Tensors)), last: m}
	for i := range m.Tensors {
		s.parts[i] = part{m.Tensors[i].Name, operand.Operand{Model: m, Index: int32(i)}}
	}
	for _, a := range m.Aliases() {
		s.aliases = append(s.aliases, part{a.Name, operand.Operand{Model: m, Index: a.Index}})
	}
	s.sort()
	return s
}

func (s *side) sort() {
	for _, list := range [][]part{s.parts, s.aliases, s.whole} {
		slices.SortFunc(list, func(a, b part) int { return cmp.Compare(a.name, b.name) })
	}
}

// find gives the operand that is stored under an output name; none if there
// is none. Names are mostly asked for in order, some of them several times.
func (s *side) find(name string) operand.Operand {
	for i := s.near; i < min(s.near+2, len(s.parts)); i++ {
		if s.parts[i].name == name && (i == 0 || s.parts[i-1].name != name) {
			s.near = i
			return s.parts[i].o
		}
	}
	i, ok := indexOf(s.parts, name)
	if !ok {
		return operand.Operand{}
	}
	s.near = i
	return s.parts[i].o
}

// lookUp finds a part by its name; without an operand if there is none.
func lookUp(parts []part, name string) part {
	i, ok := indexOf(parts, name)
	if !ok {
		return part{}
	}
	return parts[i]
}

// indexOf is the index of the first part of that name.
func indexOf(parts []part, name string) (int, bool) {
	return slices.BinarySearchFunc(parts, name, func(p part, name string) int { return strings.Compare(p.name, name) })
}

// measureStacks counts the layers over which gradients are spread. Those of
// the text stop at the depth that config.json states: what follows is extra,
// such as a layer for multi-token prediction.
func (p *planner) measureStacks() {
	p.depth = p.Primary.Stacks()
	if stack, layers, err := p.Primary.TextStack(); err == nil {
		p.depth[stack] = layers
	}
}

// position returns the place of an output tensor's layer in its stack, 0 for what
// belongs to none.
func (p *planner) position(name string) float64 {
	stack, i, ok := model.LayerOf(name)
	if n, known := p.depth[stack]; ok && known {
		return min(1, recipe.Position(i-p.from, n))
	}
	return 0
}

// unused warns about filters of parameters that no tensor meets.
func (p *planner) unused() {
	for _, u := range p.Recipe.Unused(p.namesOf) {
		if p.Recipe.FromFile() {
			p.warn("%s: %s", p.Recipe.Place(u.Pos), u.Message)
		} else {
			p.warn("%s", u.Message)
		}
	}
}
