package plan

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
)

// A parameter has one name or several, and the sides may have it under
// different ones. The code below finds which parameters belong together.

// lent gives the parameter that a name means which the side does not store:
// metadata say which one it is, or the model's class and config tie the two.
// It is none if the name means nothing there.
func (s *side) lent(name string) part {
	x := lookUp(s.aliases, name)
	if !x.o.None() {
		x.name = x.o.Tensor().Name
	} else {
		pool := s.shareable()
		if i, found, ok := s.last.TiedTo(name, func(name string) (int, bool) {
			x := lookUp(pool, name)
			return int(x.o.Index), !x.o.None()
		}); ok {
			x = part{found, operand.Operand{Model: s.last, Index: int32(i)}}
		}
	}
	if !x.o.None() && s.wrap != nil {
		x.o = s.wrap(name, operand.Operand{Model: x.o.Model, Index: x.o.Index})
	}
	return x
}

// shareable returns the parts of the model that a missing name may be tied to, even
// if this side of a recipe's slice does not have them itself.
func (s *side) shareable() []part {
	if s.whole != nil {
		return s.whole
	}
	return s.parts
}

// meant gives the part that a name means: stored or lent, or, where the side
// knows nothing of the name, the one that it has under one of the other names
// of the parameter.
func (s *side) meant(name string, others []string) part {
	if o := s.find(name); !o.None() {
		return part{name, o}
	}
	if x := s.lent(name); !x.o.None() {
		return x
	}
	for _, other := range others {
		if o := s.find(other); !o.None() {
			return part{other, o}
		}
	}
	for _, other := range others {
		if x := s.lent(other); !x.o.None() {
			return x
		}
	}
	return part{}
}

// names returns all names of an operand's parameter, stored or in metadata; nil
// where it has only one.
func (s *side) names(o operand.Operand) []string {
	if s.single() || o.None() {
		return nil
	}
	return s.groups[o.Key()]
}

// single reports whether no parameter of the side has several names.
func (s *side) single() bool {
	if s.groups == nil {
		s.groups = map[operand.Operand][]string{}
		p := s.last.Parameters()
		if !p.Shared() && len(s.aliases) == 0 {
			return true
		}
		count := map[operand.Operand]int{}
		for _, x := range s.parts {
			count[x.o.Key()]++
		}
		for _, x := range s.aliases {
			count[x.o.Key()]++
		}
		for _, list := range [][]part{s.parts, s.aliases} {
			for _, x := range list {
				if root := x.o.Key(); count[root] > 1 {
					s.groups[root] = append(s.groups[root], x.name)
				}
			}
		}
	}
	return len(s.groups) == 0
}

// A joint is a tensor of the output before its operation is decided: its name,
// and the operand of each side.
type joint struct {
	name  string
	parts []part // a part without an operand where a side has nothing
	// own is the name that t and filters go by. It is the same for all names
	// of one parameter, whatever the format of the models.
	own string
}

// join goes through the tensors of the output: all names that the side of
// index first stores, and those of the others that mean another parameter, or
// one that it does not have.
func join(sides []*side, first int) iter.Seq[joint] {
	return func(yield func(joint) bool) {
		primary := sides[first]
		for _, x := range primary.parts {
			j := gather(sides, x.name)
			j.own = ownName(sides, j)
			if !yield(j) {
				return
			}
		}
		seen := map[string]bool{}
		for k, s := range sides {
			if k == first {
				continue
			}
			for _, list := range [][]part{s.parts, s.aliases} {
				for _, x := range list {
					if seen[x.name] || !primary.find(x.name).None() {
						continue
					}
					j := gather(sides, x.name)
					mine := j.parts[first].o
					stored := !s.find(x.name).None()
					if mine.None() && !stored || !mine.None() && written(sides, first, j) {
						continue
					}
					seen[x.name] = true
					j.own = ownName(sides, j)
					if !yield(j) {
						return
					}
				}
			}
		}
	}
}

// gather finds what each side has under a name.
func gather(sides []*side, name string) joint {
	j := joint{name: name, parts: make([]part, len(sides))}
	others := alternatives(sides, name)
	for i, s := range sides {
		j.parts[i] = s.meant(name, others)
	}
	return j
}

// alternatives returns the other names of the parameters that the sides have under
// a name, in an order that does not depend on the format of the models: the one
// that the others are made from comes first.
func alternatives(sides []*side, name string) []string {
	var names []string
	for _, s := range sides {
		if s.single() {
			continue
		}
		o := s.find(name)
		if o.None() {
			o = s.lent(name).o
		}
		for _, n := range s.names(o) {
			if n != name && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	sortNames(names)
	return names
}

func sortNames(names []string) {
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(model.TieRank(a), model.TieRank(b)), text.CompareNames(a, b))
	})
}

// same reports whether two joints are one parameter on every side.
func (j joint) same(k joint) bool {
	return slices.EqualFunc(j.parts, k.parts, func(a, b part) bool { return a.o.Key() == b.o.Key() })
}

// written reports whether a name of the first side is the same parameter as j.
func written(sides []*side, first int, j joint) bool {
	mine := j.parts[first]
	for _, name := range append([]string{mine.name}, sides[first].names(mine.o)...) {
		if !sides[first].find(name).None() && j.same(gather(sides, name)) {
			return true
		}
	}
	return false
}

// ownName chooses among the names of a joint's parameter.
func ownName(sides []*side, j joint) string {
	names := alternatives(sides, j.name)
	for _, x := range j.parts {
		if !x.o.None() && x.name != j.name && !slices.Contains(names, x.name) {
			names = append(names, x.name)
		}
	}
	if len(names) == 0 {
		return j.name
	}
	names = append(names, j.name)
	sortNames(names)
	for _, name := range names {
		if name == j.name || j.same(gather(sides, name)) {
			return name
		}
	}
	return j.name
}

// why says under which other name a side has the parameter, where that is not
// just one more name of it; "" otherwise.
func (j joint) why() string {
	if j.own != j.name {
		return ""
	}
	for i, who := range []string{"primary", "secondary"} {
		if x := j.parts[i]; x.name != j.name {
			return fmt.Sprintf("in the %s it is %s", who, text.Quote(x.name))
		}
	}
	return ""
}

// note remembers names that are one parameter of the output.
func (p *planner) note(j joint) {
	if j.own != j.name {
		if p.own == nil {
			p.own = map[string]string{}
		}
		p.own[j.name] = j.own
	}
}

// ownOf returns the name of the parameter that an output tensor is, its own as a rule.
func (p *planner) ownOf(name string) string {
	if own, ok := p.own[name]; ok {
		return own
	}
	return name
}

// leavesOut reports whether a name is not written though the model stores it: a
// head that is the embedding under another name, where config.json says so.
// transformers leaves it out of safetensors as well. In a slice of a recipe that
// has the last layers and not the embedding it is none of the slice's own.
// settleTies puts it back if the output turns out not to be tied.
func (p *planner) leavesOut(sides []*side, first int, j joint) bool {
	if !p.repeatsEmbedding(sides, first, j) {
		return false
	}
	p.note(j)
	p.left = append(p.left, j.name)
	return true
}

// repeatsEmbedding reports whether a joint is such a head.
func (p *planner) repeatsEmbedding(sides []*side, first int, j joint) bool {
	if !model.IsHead(j.name) {
		return false
	}
	s := sides[first]
	if own := s.find(j.own); j.own != j.name && !own.None() {
		o := s.find(j.name)
		return p.Recipe.Format != recipe.Bin && !o.None() && p.Primary.SaysTied() && o.Model.OneStorage(o.Index, own.Index)
	}
	if s.whole == nil || !p.Primary.TiesHead() || p.Primary.StoresApart(j.name) {
		return false
	}
	for i, x := range j.parts {
		first := sides[i].last.Parameters().First
		if !x.o.None() && !slices.ContainsFunc(sides[i].whole, func(w part) bool { return w.name != j.name && first(w.o.Index) == first(x.o.Index) }) {
			return false
		}
	}
	return true
}
