package plan

import (
	"cmp"
	"fmt"
	"slices"

	"slerpmerge/internal/recipe"
)

// warn adds a warning.
func (p *planner) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

// warnFirst adds a warning of something that hardly any merge survives: it
// comes before the others.
func (p *planner) warnFirst(format string, args ...any) { p.weigh(-1, format, args...) }

// warnLast adds one of something that rarely matters.
func (p *planner) warnLast(format string, args ...any) { p.weigh(1, format, args...) }

func (p *planner) weigh(rank int, format string, args ...any) {
	p.warn(format, args...)
	if p.ranks == nil {
		p.ranks = map[string]int{}
	}
	p.ranks[p.Warnings[len(p.Warnings)-1]] = rank
}

// sortWarnings puts the warnings in the order of their weight, those of the
// same weight in the order in which they came up.
func (p *planner) sortWarnings() {
	slices.SortStableFunc(p.Warnings, func(x, y string) int { return cmp.Compare(p.ranks[x], p.ranks[y]) })
}

// block adds a reason why the work can't be done; in a recipe file it has the
// place p.at.
func (p *planner) block(format string, args ...any) {
	msg := fmt.Sprintf(format, args...)
	if d := p.Recipe; d.FromFile() {
		p.problems = append(p.problems, recipe.Problem{Pos: p.at, Message: msg})
		msg = d.Place(p.at) + ": " + msg
	}
	p.Blockers = append(p.Blockers, msg)
}
