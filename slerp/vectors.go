package slerp

import "math"

// Inner gives the inner product of any two of some vectors: of i and j, which
// may be the same. It is symmetric.
type Inner func(i, j int) Wide

// norms returns the lengths of the first n vectors. ok is false if one of them has a
// NaN or an infinity.
func (p Inner) norms(n int) (norms []Wide, ok bool) {
	norms, ok = make([]Wide, n), true
	for i := range norms {
		square := p(i, i)
		norms[i], ok = square.Sqrt(), ok && square.Finite()
	}
	return norms, ok
}

// cosines returns the matrix of the cosines between some vectors, by index, with the
// lengths given. A length counts as 0 if its vector has no direction.
func (p Inner) cosines(list []int, length func(i int) Wide) matrix {
	u := make(matrix, len(list))
	for r := range u {
		u[r] = make([]float64, len(list))
	}
	for r, i := range list {
		for c := range r + 1 {
			j := list[c]
			if l := length(i).Times(length(j)); l != (Wide{}) {
				u[r][c] = max(-1, min(1, p(i, j).Over(l)))
			}
			u[c][r] = u[r][c]
		}
	}
	return u
}

// A matrix is square and symmetric.
type matrix [][]float64

// times returns m*v. All its products and sums are rounded, in index order.
func (m matrix) times(v []float64) []float64 {
	out := make([]float64, len(v))
	for i := range out {
		out[i] = dot(m[i], v)
	}
	return out
}

// length returns the length of the vector that v combines of vectors with the inner products m.
func (m matrix) length(v []float64) float64 {
	return math.Sqrt(max(0, dot(v, m.times(v))))
}

func dot(v, w []float64) float64 {
	sum := 0.0
	for i, x := range v {
		sum += float64(x * w[i])
	}
	return sum
}

// cos is the cosine of x radians, within 2^-52 of 1.
func cos(x float64) float64 {
	s := sin(x / 2)
	return 1 - float64(2*float64(s*s))
}

func allNaN(n int) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = math.NaN()
	}
	return w
}
