package method

import (
	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// MultiSlerp is the weighted mean of the directions of operands, or of their differences from a
// base, as long as the weighted mean of their lengths.
type MultiSlerp struct {
	Weights []float64 // of the operands but the base
	Eps     float64   // added to lengths
	base    int       // -1 if there is none
	whole   bool      // the weights add up to 1 by definition
	zeroSum bool
}

// Word returns "multislerp".
func (*MultiSlerp) Word() string { return "multislerp" }

// Needs returns InnerProducts, or Deltas if there is a base.
func (o *MultiSlerp) Needs() Measure { return measure(o.base) }

// Base returns the index of the base.
func (o *MultiSlerp) Base() int { return o.base }

// Solve gives the coefficients, or those of the weighted sum where the mean has no direction.
// Then the Outcome is Straight.
func (o *MultiSlerp) Solve(n int, gram Gram) Solution {
	c, mean, ok := slerp.MultiSlerp(gram.products(len(o.Weights)), o.Weights, o.Eps)
	out := Solution{Weights: fromBase(n, o.base, c), Divisor: 1, Outcome: Outcome(o.Word()),
		Figures: []slerp.Figure{{Name: "mean", Of: -1, Value: mean}}}
	if !ok {
		out.Outcome = Straight
	}
	return out
}

// CopiesEqual reports whether equal operands give themselves: not if weights are
// taken as they are, and eps, which turns the mean, is large.
func (o *MultiSlerp) CopiesEqual() bool { return o.base >= 0 || o.whole && o.Eps <= 1e-8 }

// Fallback says what a mean without direction means.
func (*MultiSlerp) Fallback() string {
	return "the directions of the models cancel, so the weighted sum is taken"
}

// ZeroSum reports whether the weights add up to 0 and are to be normalised.
func (o *MultiSlerp) ZeroSum() bool { return o.zeroSum }

// MultiSlerpMethod is merge_method: multislerp, of any number of models, or of what they have
// learned since a base.
type MultiSlerpMethod struct{}

// Name returns "multislerp".
func (MultiSlerpMethod) Name() recipe.Method { return "multislerp" }

// Title returns the name of the method for cards.
func (MultiSlerpMethod) Title() string {
	return "A merge of models by the mean of their directions (Multi-SLERP)"
}

// Parameters returns those of mergekit.
func (MultiSlerpMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{weightParameter(), {Name: "normalize_weights", Boolean: true, Default: "true"},
		{Name: "eps", Default: "1e-8", Valid: notNegative("eps")}}
}

// Base returns the role of base_model.
func (MultiSlerpMethod) Base() recipe.BaseRole { return recipe.BaseIsOptional }

// Missing returns Refuse.
func (MultiSlerpMethod) Missing() Missing { return Refuse }

// Pairs returns false.
func (MultiSlerpMethod) Pairs() bool { return false }

// Op needs the weight of every operand but the base. One alone is taken as it is.
func (MultiSlerpMethod) Op(p Params) (Op, string) {
	list := others(p)
	if len(list) < 2 {
		return alone(p.Operands(), append(list, 0)[0]), ""
	}
	w, missing := weightsOf(p, list)
	op := &MultiSlerp{Weights: w, Eps: valueOr(p, "eps", 1e-8), base: p.Base(), whole: true}
	if yes, ok := p.Flag("normalize_weights"); ok {
		op.whole = yes
	}
	if op.whole {
		sum := sumOf(w)
		op.zeroSum = sum == 0
		for i := range w {
			w[i] /= sum
		}
	}
	return op, missing
}

// Check wants one model at least besides the base in each slice, and a weight for each.
func (MultiSlerpMethod) Check(c *recipe.Check) {
	checkModels(c, 1, 0, "one model or more")
	checkWeights(c)
}
