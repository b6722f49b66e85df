package slerp

import "math"

// The constants of mergekit's nuslerp (0.1.5, merge_methods/nuslerp.py).
const (
	nuslerpFloor = 1e-7  // a smaller norm counts as this
	collinear    = 1e-16 // up to this squared sine the branch is Linear
)

// Nuslerp returns the coefficients of two vectors at t, where 0 is a and 1 is b; t
// outside [0, 1] extrapolates. It is Interpolate with other guards: the formula is
// linear only where the vectors are parallel or opposite to the last digits, and a
// vector without length is at a right angle to all others. If g or t is not finite,
// the coefficients are NaN.
func Nuslerp(g Gram, t float64) Coefficients {
	na, nb := g.AA.Sqrt(), g.BB.Sqrt()
	c := Coefficients{NormA: na.Float64(), NormB: nb.Float64()}
	if !g.Finite() || !finite(t) {
		c.S0, c.S1, c.Cos, c.Theta = math.NaN(), math.NaN(), math.NaN(), math.NaN()
		return c
	}
	floor := NewWide(nuslerpFloor)
	if na.Less(floor) {
		na = floor
	}
	if nb.Less(floor) {
		nb = floor
	}
	c.Cos = max(-1, min(1, g.AB.Over(na.Times(nb))))
	c.Theta = acos(c.Cos)
	switch {
	case 1-float64(c.Cos*c.Cos) <= collinear:
		c.Branch = Linear
		c.S0, c.S1 = 1-t, t
	case math.Abs(t) < nearEnd || math.Abs(1-t) < nearEnd:
		c.S0, c.S1 = nearParent(t, c.Theta)
	default:
		whole := sin(c.Theta)
		c.S0 = sin((1-t)*c.Theta) / whole
		c.S1 = sin(t*c.Theta) / whole
	}
	return c
}
