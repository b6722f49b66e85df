package plan

import (
	"slerpmerge/internal/model"
	"slerpmerge/internal/parents"
)

// compare puts the findings about another parent among the warnings, and those
// that forbid the merge among the blockers. depth reports whether the numbers
// of layers must be equal.
func (p *planner) compare(b *model.Model, depth bool) {
	for _, f := range parents.Compare(p.Primary, b, parents.Options{Depth: depth, Memory: p.Run.MaxMemory}) {
		switch f.Weight {
		case parents.Forbids:
			p.block("%s", f.Text)
			p.depthNamed = p.depthNamed || f.Depth
		case parents.Grave:
			p.warnFirst("%s", f.Text)
		case parents.Ordinary:
			p.warn("%s", f.Text)
		case parents.Slight:
			p.warnLast("%s", f.Text)
		case parents.Setting:
			p.Differences = append(p.Differences, f.Text)
		}
	}
	if p.Primary.Config != nil && b.Config != nil {
		p.autoMap()
	}
}
