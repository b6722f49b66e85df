package method

import (
	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// Karcher is the mean of the directions of operands on the sphere, as long as the mean of their
// lengths.
type Karcher struct {
	Weights []float64 // of the operands
	MaxIter int
	Tol     float64
}

// Word returns "karcher".
func (*Karcher) Word() string { return "karcher" }

// Needs returns InnerProducts.
func (*Karcher) Needs() Measure { return InnerProducts }

// Solve gives the coefficients. The Figures are the steps that were taken and the length
// of the last, tau. Where an operand is opposite to the mean, which then does not
// exist, the Outcome is Straight, the weights are those of the linear mean, and the Figure
// opposite belongs to that operand.
func (o *Karcher) Solve(n int, gram Gram) Solution {
	m := slerp.Karcher(gram.products(n), o.Weights, o.MaxIter, o.Tol)
	out := Solution{Weights: m.Weights, Divisor: 1, Outcome: Outcome(o.Word()),
		Figures: []slerp.Figure{{Name: "steps", Of: -1, Value: float64(m.Steps)}, {Name: "tau", Of: -1, Value: m.Tau}}}
	if m.Opposite >= 0 {
		out.Outcome = Straight
		out.Figures = append(out.Figures, slerp.Figure{Name: "opposite", Of: m.Opposite, Value: 1})
	}
	return out
}

// Fallback says what an opposite operand means.
func (*Karcher) Fallback() string {
	return "a model is opposite to the mean of all, to which there is no way on the sphere, so the linear mean is taken"
}

// ZeroSum reports whether no weight is above 0.
func (o *Karcher) ZeroSum() bool { return sumOf(o.Weights) == 0 }

// KarcherMethod is merge_method: karcher, of any number of models.
type KarcherMethod struct{}

// Name returns "karcher".
func (KarcherMethod) Name() recipe.Method { return "karcher" }

// Title returns the name of the method for cards.
func (KarcherMethod) Title() string {
	return "A merge of models by their Karcher mean: the mean on the sphere"
}

// Parameters returns those of mergekit and weight, which it does not have.
func (KarcherMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{{Name: "max_iter", Integer: true, Default: "10", Valid: notNegative("max_iter")},
		{Name: "tol", Default: "1e-5", Valid: notNegative("tol")},
		{Name: "weight", PerSource: true, Valid: notNegative("a weight of karcher")}}
}

// Base returns the role of base_model.
func (KarcherMethod) Base() recipe.BaseRole { return recipe.BaseIsModel }

// Missing returns Refuse.
func (KarcherMethod) Missing() Missing { return Refuse }

// Pairs returns false.
func (KarcherMethod) Pairs() bool { return false }

// Op takes max_iter 10, tol 1e-5 and equal weights if they are not given. Either all operands have a
// weight or none.
func (KarcherMethod) Op(p Params) (Op, string) {
	op := &Karcher{MaxIter: int(min(valueOr(p, "max_iter", 10), slerp.MaxKarcher)), Tol: valueOr(p, "tol", 1e-5)}
	given := 0
	for k := range p.Operands() {
		w, ok := p.Of(k, "weight")
		if ok {
			given++
		} else {
			w = 1
		}
		op.Weights = append(op.Weights, w)
	}
	if given > 0 && given < p.Operands() {
		return op, "weight"
	}
	return op, ""
}

// Check wants a weight for all models or for none.
func (KarcherMethod) Check(c *recipe.Check) {
	for k, s := range c.Slices {
		if s.Broken() {
			continue
		}
		lacks := -1
		given := false
		for j := range s.Sources {
			if c.Has("weight", k, j) {
				given = true
			} else {
				lacks = j
			}
		}
		if given && lacks >= 0 {
			c.Lacks("weight", k, lacks)
		}
	}
}
