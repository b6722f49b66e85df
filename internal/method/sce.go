package method

import (
	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// SCE selects the elements in which models vary most, calculates weights and erases
// deltas of the minor sign.
type SCE struct{ slerp.SCE }

// Word returns "sce".
func (SCE) Word() string { return "sce" }

// Needs returns Passes.
func (SCE) Needs() Measure { return Passes }

// Solve gives the Outcome.
func (o SCE) Solve(int, Gram) Solution { return Solution{Outcome: Outcome(o.Word())} }

// SCEMethod is merge_method: sce, of any number of models and a base.
type SCEMethod struct{}

// Name returns "sce".
func (SCEMethod) Name() recipe.Method { return "sce" }

// Title returns the name of the method for cards.
func (SCEMethod) Title() string {
	return "A merge of models by SCE (select, calculate and erase)"
}

// Parameters returns select_topk, and int8_mask, which has no effect.
func (SCEMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{{Name: "select_topk", Default: "1", Valid: number("select_topk")}, {Name: "int8_mask", Boolean: true, Default: "false"}}
}

// Base returns the role of base_model.
func (SCEMethod) Base() recipe.BaseRole { return recipe.BaseIsRequired }

// Missing returns Refuse.
func (SCEMethod) Missing() Missing { return Refuse }

// Pairs returns false.
func (SCEMethod) Pairs() bool { return false }

// Op keeps all elements if select_topk is not given.
func (SCEMethod) Op(p Params) (Op, string) {
	return SCE{slerp.SCE{Base: p.Base(), TopK: valueOr(p, "select_topk", 1)}}, ""
}

// Check wants a base and another model in each slice.
func (SCEMethod) Check(c *recipe.Check) { checkModels(c, 1, 0, "one model or more") }
