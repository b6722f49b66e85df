package slerp

import "math"

// nearFloor is the least distance of two elements that nearswap divides by
// (mergekit 0.1.5, merge_methods/nearswap.py).
const nearFloor = 1e-6

type nearswap struct {
	unmeasured
	o    Operands
	base int
	t    float64
}

// NewNearswap returns the Sweep of nearswap on two operands, of which base is the
// base. Of a base element a and the other's x the output is s*x + (1-s)*a with
// s = t/max(|a-x|, 1e-6), at most 1: a goes towards x by t, and becomes x where
// that is no farther away. t is finite and not negative. No pass is needed.
func NewNearswap(o Operands, base int, t float64) Sweep {
	return &nearswap{o: o, base: base, t: t}
}

func (w *nearswap) Memory() (state, scratch int64) { return 0, mixerBytes(w.o) }

func (w *nearswap) Mixer(s *Scratch) Mixer {
	return newStripMixer(s, w.o, func(y []float64, x [][]float64, _ int64) {
		swap(y, x[w.base], x[1-w.base], w.t)
	})
}

func swap(y, base, other []float64, t float64) {
	base, other = base[:len(y)], other[:len(y)]
	for j := range y {
		a, x := base[j], other[j]
		s := min(t/max(math.Abs(a-x), nearFloor), 1)
		y[j] = float64(s*x) + float64((1-s)*a)
	}
}
