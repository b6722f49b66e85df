package method

import (
	"fmt"
	"math"

	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
)

// Slerp is spherical linear interpolation of two operands, from the first at T
// = 0 to the second at T = 1 (package slerp).
type Slerp struct{ T float64 }

// Word returns "slerp".
func (Slerp) Word() string { return "slerp" }

// Needs returns InnerProducts.
func (Slerp) Needs() Measure { return InnerProducts }

// Solve gives the coefficients of the spherical or, where that is not defined,
// of the linear formula.
func (s Slerp) Solve(_ int, gram Gram) Solution { return solution(slerp.Interpolate(gram[0], s.T)) }

// AtCosine is Solve, but that the Angle has no norms.
func (s Slerp) AtCosine(cos float64) Solution { return solution(slerp.InterpolateAt(cos, s.T)) }

func solution(c slerp.Coefficients) Solution {
	out := Solution{Weights: []float64{c.S0, c.S1}, Divisor: 1, Spherical: true, Outcome: Spherical, Angle: c}
	if c.Branch == slerp.Linear {
		out.Outcome = Straight
	}
	return out
}

// Sole returns the operand that is taken alone: at the ends nothing is blended.
func (s Slerp) Sole() (k int, ok bool) { return int(s.T), s.T == 0 || s.T == 1 }

// SlerpMethod is merge_method: slerp, of two models.
type SlerpMethod struct{}

// Name returns "slerp".
func (SlerpMethod) Name() recipe.Method { return "slerp" }

// Title returns the name of the method for cards.
func (SlerpMethod) Title() string {
	return "A merge of two models by spherical linear interpolation (SLERP)"
}

// Parameters returns t.
func (SlerpMethod) Parameters() []recipe.Parameter {
	return []recipe.Parameter{{Name: "t", Valid: validT}}
}

func validT(v float64, word string) (problem, warning string) {
	switch {
	case !(math.Abs(v) <= recipe.MaxT):
		return recipe.NoT(word), ""
	case v < 0 || v > 1:
		return "", fmt.Sprintf("t = %v is outside 0 (base_model) to 1 (the other one)", v)
	}
	return "", ""
}

// Base returns the role of base_model.
func (SlerpMethod) Base() recipe.BaseRole { return recipe.BaseIsMember }

// Missing returns Others.
func (SlerpMethod) Missing() Missing { return Others }

// Pairs returns true: tensors are planned in pairs.
func (SlerpMethod) Pairs() bool { return true }

// Op needs t.
func (SlerpMethod) Op(p Params) (Op, string) {
	t, ok := p.Value("t")
	if !ok {
		return nil, "t"
	}
	return Slerp{t}, ""
}

// Check wants two models in each slice, of which one is the base model, and a t.
func (SlerpMethod) Check(c *recipe.Check) {
	for k := range c.Slices {
		if !c.Slices[k].Broken() {
			checkPair(c, k)
		}
	}
	if len(c.Slices) > 0 {
		needsT(c)
	}
}

func checkPair(c *recipe.Check, k int) {
	s, base := c.Slice(k)
	switch n := len(s.Sources); {
	case n > 2 && s.Sources[2].Added:
		c.FailAt(s.Sources[2].Pos, "slerp merges two models, and base_model %s is a third; base_model is one of the two", c.Quote(base))
	case n > 2:
		c.FailAt(s.Sources[2].Model.Pos, "slerp merges two models, and %s is a third", c.Quote(s.Sources[2].Model))
	case n < 2 && c.Several():
		return // a module that is taken from one model
	case n < 2:
		c.FailAt(s.Sources[0].Pos, "slerp merges two models, and here is one")
	}
	switch {
	case base == nil && !c.HasBase:
		c.FailMethod("slerp needs base_model: the one of the two models that t = 0 stands for")
	case base != nil && s.Base < 0:
		c.FailAt(s.Sources[0].Pos, "base_model %s is not among the sources of this slice; for slerp it is one of the two", c.Quote(base))
	}
}

// needsT makes sure that each slice finds a t somewhere. Whether it has a value
// for every tensor shows with the models.
func needsT(c *recipe.Check) {
	anywhere := false
	for k := range c.Slices {
		anywhere = anywhere || c.Has("t", k, -1)
	}
	for k, s := range c.Slices {
		switch {
		case c.Has("t", k, -1) || len(s.Sources) < 2:
		case anywhere:
			c.FailAt(s.Pos, "slerp needs t, and neither this slice nor the file has it")
		default:
			c.FailMethod("slerp needs t; write parameters: {t: 0.5} for the middle of the two models")
			return
		}
	}
}
