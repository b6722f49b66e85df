package engine

import (
	"math"

	"slerpmerge/internal/plan"
	"slerpmerge/slerp"
)

// A TensorAngles says how far the operands of one tensor are from each other. With
// a base, operands are the others, and vectors their differences from it; without,
// their values. There can be a million of them.
type TensorAngles struct {
	// Norms are the lengths of the vectors, Cosines are those of the angle of each
	// pair of them, in row order. A vector of zeros has 0, as no merge would take
	// another; one with a NaN or an infinity has NaN. They are nil where nothing
	// was measured.
	Norms, Cosines []float64
	// First is for each operand the first one with the same type and bytes; nil if
	// no two have. Index 0 is the base, if there is one.
	First []uint16
	Base  float64 // the norm of the base
}

// Measured reports whether there are norms and cosines.
func (r *TensorAngles) Measured() bool { return r.Norms != nil }

// Alike reports whether operands i and j, the base among them, have the same type
// and bytes.
func (r *TensorAngles) Alike(i, j int) bool {
	return i == j || r.First != nil && r.First[i] == r.First[j]
}

// AllAlike reports whether all operands have the same type and bytes.
func (r *TensorAngles) AllAlike() bool {
	for _, k := range r.First {
		if k != 0 {
			return false
		}
	}
	return r.First != nil
}

// NonFinite reports whether an operand has a NaN or an infinity.
func (r *TensorAngles) NonFinite() bool {
	for _, x := range r.Norms {
		if x != x {
			return true
		}
	}
	return false
}

// Angles returns what was found of the tensor. The figures of a pair of values are
// those of slerp.Angle.
func (s *Scanned) Angles(t *plan.Tensor) TensorAngles {
	var r TensorAngles
	for k, first := range s.First {
		if first != k {
			r.First = make([]uint16, len(s.First))
			for k, first := range s.First {
				r.First[k] = uint16(first)
			}
			break
		}
	}
	if s.Gram == nil {
		return r
	}
	n := len(t.Operands)
	based := baseOf(t) >= 0
	if based {
		n--
		r.Base = s.Base.Sqrt().Float64()
	}
	numbers := make([]float64, 0, n+len(s.Gram))
	for i := range n {
		norm := s.Gram.At(n, i, i)
		if !norm.Finite() {
			norm = slerp.NewWide(math.NaN())
		}
		numbers = append(numbers, norm.Sqrt().Float64())
	}
	k := 0
	for i := range n {
		for j := i + 1; j < n; j++ {
			numbers = append(numbers, cosine(s.Gram[k], based))
			k++
		}
	}
	r.Norms, r.Cosines = numbers[:n:n], numbers[n:]
	return r
}

// cosine returns the cosine of the angle between two vectors. Differences can be so
// short that slerp.Angle would take them for zero.
func cosine(g slerp.Gram, differences bool) float64 {
	if !differences {
		return slerp.Angle(g).Cos
	}
	na, nb := g.AA.Sqrt(), g.BB.Sqrt()
	switch {
	case !g.Finite():
		return math.NaN()
	case na == slerp.Wide{} || nb == slerp.Wide{}:
		return 0
	}
	return max(-1, min(1, g.AB.Over(na.Times(nb))))
}
