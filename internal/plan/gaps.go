package plan

import (
	"slerpmerge/internal/method"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
)

// gaps are the tensors of a slice that some of its sources lack, by the rule of the
// method.
type gaps struct {
	rules method.Method
	base  int // the source that is the base model, -1 if none is
	sides []*side

	alone, skipped, refused text.Names
}

// A gapRule is what becomes of a tensor that some sources lack.
type gapRule uint8

const (
	mergeOthers gapRule = iota
	takeOnly            // the values of the only source that has it
	leaveOut
	refuse
)

// rule decides about one tensor.
func (g *gaps) rule(name string, j joint) gapRule {
	have, based := 0, g.base >= 0 && !j.parts[g.base].o.None()
	for _, x := range j.parts {
		if !x.o.None() {
			have++
		}
	}
	needsBase := g.rules.Base() == recipe.BaseIsRequired
	switch rule := g.rules.Missing(); {
	case rule == method.BaseOrSkip && (!based || have == 2):
		g.skipped.Add(name, "")
		return leaveOut
	case (rule == method.Singleton || rule == method.BaseOrSkip && based || rule == method.BaseSingleton && based) && have == 1:
		g.alone.Add(name, "")
		return takeOnly
	case needsBase && !based || rule == method.Singleton || rule == method.BaseSingleton:
		g.refused.Add(name, "")
		return refuse
	}
	return mergeOthers
}

// tell notes what was decided.
func (g *gaps) tell(p *planner) {
	name := string(g.rules.Name())
	say := func(names *text.Names, refuse bool, what string) {
		n := names.Count()
		switch {
		case n == 0:
		case refuse:
			p.block("%s in some of the models only, and %s: %s", text.Count(n, "tensor"), what, names.String())
		default:
			p.warn("%s%s in some of the models only, and %s: %s", p.placed(), text.Count(n, "tensor"), what, names.String())
		}
	}
	strict := p.Recipe.Missing == recipe.MissingError
	say(&g.alone, strict, "taken from the one that has it")
	say(&g.skipped, strict, name+" leaves "+text.Verb(g.skipped.Count(), "it", "them")+" out of the output")
	say(&g.refused, true, name+" can't merge "+text.Verb(g.refused.Count(), "it", "them"))
}

// placed is the place of what is being worked on, for a message; "" without a
// file.
func (p *planner) placed() string {
	if !p.Recipe.FromFile() {
		return ""
	}
	return p.Recipe.Place(p.at) + ": "
}
