package slerp

import "math"

// deltas are the operands of a tensor as a base and models.
type deltas struct {
	o      Operands
	n      int64 // elements
	base   int
	models []int // the operands other than the base
	wide   bool  // F64 is among the types
	length int64 // of a block
}

func newDeltas(o Operands, base int) deltas {
	check(append([]DType{o.Out}, o.In...)...)
	d := deltas{o: o, n: o.Elems(), base: base, length: BlockElems}
	for k, in := range o.In {
		if k != base {
			d.models = append(d.models, k)
		}
		d.wide = d.wide || in.Size() == 8
	}
	return d
}

// of returns the parameter of model q, or otherwise if there are none.
func (d *deltas) of(list []float64, q int, otherwise float64) float64 {
	if list == nil {
		return otherwise
	}
	return list[d.models[q]]
}

// blocks returns the number of blocks of so many elements.
func (d *deltas) blocks(size int64) int { return int((d.n + size - 1) / size) }

// block returns the elements of one of them.
func (d *deltas) block(k int, size int64) Region {
	from := int64(k) * size
	n := min(size, d.n-from)
	return Region{From: from, Len: n, Stride: n, Count: 1}
}

// deltaStrips widens chunks of the operands strip by strip, and subtracts.
type deltaStrips struct {
	d      *deltas
	chunks [][]byte
	b, x   []float64
	i, n   int
	loaded bool // b
}

// newDeltaStrips borrows two strips.
func newDeltaStrips(d *deltas, s *Scratch) deltaStrips {
	return deltaStrips{d: d, b: s.Floats(baseStrip, strip), x: s.Floats(deltaStrip, strip)}
}

// strips returns the places and lengths of the strips of chunks, the first element of which
// has the index at. But for the ends of the chunks, strips begin at multiples of their
// length.
func (r *deltaStrips) strips(chunks [][]byte, at int64) func(func(i, n int) bool) {
	n := r.count(chunks)
	return func(yield func(i, n int) bool) {
		for i, k := 0, 0; i < n; i += k {
			k = min(strip-int(at+int64(i))&(strip-1), n-i)
			if !yield(i, k) {
				return
			}
		}
	}
}

// count returns the number of elements in each of the chunks.
func (r *deltaStrips) count(chunks [][]byte) int {
	mustMatch(len(r.d.o.In), len(chunks))
	n := elems(r.d.o.In[0], chunks[0])
	for k, in := range r.d.o.In {
		mustMatch(n, elems(in, chunks[k]))
	}
	return n
}

// spans returns the places and lengths of strips, too, those of one span of elements after
// the other. A span is prepared before its strips. A span of 0 is all.
func (r *deltaStrips) spans(chunks [][]byte, span int64, prepare func(i, n int)) func(func(i, n int) bool) {
	n := r.count(chunks)
	return func(yield func(i, n int) bool) {
		long := n
		if span > 0 {
			long = int(span)
		}
		for from := 0; from < n; from += long {
			end := min(n, from+long)
			if span > 0 {
				prepare(from, end-from)
			}
			for i := from; i < end; i += strip {
				if !yield(i, min(strip, end-i)) {
					return
				}
			}
		}
	}
}

// load goes to a strip.
func (r *deltaStrips) load(chunks [][]byte, i, n int) {
	r.chunks, r.i, r.n, r.loaded = chunks, i, n, false
}

// part returns the bytes of the strip of operand k.
func (r *deltaStrips) part(k int) []byte {
	size := r.d.o.In[k].Size()
	return r.chunks[k][r.i*size:][:r.n*size]
}

// wideBase returns the strip of the base.
func (r *deltaStrips) wideBase() []float64 {
	if !r.loaded {
		detected.decode64(r.d.o.In[r.d.base], r.b[:r.n], r.part(r.d.base))
		r.loaded = true
	}
	return r.b[:r.n]
}

// delta64 returns the strip of the delta of operand k. It stays until the next one is
// asked for.
func (r *deltaStrips) delta64(k int) []float64 {
	b, x := r.wideBase(), r.x[:r.n]
	detected.decode64(r.d.o.In[k], x, r.part(k))
	subtractFar(x, b)
	return x
}

// subtractFar is x -= b. The sign bit of far is set if some difference is not finite.
func subtractFar(x, b []float64) (far uint64) {
	b = b[:len(x)]
	for j := range x {
		d := x[j] - b[j]
		x[j] = d
		far |= farBit(math.Float64bits(d))
	}
	return far
}

// farBit returns a number whose sign bit is set if u is the code of an infinity or of NaN.
func farBit(u uint64) uint64 { return u&^(1<<63) + 1<<52 }

// drop makes x zero. far is that of subtractFar.
func drop(x, b []float64) (far uint64) {
	b = b[:len(x)]
	for j := range x {
		far |= farBit(math.Float64bits(x[j] - b[j]))
		x[j] = 0
	}
	return far
}
