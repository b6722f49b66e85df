package model

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/text"
)

// A Renaming says how the names of one model begin, or are, and how those of
// the same tensors do in another.
type Renaming struct{ From, To string }

// maxAligned bounds the stacks of a model that are looked at and that the other
// one does not have: a file can have any number.
const maxAligned = 32

// Align calls the tensors of m as base calls them, where both are one network
// under other names. Its stacks of layers are recognised by what is in a layer:
// at least half of the tensors of the stack that has fewer of them must have
// the same name within the layer, and the same shape, in the other stack. A
// tensor outside the layers follows the stack beside it. Align returns the
// renamings that explain the new names; none if all keep theirs.
//
// It is an error if the names do not decide which of two stacks is meant.
func (m *Model) Align(base *Model) ([]Renaming, error) {
	if !m.differ(base) || !base.differ(m) {
		return nil, nil
	}
	a := &alignment{m: m, base: base, mine: m.stackShapes(), theirs: base.stackShapes(), stacks: map[string]stackPair{}}
	if err := a.pairStacks(); err != nil {
		return nil, err
	}
	if len(a.prefixes) == 0 && len(a.stacks) == 0 {
		if !a.pairWhole() {
			return nil, nil
		}
	}
	if err := a.name(); err != nil {
		return nil, err
	}
	return a.said, nil
}

// differ reports whether m has a name that the other model lacks.
func (m *Model) differ(other *Model) bool {
	return slices.ContainsFunc(m.Tensors, func(t Tensor) bool {
		_, ok := other.Lookup(t.Name)
		return !ok
	})
}

// An alignment is the work of one Align.
type alignment struct {
	m, base      *Model
	mine, theirs map[string]*stackShape
	loose        []int                // the tensors of m that belong to no layer
	stacks       map[string]stackPair // of m, by name
	prefixes     []Renaming           // of what stands beside the stacks, in the order in which they were found
	said         []Renaming
}

// A stackShape describes the tensors of a stack's layers.
type stackShape struct {
	name    string
	tensors int
	kinds   map[string]kindShape // by the name within the layer, numbers as #
	lead    string               // how all these names begin, whole components
}

// A kindShape is the shape of a kind of tensor in the first layer that has it.
type kindShape struct {
	layer int
	rest  string
	shape []uint64
}

// A stackPair is a stack of base, and what stands between the number and the
// rest of a name in the two.
type stackPair struct{ to, cut, add string }

// maxKinds bounds the kinds of tensors in the layers of a model that is to be
// aligned: those of transformers have some dozens, a file any number.
const maxKinds = 1 << 13

// stackShapes describes the stacks of m; it is empty for too many kinds.
func (m *Model) stackShapes() map[string]*stackShape {
	stacks := map[string]*stackShape{}
	var key []byte
	kinds := 0
	for i := range m.Tensors {
		t := &m.Tensors[i]
		name, layer, ok := LayerOf(t.Name)
		if !ok {
			continue
		}
		s := stacks[name]
		if s == nil {
			s = &stackShape{name: name, kinds: map[string]kindShape{}}
			stacks[name] = s
		}
		s.tensors++
		rest := restOf(t.Name, name)
		key = appendKind(key[:0], rest)
		if k, known := s.kinds[string(key)]; !known || layer < k.layer || layer == k.layer && rest < k.rest {
			if !known {
				if kinds++; kinds > maxKinds {
					return nil
				}
			}
			s.kinds[string(key)] = kindShape{layer, rest, t.Shape}
		}
	}
	for _, s := range stacks {
		s.lead = commonLead(slices.Collect(maps.Keys(s.kinds)))
	}
	return stacks
}

// restOf returns the name of a tensor within its layer.
func restOf(name, stack string) string {
	rest := name[len(stack)+1:]
	return rest[strings.IndexByte(rest, '.')+1:]
}

// appendKind appends a name with # in the place of components that are
// numbers, such as those of experts.
func appendKind(b []byte, name string) []byte {
	for i := 0; i < len(name); {
		end := i
		number := true
		for end < len(name) && name[end] != '.' {
			number = number && name[end] >= '0' && name[end] <= '9'
			end++
		}
		if number && end > i {
			b = append(b, '#')
		} else {
			b = append(b, name[i:end]...)
		}
		if end < len(name) {
			b = append(b, '.')
		}
		i = end + 1
	}
	return b
}

// commonLead returns the longest run of components that all names begin with, up
// to a dot; "" for fewer than three names, which prove nothing.
func commonLead(names []string) string {
	if len(names) < 3 {
		return ""
	}
	lead := names[0]
	for _, n := range names[1:] {
		for !strings.HasPrefix(n, lead) {
			lead = lead[:max(0, strings.LastIndexByte(strings.TrimSuffix(lead, "."), '.')+1)]
		}
	}
	lead = lead[:strings.LastIndexByte(lead, '.')+1]
	if strings.Contains(lead, "#") {
		return ""
	}
	return lead
}

// likeness compares the kinds of two stacks, where cut at the beginning of
// those of s stands for add in those of t: the kinds of one shape, as a share
// of those of the smaller stack and of all.
func likeness(s, t *stackShape, cut, add string) (ofSmaller, ofAll float64) {
	same := 0
	for name, k := range s.kinds {
		if other, ok := t.kinds[add+strings.TrimPrefix(name, cut)]; ok && slices.Equal(k.shape, other.shape) {
			same++
		}
	}
	return float64(same) / float64(min(len(s.kinds), len(t.kinds))), float64(same) / float64(len(s.kinds)+len(t.kinds)-same)
}

// A fit is a stack of base that a stack of m may be.
type fit struct {
	from, to *stackShape
	stackPair
	like    float64
	support int  // tensors beside the stacks that would be paired too
	suffix  int  // components at the end of both names that are the same
	text    bool // both are the text
}

func (x fit) compare(y fit) int {
	b := func(v bool) int {
		if v {
			return 1
		}
		return 0
	}
	return -cmp.Or(cmp.Compare(x.like, y.like), cmp.Compare(x.support, y.support), cmp.Compare(x.suffix, y.suffix), b(x.text)-b(y.text))
}

// pairStacks finds the stack of base that each stack of m is.
func (a *alignment) pairStacks() error {
	for i := range a.m.Tensors {
		if _, _, ok := LayerOf(a.m.Tensors[i].Name); !ok {
			a.loose = append(a.loose, i)
		}
	}
	mine, theirs := unknown(a.mine, a.theirs), unknown(a.theirs, a.mine)
	textFrom, _, err1 := a.m.TextStack()
	textTo, _, err2 := a.base.TextStack()
	var fits []fit
	for _, s := range mine {
		for _, t := range theirs {
			f := fit{from: s, to: t, stackPair: stackPair{to: t.name}}
			ofSmaller, like := likeness(s, t, "", "")
			if s.lead != t.lead {
				if o, l := likeness(s, t, s.lead, t.lead); l > like {
					ofSmaller, like, f.cut, f.add = o, l, s.lead, t.lead
				}
			}
			if ofSmaller < 0.5 {
				continue
			}
			f.like = like
			f.suffix = commonSuffix(s.name, t.name)
			f.support = a.support(prefixOf(s.name, t.name))
			f.text = err1 == nil && err2 == nil && s.name == textFrom && t.name == textTo
			fits = append(fits, f)
		}
	}
	slices.SortStableFunc(fits, func(x, y fit) int {
		return cmp.Or(x.compare(y), cmp.Compare(x.from.name, y.from.name), cmp.Compare(x.to.name, y.to.name))
	})
	from, to := map[string]bool{}, map[string]bool{}
	for len(fits) > 0 {
		best := fits[0]
		for _, f := range fits[1:] {
			switch {
			case f.compare(best) != 0 || f.from != best.from && f.to != best.to:
			case f.from == best.from:
				return fmt.Errorf("the layers %s of %s may be %s or %s of %s: neither names nor shapes decide", text.Quote(best.from.name), a.m.Name(), text.Quote(best.to.name), text.Quote(f.to.name), a.base.Name())
			default:
				return fmt.Errorf("the layers %s of %s may be %s or %s of %s: neither names nor shapes decide", text.Quote(best.to.name), a.base.Name(), text.Quote(best.from.name), text.Quote(f.from.name), a.m.Name())
			}
		}
		from[best.from.name], to[best.to.name] = true, true
		a.stacks[best.from.name] = best.stackPair
		r := Renaming{best.from.name, best.to.name}
		if best.cut != best.add {
			r.From, r.To = r.From+".N."+best.cut, r.To+".N."+best.add
			r.From, r.To = strings.TrimSuffix(r.From, "."), strings.TrimSuffix(r.To, ".")
		}
		a.said = append(a.said, r)
		if p := prefixOf(best.from.name, best.to.name); p.From != p.To && !slices.Contains(a.prefixes, p) {
			a.prefixes = append(a.prefixes, p)
		}
		fits = slices.DeleteFunc(fits, func(f fit) bool { return from[f.from.name] || to[f.to.name] })
	}
	return nil
}

// unknown lists the stacks that the other model does not have, or has with
// nothing in common, the largest of them.
func unknown(own, other map[string]*stackShape) []*stackShape {
	var list []*stackShape
	for _, name := range slices.Sorted(maps.Keys(own)) {
		if t, ok := other[name]; ok {
			if _, like := likeness(own[name], t, "", ""); like > 0 {
				continue
			}
		}
		list = append(list, own[name])
	}
	slices.SortStableFunc(list, func(x, y *stackShape) int { return cmp.Compare(y.tensors, x.tensors) })
	return list[:min(len(list), maxAligned)]
}

// prefixOf returns the renaming of the prefixes that the names beside two stacks
// have.
func prefixOf(from, to string) Renaming {
	from, to = parentOf(from), parentOf(to)
	for from != "" && to != "" && lastPart(from) == lastPart(to) {
		from, to = parentOf(from), parentOf(to)
	}
	dot := func(s string) string {
		if s != "" {
			s += "."
		}
		return s
	}
	return Renaming{dot(from), dot(to)}
}

func lastPart(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

func commonSuffix(x, y string) int {
	n := 0
	for x != "" && y != "" && lastPart(x) == lastPart(y) {
		x, y = parentOf(x), parentOf(y)
		n++
	}
	return n
}

// support counts the tensors beside the stacks that a prefix would pair.
func (a *alignment) support(p Renaming) int {
	n := 0
	for _, i := range a.loose {
		t := &a.m.Tensors[i]
		if rest, ok := strings.CutPrefix(t.Name, p.From); ok {
			if j, ok := a.base.Lookup(p.To + rest); ok && slices.Equal(a.base.Tensors[j].Shape, t.Shape) {
				n++
			}
		}
	}
	return n
}

// pairWhole tries the prefix that all names of either model have in common,
// for models without layers: all tensors of the smaller one must be in the
// other.
func (a *alignment) pairWhole() bool {
	p := Renaming{a.m.lead(), a.base.lead()}
	if p.From == p.To || len(a.mine) > 0 && len(a.theirs) > 0 {
		return false
	}
	n := 0
	for i := range a.m.Tensors {
		t := &a.m.Tensors[i]
		if j, ok := a.base.Lookup(p.To + strings.TrimPrefix(t.Name, p.From)); ok && slices.Equal(a.base.Tensors[j].Shape, t.Shape) {
			n++
		}
	}
	if n < 2 || n < min(len(a.m.Tensors), len(a.base.Tensors)) {
		return false
	}
	a.prefixes = append(a.prefixes, p)
	a.said = append(a.said, p)
	return true
}

// lead returns the run of components that all names of m begin with.
func (m *Model) lead() string {
	if len(m.Tensors) == 0 {
		return ""
	}
	lead := m.Tensors[0].Name
	for i := range m.Tensors {
		for !strings.HasPrefix(m.Tensors[i].Name, lead) {
			lead = lead[:max(0, strings.LastIndexByte(strings.TrimSuffix(lead, "."), '.')+1)]
		}
	}
	return lead[:strings.LastIndexByte(lead, '.')+1]
}
