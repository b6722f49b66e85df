package slerp

import "slerpmerge/internal/tensor"

// steady is the least share that |a-b|² must have of a·a + b·b for the difference
// of the inner products to keep enough digits: at worst four, as a rule seven.
const steady = 1e-6

// SquaredDistance returns |a-b|². ok is false if the inner products do not determine it:
// where the parents are nearly equal, their difference has lost its digits, and a
// Distance must measure it.
func (s Gram) SquaredDistance() (d Wide, ok bool) {
	both := s.AA.Plus(s.BB)
	d = both.Plus(s.AB.Plus(s.AB).Neg())
	return d, !d.Less(both.Times(NewWide(steady)))
}

// A Distance sums the squared differences of one block of a tensor pair, chunk by
// chunk, in lanes as InnerProducts does. It has a fixed scratch of at most 16 KiB
// and serves one goroutine at a time.
type Distance struct {
	set    kernelSet
	a, b   DType
	lanes  [8]float64
	far    *[8]Wide // instead of lanes, once a block has had F64 values near the ends
	fa, fb []float32
	da, db []float64
}

// NewDistance makes a Distance for parents of the given types, which must have
// arithmetic (DType.Blends).
func NewDistance(a, b DType) *Distance { return detected.newDistance(a, b) }

func (set kernelSet) newDistance(a, b DType) *Distance {
	check(a, b)
	g := &Distance{set: set, a: a, b: b}
	if a == tensor.F64 || b == tensor.F64 {
		g.da, g.db = make([]float64, strip), make([]float64, strip)
	} else {
		g.fa, g.fb = make([]float32, strip), make([]float32, strip)
	}
	return g
}

// Reset begins a new block.
func (g *Distance) Reset() { g.lanes, g.far = [8]float64{}, nil }

// Add takes the next elements of a block, the same number of them on both
// sides: a multiple of 8, except in the last chunk of a block.
func (g *Distance) Add(a, b []byte) {
	n := elems(g.a, a)
	mustMatch(n, elems(g.b, b))
	sizeA, sizeB := g.a.Size(), g.b.Size()
	for n > 0 {
		k := min(n, strip)
		if g.da != nil {
			g.set.decode64(g.a, g.da[:k], a)
			g.set.decode64(g.b, g.db[:k], b)
			g.add64(g.da[:k], g.db[:k])
		} else {
			g.set.widen32(g.a, g.fa[:k], a)
			g.set.widen32(g.b, g.fb[:k], b)
			sumDifferences(&g.lanes, g.fa[:k], g.fb[:k])
		}
		a, b, n = a[k*sizeA:], b[k*sizeB:], n-k
	}
}

// sumDifferences adds the squares to the lanes. Conversions keep machines from
// fusing them into the sums.
func sumDifferences[T float32 | float64](l *[8]float64, x, y []T) {
	for len(x) >= 8 && len(y) >= 8 {
		for i := range l {
			d := float64(x[i]) - float64(y[i])
			l[i] += float64(d * d)
		}
		x, y = x[8:], y[8:]
	}
	for i := range min(len(x), len(y)) {
		d := float64(x[i]) - float64(y[i])
		l[i] += float64(d * d)
	}
}

// add64 is sumDifferences for values of any size. A difference that is not 0 is
// not far below the values that plain lets pass.
func (g *Distance) add64(a, b []float64) {
	if g.far == nil && !(plain(a) && plain(b)) {
		g.far = new([8]Wide)
		for i, x := range g.lanes {
			g.far[i] = NewWide(x)
		}
	}
	if g.far == nil {
		sumDifferences(&g.lanes, a, b)
		return
	}
	for i, x := range a {
		d := NewWide(x).Plus(NewWide(b[i]).Neg())
		g.far[i&7] = g.far[i&7].Plus(d.Times(d))
	}
}

// Squared folds the lanes to |a-b|² of the block.
func (g *Distance) Squared() Wide {
	if g.far != nil {
		return foldWide(g.far)
	}
	return NewWide(fold(&g.lanes))
}
