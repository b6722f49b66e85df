package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/text"
)

// stored reports whether a name is that of an output tensor. They are sorted.
func (p *planner) stored(name string) bool { return p.tensorOf(name) != nil }

// tensorOf finds an output tensor by its name; nil if there is none.
func (p *planner) tensorOf(name string) *Tensor {
	i, ok := slices.BinarySearchFunc(p.Tensors, name, func(t Tensor, name string) int { return strings.Compare(t.Name, name) })
	if !ok {
		return nil
	}
	return &p.Tensors[i]
}

// apart finds two output tensors that the primary's config.json ties, and that
// are not one parameter.
func (p *planner) apart() (name, source string, ok bool) {
	for i := range p.Tensors {
		name := p.Tensors[i].Name
		if model.TieRank(name) == 0 && (p.layers != nil || !model.HasTwins(name)) {
			continue
		}
		if source, ok := p.Primary.TieSource(name, p.stored); ok && p.ownOf(name) != p.ownOf(source) {
			return name, source, true
		}
	}
	return "", "", false
}

// settleTies finds out whether the output contradicts the ties of config.json.
// If it does and untie will change that config, names that only their ties gave
// values are added to the output: those that leavesOut dropped, and those that
// no parent stores.
func (p *planner) settleTies() {
	if p.Primary.Config == nil {
		return
	}
	name, source, ok := p.apart()
	if !ok {
		return
	}
	p.contradiction = [2]string{name, source}
	if p.Primary.TiesModules() {
		return // to say that the config ties nothing would take away modules that are left out
	}
	if !p.Primary.Config.Clone().Untie() {
		return
	}
	type restored struct{ name, source string }
	var all []restored
	head := false
	add := func(name, source string) {
		if p.stored(name) || !p.stored(source) || slices.ContainsFunc(all, func(r restored) bool { return r.name == name }) {
			return
		}
		all = append(all, restored{name, source})
		head = head || isHead(name)
	}
	for _, name := range p.left {
		source := p.ownOf(name)
		if source == name { // it was in a slice without the embedding
			source, _ = p.Primary.TieSource(name, p.stored)
		}
		add(name, source)
	}
	head = head || slices.ContainsFunc(p.Tensors, func(t Tensor) bool { return isHead(t.Name) })
	for i := range p.Tensors {
		source := p.Tensors[i].Name
		for _, name := range model.TieTargets(source) {
			if from, ok := p.Primary.TieSource(name, p.stored); ok && from == source && p.hasPlaceFor(name, head) {
				add(name, source)
			}
		}
	}
	if len(all) == 0 {
		return
	}
	if p.own == nil {
		p.own = map[string]string{}
	}
	copies := make([]Tensor, len(all))
	for i, r := range all {
		t := *p.tensorOf(r.source)
		t.Operands = slices.Clone(t.Operands)
		t.Name, t.Why = r.name, cmp.Or(t.Why, "tied to "+text.Quote(r.source))
		copies[i] = t
		p.own[r.name] = p.ownOf(r.source)
		p.restored = append(p.restored, r.name)
	}
	p.Tensors = append(p.Tensors, copies...)
	p.sort()
	slices.Sort(p.restored)
}

// hasPlaceFor reports whether the class of the output has a tensor of a name
// that no parent stores: other tensors stand right in its module, or in the one
// around it, where that has a decoder or an embedding in every class. Of heads
// at the top level a class has one.
func (p *planner) hasPlaceFor(name string, head bool) bool {
	within := func(module string, deep bool) bool {
		i, _ := slices.BinarySearchFunc(p.Tensors, module+".", func(t Tensor, name string) int { return strings.Compare(t.Name, name) })
		for ; i < len(p.Tensors) && strings.HasPrefix(p.Tensors[i].Name, module+"."); i++ {
			if deep || !strings.Contains(p.Tensors[i].Name[len(module)+1:], ".") {
				return true
			}
		}
		return false
	}
	module, ok := cutLast(name)
	if !ok {
		return false
	}
	if within(module, false) {
		return true
	}
	around, ok := cutLast(module)
	if !ok {
		return model.IsHead(name) && !head
	}
	last := module[len(around)+1:]
	return (last == "decoder" || last == "embed_tokens") && within(around, true) && !p.stored(around+".weight")
}

// isHead reports whether a name is that of a head's matrix in any class:
// proj_out.weight of Whisper is one.
func isHead(name string) bool {
	return model.IsHead(name) || model.TieRank(name) == 2 && strings.HasSuffix(name, ".weight")
}

// cutLast takes the last part off a name; ok is false if that is all of it.
func cutLast(name string) (rest string, ok bool) {
	i := strings.LastIndexByte(name, '.')
	return name[:max(0, i)], i >= 0
}

// untie makes the config say that nothing is tied, if it says that it is and the
// output has tensors that contradict it.
func (p *planner) untie(c *model.Config) {
	name, source := p.contradiction[0], p.contradiction[1]
	if name == "" {
		return
	}
	if tied, said := c.Bool("tie_word_embeddings"); said && !tied && !c.Untie() {
		return // as T5 1.1 says it, whose type ties whatever is equal
	}
	end := "tie_word_embeddings becomes false"
	if p.Primary.TiesModules() || !c.Untie() {
		end = "config.json of this model type can't say that they are not tied: transformers 5 sees that they differ, older releases don't look"
	} else if n := len(p.restored); n > 0 {
		end += fmt.Sprintf(", so %s %s written too", text.Quote(strings.Join(p.restored, ", ")), text.Verb(n, "is", "are"))
	}
	p.warn("%s: both are written, %s", p.untiedWhy(name, source), end)
}

// untiedWhy says that two names which config.json ties are two tensors of the
// output, and in which models they are.
func (p *planner) untiedWhy(name, source string) string {
	var tied, apart, differ []string
	for i, m := range p.Models {
		x, ok := m.Named(name)
		y, also := m.Named(source)
		switch {
		case !ok || !also || slices.Contains(p.Models[:i], m):
		case m.Parameters().First(int32(x)) == m.Parameters().First(int32(y)):
			tied = append(tied, m.Name())
		default:
			apart = append(apart, m.Name())
			if slices.ContainsFunc(m.Parameters().Differ, func(u model.Pair) bool { return int(u.Target) == x && int(u.Source) == y }) {
				differ = append(differ, m.Name())
			}
		}
	}
	a, b := text.Quote(name), text.Quote(source)
	switch {
	case len(tied) > 0 && len(apart) > 0:
		return fmt.Sprintf("%s is tied to %s in %s and not in %s", a, b, strings.Join(tied, " and "), strings.Join(apart, " and "))
	case len(differ) > 0:
		return fmt.Sprintf("%s differs from %s in %s, though config.json ties them", a, b, strings.Join(differ, " and "))
	}
	return fmt.Sprintf("%s and %s are two tensors, though config.json ties them", a, b)
}
