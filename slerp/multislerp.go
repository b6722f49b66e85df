package slerp

import "math"

// undirected is the least share of the sum of |weights| that the weighted mean of unit
// vectors must have. Below it float64 does not know two digits of its length.
const undirected = 0x1p-22

// MultiSlerp returns the coefficients of mergekit's multislerp (0.1.5) of len(w)
// vectors: the weighted mean of their directions, normalised, times the
// weighted mean of their lengths. eps is added to lengths. w is not normalised here.
//
// mergekit's step in the tangent space is left out: it is zero for any vectors and
// weights (docs/methods.md). Its angle, eps, is not.
//
// mean is the length of the mean of the directions. If that is less than eps, or than
// what float64 can tell from 0, it has no direction. Then ok is false, and c is w: the
// weighted sum. If a product is not finite, all coefficients are NaN.
func MultiSlerp(p Inner, w []float64, eps float64) (c []float64, mean float64, ok bool) {
	n := len(w)
	norms, good := p.norms(n)
	if !good {
		return allNaN(n), math.NaN(), true
	}
	all, lengths := make([]int, n), make([]Wide, n)
	for i := range all {
		all[i], lengths[i] = i, norms[i].Plus(NewWide(eps))
	}
	u := p.cosines(all, func(i int) Wide { return lengths[i] })
	mean = u.length(w)
	sum, size := Wide{}, 0.0
	for i, x := range w {
		sum = sum.Plus(norms[i].Times(NewWide(x)))
		size += float64(math.Abs(x) * math.Sqrt(u[i][i]))
	}
	c = make([]float64, n)
	if mean < eps || mean <= undirected*size {
		copy(c, w)
		return c, mean, false
	}
	sum = sum.Times(NewWide(cos(eps)))
	for i, x := range w {
		if lengths[i] != (Wide{}) {
			c[i] = sum.Times(NewWide(x)).Over(lengths[i].Times(NewWide(mean)))
		}
	}
	return c, mean, true
}
