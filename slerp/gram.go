package slerp

import "math"

// BlockElems is the number of elements that one run of the lanes sums: a
// tensor is cut in blocks of this many elements, counted from its start.
const BlockElems = 1 << 20

// A Gram is the Gram matrix of two tensors, which is symmetric: a·a, b·b and a·b.
// Inner products of finite F64 tensors may lie beyond a float64.
type Gram struct{ AA, BB, AB Wide }

// Plus adds the Gram matrices of two blocks. Add the blocks of a tensor in index order:
// the order is part of the result.
func (s Gram) Plus(t Gram) Gram {
	return Gram{s.AA.Plus(t.AA), s.BB.Plus(t.BB), s.AB.Plus(t.AB)}
}

// Finite reports whether a·a and b·b are finite: a NaN or an infinity in a
// parent always shows here.
func (s Gram) Finite() bool { return s.AA.Finite() && s.BB.Finite() }

func finite(x float64) bool { return x-x == 0 }

// lanes is the state of a run: eight partial sums of each product.
type lanes struct{ aa, bb, ab [8]float64 }

// fold adds eight lanes in the order that the package comment defines. A NaN
// gets its one code, as hardware's choice of payload depends on operand order.
func fold(l *[8]float64) float64 {
	s0, s1, s2, s3 := l[0]+l[4], l[1]+l[5], l[2]+l[6], l[3]+l[7]
	return oneNaN((s0 + s2) + (s1 + s3))
}

func oneNaN(x float64) float64 {
	if x != x {
		return math.Float64frombits(nan64)
	}
	return x
}

// wideLanes are lanes in which sums neither overflow nor underflow.
type wideLanes [3][8]Wide

// widen continues lanes.
func (l *lanes) widen() *wideLanes {
	w := new(wideLanes)
	for i := range 8 {
		w[0][i], w[1][i], w[2][i] = NewWide(l.aa[i]), NewWide(l.bb[i]), NewWide(l.ab[i])
	}
	return w
}

func (l *wideLanes) gram() Gram {
	return Gram{foldWide(&l[0]), foldWide(&l[1]), foldWide(&l[2])}
}

// foldWide is fold.
func foldWide(l *[8]Wide) Wide {
	s0, s1, s2, s3 := l[0].Plus(l[4]), l[1].Plus(l[5]), l[2].Plus(l[6]), l[3].Plus(l[7])
	w := s0.Plus(s2).Plus(s1.Plus(s3))
	w.frac = oneNaN(w.frac)
	return w
}

// measureWide does the same as measure64 in lanes that have no ends.
func measureWide(l *wideLanes, a, b []float64) {
	for i, x := range a {
		v, w := NewWide(x), NewWide(b[i])
		for j, p := range [3]Wide{v.Times(v), w.Times(w), v.Times(w)} {
			l[j][i&7] = l[j][i&7].Plus(p)
		}
	}
}

// plain reports whether the products of the values, and sums of them, are far
// from the ends of float64.
func plain(p []float64) bool {
	for _, x := range p {
		if e := int(math.Float64bits(x)>>52&0x7ff) - 1023; (e < -plainExp || e >= plainExp) && x != 0 {
			return false
		}
	}
	return true
}
