package plan

import (
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/text"
)

// convert takes every tensor of the one parent.
func (p *planner) convert() {
	m := p.Primary
	if len(m.Tensors) == 0 {
		p.block("%s holds no tensors", m.Name())
		return
	}
	p.Tensors = make([]Tensor, 0, len(m.Tensors))
	sides := []*side{whole(m)}
	for j := range join(sides, 0) {
		if p.leavesOut(sides, 0, j) {
			continue
		}
		p.note(j)
		p.Tensors = append(p.Tensors, p.lone(j.name, j.parts[0].o))
	}
	p.autoMap()
	if lost := slices.DeleteFunc(slices.Sorted(maps.Keys(m.Metadata)), func(k string) bool { return k == "format" }); len(lost) > 0 {
		p.warn("the metadata of %s are not kept: %s", m.Name(), text.Quote(strings.Join(lost, ", ")))
	}
}

// autoMap warns about a parent whose code is not copied.
func (p *planner) autoMap() {
	if c := p.Primary.Config; c != nil && c.Has("auto_map") {
		p.warn("%s needs code of its own (auto_map in config.json): its *.py files are not copied", p.Primary.Name())
	}
	if types := p.Primary.OwnModules; len(types) > 0 {
		p.warn("%s needs code of its own for the modules %s: its *.py files are not copied", p.Primary.Name(), text.Quote(strings.Join(types, ", ")))
	}
}
