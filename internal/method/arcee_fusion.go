package method

import (
	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// ArceeFusion takes the important changes of another operand into a base.
type ArceeFusion struct{ slerp.ArceeFusion }

// Word returns "arcee_fusion".
func (ArceeFusion) Word() string { return "arcee_fusion" }

// Needs returns Passes.
func (ArceeFusion) Needs() Measure { return Passes }

// Solve gives the Outcome.
func (o ArceeFusion) Solve(int, Gram) Solution { return Solution{Outcome: Outcome(o.Word())} }

// ArceeFusionMethod is merge_method: arcee_fusion, of a base and one other model.
type ArceeFusionMethod struct{}

// Name returns "arcee_fusion".
func (ArceeFusionMethod) Name() recipe.Method { return "arcee_fusion" }

// Title returns the name of the method for cards.
func (ArceeFusionMethod) Title() string {
	return "A merge of two models by Arcee Fusion"
}

// Parameters returns nil: there are none.
func (ArceeFusionMethod) Parameters() []recipe.Parameter { return nil }

// Base returns the role of base_model.
func (ArceeFusionMethod) Base() recipe.BaseRole { return recipe.BaseIsRequired }

// Missing returns Singleton.
func (ArceeFusionMethod) Missing() Missing { return Singleton }

// Pairs returns false.
func (ArceeFusionMethod) Pairs() bool { return false }

// Op needs nothing.
func (ArceeFusionMethod) Op(p Params) (Op, string) {
	return ArceeFusion{slerp.ArceeFusion{Base: p.Base()}}, ""
}

// Check wants a base and one other model in each slice.
func (ArceeFusionMethod) Check(c *recipe.Check) { checkModels(c, 1, 1, "one model") }
