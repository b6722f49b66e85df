package slerp

import "math"

// strips widens chunks of several operands to float64, a strip at a time.
type strips struct {
	in  []DType
	x   [][]float64 // a strip of each operand
	cut [][]float64 // the part of it that is filled
}

// newStrips borrows one strip for each operand, at the places from place on.
func newStrips(s *Scratch, place int, in []DType) strips {
	r := strips{in: in, x: make([][]float64, len(in)), cut: make([][]float64, len(in))}
	for k := range in {
		r.x[k] = s.Floats(place+k, strip)
	}
	return r
}

// count returns the number of elements in each of the chunks.
func (r *strips) count(chunks [][]byte) int {
	mustMatch(len(r.in), len(chunks))
	n := elems(r.in[0], chunks[0])
	for k := range chunks {
		mustMatch(n, elems(r.in[k], chunks[k]))
	}
	return n
}

// load returns the elements from i to i+n, at most a strip, of each chunk. They stay
// until the next load.
func (r *strips) load(chunks [][]byte, i, n int) [][]float64 {
	for k, d := range r.in {
		size := d.Size()
		r.cut[k] = r.x[k][:n]
		detected.decode64(d, r.cut[k], chunks[k][i*size:][:n*size])
	}
	return r.cut
}

// A stripMeter measures chunks of any size by strips: add gets the elements of all
// operands from index at of the tensor on.
type stripMeter struct {
	strips
	add func(x [][]float64, at int64)
}

// Add hands the chunks to add.
func (m *stripMeter) Add(chunks [][]byte, at int64) {
	n := m.count(chunks)
	for i := 0; i < n; i += strip {
		m.add(m.load(chunks, i, min(strip, n-i)), at+int64(i))
	}
}

// A stripMixer computes an output by strips: mix fills y with the elements from index at
// of the tensor on, in float64, and they are rounded once.
type stripMixer struct {
	strips
	out   DType
	limit float64
	y     []float64
	mix   func(y []float64, x [][]float64, at int64)
}

// newStripMixer borrows the strips of the operands and one for the output, at the
// places from 0 on.
func newStripMixer(s *Scratch, o Operands, mix func(y []float64, x [][]float64, at int64)) *stripMixer {
	return &stripMixer{newStrips(s, 0, o.In), o.Out, limit(o.Out), s.Floats(len(o.In), strip), mix}
}

// mixerBytes is the scratch of a stripMixer.
func mixerBytes(o Operands) int64 { return int64(len(o.In)+1) * 8 * strip }

// Mix fills dst, and counts as Mixer has it.
func (m *stripMixer) Mix(dst []byte, chunks [][]byte, at int64) (c Counts) {
	n := m.count(chunks)
	mustMatch(n, elems(m.out, dst))
	size := m.out.Size()
	for i := 0; i < n; i += strip {
		k := min(strip, n-i)
		x, y := m.load(chunks, i, k), m.y[:k]
		m.mix(y, x, at+int64(i))
		encode64(m.out, dst[i*size:][:k*size], y)
		c.Add(tally(y, x, m.limit))
	}
	return c
}

// tally counts the elements that an operand has not finite, and those of y that are
// beyond the limit of their type though all operands are finite.
func tally(y []float64, x [][]float64, limit float64) (c Counts) {
	far := greatest(y) >= math.Float64bits(limit)<<1
	for _, v := range x {
		far = far || greatest(v) >= math.Float64bits(math.Inf(1))<<1
	}
	if !far {
		return Counts{}
	}
	for j, r := range y {
		all := true
		for _, v := range x {
			all = all && finite(v[j])
		}
		switch {
		case !all:
			c.NonFinite++
		case overflows(r, limit):
			c.Overflow++
		}
	}
	return c
}

// greatest returns the code of the greatest magnitude in p, without its sign and
// shifted left by 1. Those of infinities and NaN are above all others.
func greatest(p []float64) uint64 {
	var a, b uint64
	for len(p) >= 2 {
		a, b = max(a, math.Float64bits(p[0])<<1), max(b, math.Float64bits(p[1])<<1)
		p = p[2:]
	}
	if len(p) == 1 {
		a = max(a, math.Float64bits(p[0])<<1)
	}
	return max(a, b)
}

// unmeasured is the part of a Sweep that needs no pass.
type unmeasured struct{}

// Pass returns 0.
func (unmeasured) Pass() int { return 0 }

// Region is not called.
func (unmeasured) Region(int) Region { return Region{} }

// Meter is not called.
func (unmeasured) Meter(*Scratch, int) Meter { return nil }

// Take is not called.
func (unmeasured) Take(int, Meter) {}

// Figures returns nil.
func (unmeasured) Figures() []Figure { return nil }

// blocksOf returns the number of blocks that a tensor has.
func blocksOf(o Operands) int { return int((o.Elems() + BlockElems - 1) / BlockElems) }

// blockOf returns the elements of a block.
func blockOf(o Operands, block int) Region {
	from := int64(block) * BlockElems
	return Region{From: from, Len: min(BlockElems, o.Elems()-from), Count: 1}
}
