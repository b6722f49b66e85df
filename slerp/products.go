package slerp

import "slerpmerge/internal/tensor"

// Products accumulates the Gram matrix of one block of any number of tensors, or
// of their differences from a base, chunk by chunk. Each pair has the sums that
// [InnerProducts] gives it. A difference is rounded to float64 before it is
// multiplied, and a product of differences before it is added. With F64 tensors
// neither differences nor sums overflow or underflow ([Wide]).
//
// It has a fixed scratch of at most 2 KiB for each tensor and serves one goroutine at a time.
type Products struct {
	set   kernelSet
	in    []DType
	base  int
	pair  *InnerProducts // does all the work for two tensors without a base
	n     int            // operands, the base not counted
	wide  bool           // there are F64 values
	x     []float64      // a strip of each operand and, if there is one, the base, or less for kernels
	lanes [][8]float64   // for each i <= j, in row order: (0,0), (0,1)... (1,1)...
	far   [][8]Wide      // instead of lanes, once a block has had F64 values near the ends

	parts     []gramPart // kernels for all pairs of tensors of one type, if there are
	tiles     []tile     // kernels for all pairs of strips, if there are
	addresses []*byte    // for parts: the tensors' addresses, the base's last,
	rest      []byte     // and what they can't take at once
}

// productStrip is the number of elements of each operand that are widened at a
// time: strips of nine operands fill half of a first-level cache. It is a
// multiple of step.
const productStrip = 256

// NewProducts makes Products for tensors of the given types, which must have
// arithmetic (DType.Blends). base is the index of the base among them, which is
// subtracted from the others, or -1.
func NewProducts(in []DType, base int) *Products { return detected.newProducts(in, base) }

func (set kernelSet) newProducts(in []DType, base int) *Products {
	check(in...)
	p := &Products{set: set, in: in, base: base, n: len(in)}
	if base >= 0 {
		p.n--
	}
	if base < 0 && len(in) == 2 {
		p.pair = set.newInnerProducts(in[0], in[1])
		return p
	}
	alike := true
	for _, d := range in {
		alike = alike && d == in[0]
		p.wide = p.wide || d == tensor.F64
	}
	p.lanes = make([][8]float64, p.n*(p.n+1)/2)
	p.tiles = set.tiles(p.n, base < 0 && !p.wide)
	room := productStrip
	if alike {
		p.parts = set.gramParts(in[0], p.n, base >= 0)
		p.addresses, p.rest = make([]*byte, len(in)), make([]byte, len(in)*64)
		if p.parts != nil && base < 0 {
			room = 8
		}
	}
	p.x = make([]float64, len(in)*room)
	return p
}

// Reset begins a new block.
func (p *Products) Reset() {
	if p.pair != nil {
		p.pair.Reset()
		return
	}
	clear(p.lanes)
	p.far = nil
}

// Add measures the next elements of a block: a chunk of each tensor, the base
// among them, all with the same number of elements. It is a multiple of 8,
// except in the last chunk of a block.
func (p *Products) Add(chunks [][]byte) {
	mustMatch(len(p.in), len(chunks))
	if p.pair != nil {
		p.pair.Add(chunks[0], chunks[1])
		return
	}
	n := elems(p.in[0], chunks[0])
	for i, d := range p.in {
		mustMatch(n, elems(d, chunks[i]))
	}
	if p.n < 2 || p.addParts(chunks, n) {
		return
	}
	p.strips(chunks, 0, n)
}

// strips adds n elements from index at of the chunks on.
func (p *Products) strips(chunks [][]byte, at, n int) {
	for end := at + n; at < end; at += productStrip {
		p.strip(chunks, at, min(productStrip, end-at))
	}
}

// strip adds m elements from index at of the chunks on.
func (p *Products) strip(chunks [][]byte, at, m int) {
	part := func(k int) []byte { return chunks[k][at*p.in[k].Size():][:m*p.in[k].Size()] }
	var base []float64
	if p.base >= 0 {
		base = p.operand(p.n)[:m]
		p.set.decode64(p.in[p.base], base, part(p.base))
	}
	i := 0
	for k, d := range p.in {
		if k == p.base {
			continue
		}
		x := p.operand(i)[:m]
		switch {
		case p.wide:
			p.set.decode64(d, x, part(k))
		case !p.set.widen64(d, x, part(k), base):
			p.set.decode64(d, x, part(k))
			subtractBase(x, base)
		}
		i++
	}
	if p.wide {
		if p.leaves(base, m) {
			p.addWide(base, m)
			return
		}
		for i := range p.n {
			subtractBase(p.operand(i), base)
		}
	}
	if p.addTiles(m) {
		return
	}
	s := 0
	for i := range p.n {
		for j := i; j < p.n; j++ {
			addProducts(&p.lanes[s], p.operand(i)[:m], p.operand(j)[:m])
			s++
		}
	}
}

// operand is the strip of operand i, the base's for i = n.
func (p *Products) operand(i int) []float64 { return p.x[i*productStrip:][:productStrip] }

func subtractBase(x, base []float64) {
	for i, b := range base {
		x[i] -= b
	}
}

// addProducts adds the products of x and y to the lanes. A conversion keeps
// machines from fusing them into the sums, where they are not exact.
func addProducts(l *[8]float64, x, y []float64) {
	for len(x) >= 8 && len(y) >= 8 {
		for i := range l {
			l[i] += float64(x[i] * y[i])
		}
		x, y = x[8:], y[8:]
	}
	for i := range min(len(x), len(y)) {
		l[i] += float64(x[i] * y[i])
	}
}

// leaves reports whether the sums need an exponent without end. They are
// the same sums where both kinds of lanes can hold them, so it does not matter when it
// changes over. A difference of float64 values does not underflow, and where it
// overflows it is not plain.
func (p *Products) leaves(base []float64, m int) bool {
	for i := range p.n {
		if p.far == nil && !plainFrom(p.operand(i)[:m], base) {
			p.far = make([][8]Wide, len(p.lanes))
			for s, l := range p.lanes {
				for k, x := range l {
					p.far[s][k] = NewWide(x)
				}
			}
		}
	}
	return p.far != nil
}

// plainFrom reports whether the differences from the base, if there is one, are plain.
func plainFrom(x, base []float64) bool {
	if base == nil {
		return plain(x)
	}
	var d [1]float64
	for i, b := range base {
		if d[0] = x[i] - b; !plain(d[:]) {
			return false
		}
	}
	return true
}

// addWide adds the products of all pairs in lanes that have no ends.
func (p *Products) addWide(base []float64, m int) {
	v := make([]Wide, p.n)
	for e := range m {
		for i := range v {
			v[i] = NewWide(p.operand(i)[e])
			if base != nil {
				v[i] = v[i].Plus(NewWide(base[e]).Neg())
			}
		}
		s := 0
		for i := range v {
			for _, w := range v[i:] {
				p.far[s][e&7] = p.far[s][e&7].Plus(v[i].Times(w))
				s++
			}
		}
	}
}

// Grams appends the Gram matrix of each pair of the block so far to into: pairs
// of the tensors, the base left out, in row order (0,1), (0,2)... (1,2)...
func (p *Products) Grams(into []Gram) []Gram {
	if p.pair != nil {
		return append(into, p.pair.Gram())
	}
	for i := range p.n {
		for j := i + 1; j < p.n; j++ {
			into = append(into, Gram{p.sum(i, i), p.sum(j, j), p.sum(i, j)})
		}
	}
	return into
}

// sum folds the lanes of operands i <= j.
func (p *Products) sum(i, j int) Wide {
	s := i*p.n - i*(i-1)/2 + j - i
	if p.far != nil {
		return foldWide(&p.far[s])
	}
	return NewWide(fold(&p.lanes[s]))
}
