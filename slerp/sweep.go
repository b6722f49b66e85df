package slerp

// Operands describes the operands of one tensor to a method: their number and
// types, the shape that they share, and the output.
type Operands struct {
	Tensor string // the name of the output tensor
	Shape  []uint64
	In     []DType // of the operands, in order
	Out    DType
}

// Elems returns the number of elements of each operand.
func (o Operands) Elems() int64 {
	n := int64(1)
	for _, d := range o.Shape {
		n *= int64(d)
	}
	return n
}

// Rows returns the shape as rows along the last axis: how many there are, and the
// elements of each. A vector is one row; a scalar is a row of one element.
func (o Operands) Rows() (rows, row int64) {
	if len(o.Shape) == 0 {
		return 1, 1
	}
	row = int64(o.Shape[len(o.Shape)-1])
	if row == 0 {
		return 0, 0
	}
	return o.Elems() / row, row
}

// A Sweep merges one tensor by a method that is not a linear combination with
// one coefficient for each operand. It reads the operands in passes that measure,
// and then once more to compute the output element by element. No operand is
// ever held.
//
// The caller asks for a pass with Pass, measures each of its blocks with a [Meter],
// gives the meter to Take, and asks for the next pass when all blocks are taken.
// The blocks of the first pass are all elements, each of them once. When Pass
// returns 0 the tensor is measured, and a [Mixer] computes the output.
//
// Pass and Take are called by one goroutine at a time; Region and the methods of
// meters and mixers by several. The result must not depend on the order in which
// blocks are taken, nor on how a block or the output is divided into chunks.
type Sweep interface {
	// Memory returns the bytes that the Sweep holds from its first pass to the
	// last element of the output, and those of the scratch of one goroutine. It can be
	// called before anything else, and allocates nothing.
	Memory() (state, scratch int64)
	// Pass begins the next measuring pass and returns the number of its blocks. 0
	// means that nothing more has to be measured.
	Pass() (blocks int)
	// Region returns the elements of a block of the pass.
	Region(block int) Region
	// Meter returns a meter for one block. What it keeps is in the scratch.
	Meter(s *Scratch, block int) Meter
	// Take adds what the meter of a block has measured.
	Take(block int, m Meter)
	// Mixer returns a mixer for one goroutine, once all is measured.
	Mixer(s *Scratch) Mixer
	// Figures returns what the method came to, for reports. Call it once all is
	// measured.
	Figures() []Figure
}

// A Grained is a Sweep that is given elements in whole grains: every chunk begins at a
// multiple of Grain and holds a multiple of it, or all that is left of the tensor, whether or
// not that is a multiple of 8. A grain of 1 is no wish. No grain has more than 65536 elements.
type Grained interface {
	Sweep
	Grain() int64
}

// A Region is elements of a tensor in row-major order: Count runs of Len elements
// each. The first begins at element From, and each next one Stride elements after the one
// before it.
type Region struct{ From, Len, Stride, Count int64 }

// A Meter measures one block of a pass.
type Meter interface {
	// Add measures elements of the block: a chunk of each operand, in the order of
	// the operands, all with the same number of elements. at is the index of the first in the
	// tensor. Chunks come in the order of the runs; none spans two. The
	// number of elements is a multiple of 8, except in the last chunk of a run.
	Add(chunks [][]byte, at int64)
}

// A Mixer computes elements of the output.
type Mixer interface {
	// Mix fills dst with elements from index at of the tensor on, of chunks as
	// Meter.Add takes them. It counts as NonFinite the elements of which an operand is a
	// NaN or an infinity, whether or not the output is, and as Overflow those that are
	// finite in all operands and, as stored, infinite, NaN or saturated.
	Mix(dst []byte, chunks [][]byte, at int64) Counts
}

// A Figure is a number that a method came to for one tensor: the steps that it
// took, a threshold, the share of elements that it kept.
type Figure struct {
	Name  string
	Of    int // the operand that it belongs to, -1 if it belongs to all
	Value float64
}

// A Scratch lends the buffers of one goroutine to meters and mixers, which are
// made again and again. Each buffer has a place: a meter or mixer uses places from 0
// on, and what it was lent stays its own until the next meter or mixer is
// made. The zero Scratch is ready.
type Scratch struct {
	floats [][]float64
	counts [][]uint32
	bytes  [][]byte
}

// Floats lends n float64 values, which are not zeroed.
func (s *Scratch) Floats(place int, n int64) []float64 { return lend(&s.floats, place, n) }

// Counts lends n uint32 values, which are not zeroed.
func (s *Scratch) Counts(place int, n int64) []uint32 { return lend(&s.counts, place, n) }

// Bytes lends n bytes, which are not zeroed.
func (s *Scratch) Bytes(place int, n int64) []byte { return lend(&s.bytes, place, n) }

func lend[T any](list *[][]T, place int, n int64) []T {
	for len(*list) <= place {
		*list = append(*list, nil)
	}
	if int64(cap((*list)[place])) < n {
		(*list)[place] = make([]T, n)
	}
	return (*list)[place][:n]
}
