package slerp

import "math"

// BlockElems is the number of elements that one run of the lanes sums: a
// tensor is cut in blocks of this many elements, counted from its start.
const BlockElems = 1 << 20

// Sums are the three inner products that a tensor pair needs: a·a, b·b, a·b.
type Sums struct{ AA, BB, AB float64 }

// Plus adds the sums of two blocks. Add the blocks of a tensor in index order:
// the order is part of the result.
func (s Sums) Plus(t Sums) Sums {
	return Sums{s.AA + t.AA, s.BB + t.BB, s.AB + t.AB}
}

// Finite reports whether a·a and b·b are finite. A NaN or an infinity in a
// parent always shows here. Of finite parents only F64 elements beyond 1e150
// do.
func (s Sums) Finite() bool { return finite(s.AA) && finite(s.BB) }

func finite(x float64) bool { return x-x == 0 }

// lanes is the state of a run: eight partial sums of each product.
type lanes struct{ aa, bb, ab [8]float64 }

// fold adds eight lanes in the order that the package comment defines. A NaN
// gets its one code, as hardware's choice of payload depends on operand order.
func fold(l *[8]float64) float64 {
	s0, s1, s2, s3 := l[0]+l[4], l[1]+l[5], l[2]+l[6], l[3]+l[7]
	sum := (s0 + s2) + (s1 + s3)
	if sum != sum {
		return math.Float64frombits(nan64)
	}
	return sum
}
