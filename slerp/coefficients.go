package slerp

import "math"

// A Branch is the formula that a pair's coefficients come from.
type Branch uint8

const (
	Spherical Branch = iota
	Linear           // the parents are all but parallel, or opposite
)

// String is "slerp" or "linear".
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
	// NormA and NormB are the parents' lengths, without the floor.
	NormA, NormB float64
	Branch       Branch
}

// Interpolate finds the coefficients at t, where 0 is a and 1 is b; t outside
// [0, 1] extrapolates. Sums that are not finite and a t that is NaN give NaN
// coefficients.
func Interpolate(s Sums, t float64) Coefficients {
	c := Relate(s)
	switch {
	case math.IsNaN(c.Theta):
		c.S0, c.S1 = c.Theta, c.Theta
	case c.Branch == Linear:
		c.S0, c.S1 = 1-t, t
	default:
		whole := sin(c.Theta)
		c.S0 = sin((1-t)*c.Theta) / whole
		c.S1 = sin(t*c.Theta) / whole
	}
	return c
}

// Relate finds all but S0 and S1, which are left 0.
func Relate(s Sums) Coefficients {
	c := Coefficients{NormA: math.Sqrt(s.AA), NormB: math.Sqrt(s.BB)}
	if !s.Finite() {
		c.Cos, c.Theta = math.NaN(), math.NaN()
		return c
	}
	na, nb := c.NormA, c.NormB
	if na <= normFloor {
		na = 1
	}
	if nb <= normFloor {
		nb = 1
	}
	c.Cos = max(-1, min(1, s.AB/(na*nb)))
	c.Theta = acos(c.Cos)
	if math.Abs(c.Cos) > parallel {
		c.Branch = Linear
	}
	return c
}
