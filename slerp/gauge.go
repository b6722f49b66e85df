package slerp

import "slerpmerge/internal/tensor"

// steady is the least share that |a-b|² must have of a·a + b·b for the
// difference of the sums to keep enough of its digits: at worst four, as a rule
// seven.
const steady = 1e-6

// SquaredDistance is |a-b|², and whether it can be told from the sums. Where
// the parents are all but equal, the difference of the sums has lost its
// digits, and a Gauge must measure it.
func (s Sums) SquaredDistance() (d float64, ok bool) {
	d = s.AA + s.BB - 2*s.AB
	return d, !(d < steady*(s.AA+s.BB))
}

// A Gauge sums the squared differences of one block of a tensor pair, chunk by
// chunk, in lanes as a Meter does. It has a fixed scratch of 16 KiB and serves
// one goroutine at a time.
type Gauge struct {
	a, b  tensor.DType
	lanes [8]float64
	x, y  []float64
}

// NewGauge makes a Gauge for parents of the given types, which must have
// arithmetic (tensor.DType.Blends).
func NewGauge(a, b tensor.DType) *Gauge {
	check(a, b)
	return &Gauge{a: a, b: b, x: make([]float64, strip), y: make([]float64, strip)}
}

// Reset begins a new block.
func (g *Gauge) Reset() { g.lanes = [8]float64{} }

// Add takes the next elements of a block, the same number of them on both
// sides: a multiple of 8, except in the last chunk of a block.
func (g *Gauge) Add(a, b []byte) {
	n := elems(g.a, a)
	mustMatch(n, elems(g.b, b))
	sizeA, sizeB := g.a.Size(), g.b.Size()
	for n > 0 {
		k := min(n, strip)
		x, y := g.x[:k], g.y[:k]
		decode64(g.a, x, a)
		decode64(g.b, y, b)
		for i := range x {
			d := x[i] - y[i]
			g.lanes[i&7] += float64(d * d) // not fused on any machine
		}
		a, b, n = a[k*sizeA:], b[k*sizeB:], n-k
	}
}

// Sum folds the lanes to |a-b|² of the block.
func (g *Gauge) Sum() float64 { return fold(&g.lanes) }
