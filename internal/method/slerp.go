package method

import "slerpmerge/slerp"

// Slerp is spherical linear interpolation of two operands, from the first at T
// = 0 to the second at T = 1 (package slerp).
type Slerp struct{ T float64 }

// Word is "slerp".
func (Slerp) Word() string { return "slerp" }

// Needs is InnerProducts.
func (Slerp) Needs() Measure { return InnerProducts }

// Solve gives the coefficients of the spherical or, where that is not defined,
// of the linear formula.
func (s Slerp) Solve(_ int, gram Gram) Solution {
	c := slerp.Interpolate(gram[0], s.T)
	out := Solution{Weights: []float64{c.S0, c.S1}, Divisor: 1, Spherical: true, Outcome: Spherical}
	if c.Branch == slerp.Linear {
		out.Outcome = Straight
	}
	return out
}
