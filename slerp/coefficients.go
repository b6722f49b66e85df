package slerp

import "math"

// A Branch is the formula that a pair's coefficients come from.
type Branch uint8

const (
	Spherical Branch = iota
	Linear           // the parents are nearly parallel or nearly opposite
)

// String returns "slerp" or "linear".
func (b Branch) String() string {
	if b == Linear {
		return "linear"
	}
	return "slerp"
}

// The constants of mergekit's slerp (merge_methods/slerp.py), which users
// compare with.
const (
	normFloor = 1e-8   // a norm up to this counts as 1
	parallel  = 0.9995 // beyond this |cosine| the branch is Linear
)

// Coefficients weigh a tensor pair: the merged tensor is S0*a + S1*b, of the
// raw tensors, not of their directions.
type Coefficients struct {
	S0, S1 float64
	// Cos is the cosine of the angle between the parents as the formula saw
	// it: clamped to [-1, 1], and 0 for a parent without length.
	Cos float64
	// Theta is that angle in radians, 0 to pi, whatever the branch.
	Theta float64
	// NormA and NormB are the parents' lengths, without the floor. One beyond a
	// float64 is an infinity.
	NormA, NormB float64
	Branch       Branch
}

// Interpolate returns the coefficients at t, where 0 is a and 1 is b; t outside
// [0, 1] extrapolates. If g or t is not finite, or |t| exceeds MaxT, the
// coefficients are NaN.
func Interpolate(g Gram, t float64) Coefficients {
	c := Angle(g)
	c.weigh(t)
	return c
}

// InterpolateAt returns what Interpolate does for parents of a given Cos, without
// their norms.
func InterpolateAt(cos, t float64) Coefficients {
	c := Coefficients{Cos: cos}
	c.turn()
	c.weigh(t)
	return c
}

// weigh sets the coefficients at t.
func (c *Coefficients) weigh(t float64) {
	switch {
	case math.IsNaN(c.Theta) || !(math.Abs(t) <= MaxT):
		c.S0, c.S1 = math.NaN(), math.NaN()
	case c.Branch == Linear:
		c.S0, c.S1 = 1-t, t
	case math.Abs(t) < nearEnd || math.Abs(1-t) < nearEnd:
		c.S0, c.S1 = nearParent(t, c.Theta)
	default:
		whole := sin(c.Theta)
		c.S0 = sin((1-t)*c.Theta) / whole
		c.S1 = sin(t*c.Theta) / whole
	}
}

const (
	// MaxT bounds the size of t: beyond it, multiples of t would overflow.
	MaxT = 1e300
	// Nearer to 0 or 1 than this, rounding 1-t and the angles would cost more
	// digits than the parent that is far away has in the sum.
	nearEnd = 1e-6
)

// Angle returns the Coefficients without S0 and S1, which are 0: the angle between
// the tensors, their lengths and the branch.
func Angle(g Gram) Coefficients {
	na, nb := g.AA.Sqrt(), g.BB.Sqrt()
	c := Coefficients{NormA: na.Float64(), NormB: nb.Float64()}
	if !g.Finite() {
		c.Cos, c.Theta = math.NaN(), math.NaN()
		return c
	}
	if c.NormA <= normFloor {
		na = NewWide(1)
	}
	if c.NormB <= normFloor {
		nb = NewWide(1)
	}
	c.Cos = max(-1, min(1, g.AB.Over(na.Times(nb))))
	c.turn()
	return c
}

// turn sets the angle and the branch of a cosine.
func (c *Coefficients) turn() {
	if !(math.Abs(c.Cos) <= 1) {
		c.Theta = math.NaN()
		return
	}
	c.Theta = acos(c.Cos)
	if math.Abs(c.Cos) > parallel {
		c.Branch = Linear
	}
}
