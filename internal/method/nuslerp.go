package method

import (
	"math"

	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// Nuslerp is spherical linear interpolation of two operands, from the first at T
// = 0 to the second at T = 1, or of their differences from a third.
type Nuslerp struct {
	T    float64
	base int // -1 if there is none
}

// Word returns "nuslerp".
func (Nuslerp) Word() string { return "nuslerp" }

// Needs returns InnerProducts, or Deltas if there is a base.
func (o Nuslerp) Needs() Measure { return measure(o.base) }

// Base returns the index of the base.
func (o Nuslerp) Base() int { return o.base }

// Solve gives the coefficients of the spherical formula, or of the linear one for vectors that
// are parallel or opposite.
func (o Nuslerp) Solve(n int, gram Gram) Solution {
	c := slerp.Nuslerp(gram[0], o.T)
	out := Solution{Weights: fromBase(n, o.base, []float64{c.S0, c.S1}), Divisor: 1, Outcome: Outcome(o.Word()),
		Figures: []slerp.Figure{{Name: "angle", Of: -1, Value: c.Theta}}}
	if c.Branch == slerp.Linear {
		out.Outcome = Straight
	}
	return out
}

// NuslerpMethod is merge_method: nuslerp, of two models, or of what they have
// learned since a base.
type NuslerpMethod struct{}

// Name returns "nuslerp".
func (NuslerpMethod) Name() recipe.Method { return "nuslerp" }

// Title returns the name of the method for cards.
func (NuslerpMethod) Title() string {
	return "A merge of two models by spherical linear interpolation with weights (NuSLERP)"
}

// Parameters returns those of mergekit.
func (NuslerpMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{weightParameter(), {Name: "nuslerp_flatten", Boolean: true, Default: "true"},
		{Name: "nuslerp_row_wise", Boolean: true, Default: "false"}}
}

// Base returns the role of base_model.
func (NuslerpMethod) Base() recipe.BaseRole { return recipe.BaseIsOptional }

// Missing returns Singleton.
func (NuslerpMethod) Missing() Missing { return Singleton }

// Pairs returns false.
func (NuslerpMethod) Pairs() bool { return false }

// Op needs the weights of two operands. Their ratio gives t.
func (NuslerpMethod) Op(p Params) (Op, string) {
	list := others(p)
	if len(list) < 2 {
		return alone(p.Operands(), 0), "" // the only model that has it
	}
	w, missing := weightsOf(p, list[:2])
	t := nuslerpT(w[0], w[1])
	if t == 0 || t == 1 { // nothing is blended
		return alone(p.Operands(), list[int(t)]), missing
	}
	if flat, ok := p.Flag("nuslerp_flatten"); ok && !flat {
		columns, _ := p.Flag("nuslerp_row_wise")
		return NuslerpAxes{slerp.NuslerpAxes{Base: p.Base(), T: t, Columns: columns}}, missing
	}
	return Nuslerp{T: t, base: p.Base()}, missing
}

// nuslerpT is the place between two models of these weights. Where they add up to nothing it is the middle
// (mergekit 0.1.5, merge_methods/nuslerp.py).
func nuslerpT(w0, w1 float64) float64 {
	if math.Abs(w0+w1) < 1e-6 {
		return 0.5
	}
	return w1 / (w0 + w1)
}

// Check wants two models besides the base in each slice, and a weight for each.
func (NuslerpMethod) Check(c *recipe.Check) {
	checkModels(c, 2, 2, "two models")
	checkWeights(c)
}
