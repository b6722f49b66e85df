package method

import (
	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// ModelStock goes from a base towards the mean of the others, as far as the angles between
// their differences from the base say.
type ModelStock struct{ base int }

// Word returns "model_stock".
func (ModelStock) Word() string { return "model_stock" }

// Needs returns Deltas.
func (ModelStock) Needs() Measure { return Deltas }

// Base returns the index of the base.
func (o ModelStock) Base() int { return o.base }

// Solve gives the coefficients. The Figures are t, of which the base keeps 1-t, and the mean
// cosine that it comes from.
func (o ModelStock) Solve(n int, gram Gram) Solution {
	t, cos := slerp.ModelStock(n-1, gram.products(n-1))
	w := make([]float64, n)
	for i := range w {
		w[i] = t / float64(n-1)
	}
	w[o.base] = 1 - t
	return Solution{Weights: w, Divisor: 1, Outcome: Outcome(o.Word()),
		Figures: []slerp.Figure{{Name: "t", Of: -1, Value: t}, {Name: "cosine", Of: -1, Value: cos}}}
}

// ModelStockMethod is merge_method: model_stock, of two models or more and the base that they
// were made of.
type ModelStockMethod struct{}

// Name returns "model_stock".
func (ModelStockMethod) Name() recipe.Method { return "model_stock" }

// Title returns the name of the method for cards.
func (ModelStockMethod) Title() string {
	return "A merge of models and their base by Model Stock"
}

// Parameters returns filter_wise.
func (ModelStockMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{{Name: "filter_wise", Boolean: true, Default: "false"}}
}

// Base returns the role of base_model.
func (ModelStockMethod) Base() recipe.BaseRole { return recipe.BaseIsRequired }

// Missing returns BaseOrSkip.
func (ModelStockMethod) Missing() Missing { return BaseOrSkip }

// Pairs returns false.
func (ModelStockMethod) Pairs() bool { return false }

// Op needs nothing. A base alone is taken as it is.
func (ModelStockMethod) Op(p Params) (Op, string) {
	if p.Operands() == 1 {
		return alone(1, 0), ""
	}
	if rows, _ := p.Flag("filter_wise"); rows {
		return FilterWise{slerp.FilterWise{Base: p.Base()}}, ""
	}
	return ModelStock{p.Base()}, ""
}

// Check wants two models at least besides the base in each slice.
func (ModelStockMethod) Check(c *recipe.Check) {
	checkModels(c, 2, 0, "two models or more")
}
