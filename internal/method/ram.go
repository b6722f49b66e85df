package method

import (
	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// Ram is Reinforced Agent Merging: deltas from a base, of which those that
// overlap are averaged.
type Ram struct{ slerp.Ram }

// Word returns "ram" or "ramplus_tl".
func (r Ram) Word() string {
	if r.R != 0 {
		return "ramplus_tl"
	}
	return "ram"
}

// Needs returns Passes.
func (Ram) Needs() Measure { return Passes }

// Solve gives the Outcome.
func (r Ram) Solve(int, Gram) Solution { return Solution{Outcome: Outcome(r.Word())} }

// RamMethod is merge_method: ram or, if Plus, ramplus_tl.
type RamMethod struct{ Plus bool }

// Name returns the name of the method.
func (m RamMethod) Name() recipe.Method {
	if m.Plus {
		return "ramplus_tl"
	}
	return "ram"
}

// Title returns the name of the method for cards.
func (m RamMethod) Title() string {
	if m.Plus {
		return "A merge of models by Reinforced Agent Merging Plus (tensor-local)"
	}
	return "A merge of models by Reinforced Agent Merging"
}

// Parameters returns epsilon, and for ramplus_tl r and alpha.
func (m RamMethod) Parameters() []recipe.Parameter {
	list := []recipe.Parameter{{Name: "epsilon", Default: "1e-5", Valid: notNegative("epsilon")}}
	if m.Plus {
		list = append(list, recipe.Parameter{Name: "r", Default: "0.1", Valid: number("r")}, recipe.Parameter{Name: "alpha", Default: "0.2", Valid: notNegative("alpha")})
	}
	return list
}

// Base returns the role of base_model.
func (RamMethod) Base() recipe.BaseRole { return recipe.BaseIsRequired }

// Missing returns Refuse.
func (RamMethod) Missing() Missing { return Refuse }

// Pairs returns false.
func (RamMethod) Pairs() bool { return false }

// Op takes mergekit's defaults: epsilon 1e-5, r 0.1 and alpha 0.2.
func (m RamMethod) Op(p Params) (Op, string) {
	r := slerp.Ram{Base: p.Base(), Epsilon: valueOr(p, "epsilon", 1e-5)}
	if m.Plus {
		r.R, r.Alpha = valueOr(p, "r", 0.1), valueOr(p, "alpha", 0.2)
	}
	return Ram{r}, ""
}

// Check wants a base and another model in each slice.
func (RamMethod) Check(c *recipe.Check) { checkModels(c, 1, 0, "one model or more") }
