package slerp

import (
	"math"
	"slices"
)

const (
	// MaxKarcher bounds the steps of Karcher. As a rule it needs one to seven.
	MaxKarcher = 1000
	// opposite is the squared sine of the angle to a vector that counts as opposite.
	opposite = 1e-12
)

// A KarcherMean is the mean of vectors on the sphere, as a linear combination of them.
type KarcherMean struct {
	Weights []float64 // of the vectors
	Steps   int
	Tau     float64 // the length of the last step, or of the one that was not worth taking, in radians
	// Opposite is the index of a vector that is opposite to the mean of all at some
	// step, so that there is no shortest way to it: then Weights are those of
	// the linear mean. It is -1 if there is none.
	Opposite int
}

// Karcher returns the point of the sphere that has the least sum of squared angles to the
// directions of len(alphas) vectors, each square weighted, times the weighted mean of their lengths
// (mergekit 0.1.5, merge_methods/karcher.py, whose weights are equal). alphas are the weights: none negative, the sum
// positive.
//
// All iterates are linear combinations of the unit vectors, and so each step needs only the
// cosines between these (docs/methods.md). A vector whose length is at most tol has
// no direction, but its length counts. The steps end when one is shorter than tol, after maxIter of
// them or MaxKarcher, or when nothing changes any more. If a product is not finite, all weights are NaN.
func Karcher(p Inner, alphas []float64, maxIter int, tol float64) KarcherMean {
	n := len(alphas)
	norms, good := p.norms(n)
	if !good {
		return KarcherMean{Weights: allNaN(n), Tau: math.NaN(), Opposite: -1}
	}
	total := 0.0
	for _, a := range alphas {
		total += a
	}
	var list []int // of the vectors that have a direction
	size, share := Wide{}, 0.0
	for i, a := range alphas {
		size = size.Plus(norms[i].Times(NewWide(a / total)))
		if NewWide(tol).Less(norms[i]) && a > 0 {
			list = append(list, i)
			share += a
		}
	}
	out := KarcherMean{Weights: make([]float64, n), Opposite: -1}
	if len(list) == 0 {
		return out
	}
	s := sphere{u: p.cosines(list, func(i int) Wide { return norms[i] }), tol: tol}
	for k, i := range list {
		s.u[k][k] = 1
		s.alphas = append(s.alphas, alphas[i]/share)
	}
	c := s.start()
	for out.Steps < min(maxIter, MaxKarcher) {
		z, far := s.tangent(c)
		if far >= 0 {
			out.Opposite = list[far]
			for i, a := range alphas {
				out.Weights[i] = a / total
			}
			return out
		}
		if out.Tau = s.u.length(z); out.Tau < tol || out.Tau == 0 {
			break
		}
		next := s.step(c, z, out.Tau)
		out.Steps++
		if slices.Equal(next, c) {
			break
		}
		c = next
	}
	for k, i := range list {
		out.Weights[i] = size.Times(NewWide(c[k])).Over(norms[i])
	}
	return out
}

// A sphere has unit vectors with the cosines u and their weights, which add up to
// 1. Its points are combinations of them.
type sphere struct {
	u      matrix
	alphas []float64
	tol    float64
}

// start returns the weighted mean of the vectors, on the sphere, or the first of them if
// the mean has no direction.
func (s *sphere) start() []float64 {
	c := slices.Clone(s.alphas)
	if !s.normalise(c) {
		clear(c)
		c[0] = 1
	}
	return c
}

// normalise gives c the length 1, if it is longer than tol.
func (s *sphere) normalise(c []float64) bool {
	l := s.u.length(c)
	if l < s.tol || l == 0 {
		return false
	}
	for i := range c {
		c[i] /= l
	}
	return true
}

// tangent returns the weighted sum of the directions from c to the vectors, each as
// long as the angle. far is the index of a vector that is opposite to c, -1 if there is none.
func (s *sphere) tangent(c []float64) (z []float64, far int) {
	g := s.u.times(c)
	z = make([]float64, len(c)) // the weights of the vectors, and then less the part along c
	for i, x := range g {
		x = max(-1, min(1, x))
		square := float64((1 - x) * (1 + x)) // of the sine
		if x < 0 && square < opposite {
			return nil, i
		}
		g[i] = x
		switch theta := acos(x); {
		case theta < s.tol: // as in mergekit
		case square == 0:
			z[i] = s.alphas[i]
		default:
			z[i] = float64(s.alphas[i] * theta / math.Sqrt(square))
		}
	}
	along := dot(z, g)
	for i := range z {
		z[i] -= float64(along * c[i])
	}
	return z, -1
}

// step goes from c along z, which has the length tau.
func (s *sphere) step(c, z []float64, tau float64) []float64 {
	to := make([]float64, len(c))
	stay, part := cos(tau), sin(tau)/tau
	for i := range to {
		to[i] = float64(stay*c[i]) + float64(part*z[i])
	}
	s.normalise(to)
	return to
}
