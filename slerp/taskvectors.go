package slerp

import (
	"fmt"
	"math"
)

// TaskVectors merges models by their differences from a base model, the deltas: a
// Sparsifier drops some elements of each delta, those that stay are weighted, a
// Consensus adds them up, and the sum is added to the base (docs/methods.md). The
// models are the operands other than the base, in their order.
//
// A delta that is added is x - b of the exact values, rounded once to float64. For its
// rank it is rounded once more, to the type in which mergekit would compute: the
// widest type of the operands, and at most F32. Of two different types of 16 bits the
// widest is F32. The types of 8 bits, in which mergekit can't compute, count as BF16.
type TaskVectors struct {
	Base       int // the index of the base among the operands
	Sparsifier Sparsifier
	Consensus  Consensus
	// The parameters of each operand. Those of the base are not read. Nil is a
	// density of 1, and 0 for the others.
	Weight, Density, Gamma, Epsilon []float64
	Lambda                          float64 // multiplies the sum of the deltas
	Normalize                       bool    // divides the sum by that of the weights
	Rescale                         bool    // gives a delta the sum of magnitudes that it had before elements were dropped
	Seed                            uint64  // of the random sparsifiers
}

// A Sparsifier is a rule by which elements of a delta are dropped. A density of 1 or
// more keeps all of them.
type Sparsifier uint8

const (
	// Magnitude keeps the largest magnitudes: Density is their share, rounded down,
	// but one at least. Of those exactly at the threshold the first in index order stay.
	Magnitude Sparsifier = iota
	// Outliers drops the largest magnitudes first, the share Gamma of all, and keeps
	// the largest of the others, the share Density of all. Both are rounded down. Fewer
	// outliers are dropped where the rest would not be enough. Of the elements exactly
	// at either threshold the first in index order stay.
	Outliers
	// Random keeps every element with the probability Density.
	Random
	// Ranked keeps the elements of a row with the probability Density-Epsilon for the
	// least magnitude to Density+Epsilon for the greatest, in even steps: rows are the
	// elements along axis 1, and vectors. Of equal elements the first in index order
	// has the lesser rank. A row of one element has the probability Density.
	//
	// Of a tensor of three axes or more, with more than 65536 elements for an index of
	// axis 0, rows are those along the last axis; and of rows above 65536 elements so many
	// are ranked together.
	Ranked
	numSparsifiers
)

// A Consensus is a rule by which the deltas of several models are added.
type Consensus uint8

const (
	// Plain adds all deltas. Normalize divides by the sum of the weights, if its
	// magnitude is 1e-8 at least.
	Plain Consensus = iota
	// Elected adds, element by element, the deltas that have the sign of their sum;
	// a sum of zero counts as positive. Normalize divides by the sum of the weights of
	// those models, if it is not 0. A delta of zero has neither sign.
	Elected
)

// Sweep begins the work on a tensor.
func (t TaskVectors) Sweep(o Operands) Sweep {
	s := &taskSweep{TaskVectors: t, deltas: newDeltas(o, t.Base)}
	s.scale = make([]float64, len(s.models))
	for q := range s.scale {
		s.scale[q] = 1
	}
	switch t.Sparsifier {
	case Magnitude, Outliers:
		s.sparse = newBand(&s.deltas, t)
	case Random:
		s.sparse = newBernoulli(&s.deltas, t)
	case Ranked:
		s.sparse = newMagprune(&s.deltas, t)
	default:
		panic(fmt.Sprintf("slerp: internal error: no sparsifier %d", t.Sparsifier))
	}
	return s
}

// A sparsifier is the part of a Sweep that decides which elements of the deltas stay.
// Its methods are those of a Sweep.
type sparsifier interface {
	memory() (state, scratch int64)
	pass() (blocks int)
	region(block int) Region
	meter(s *Scratch, block int) Meter
	take(block int, m Meter)
	figures() []Figure
	// partial reports whether some elements of model q stay and others may not.
	partial(q int) bool
	// keeper returns what drops elements, for one goroutine. It has the scratch from
	// the place on for itself.
	keeper(s *Scratch, place int) keeper
	// grain is that of the Sweep.
	grain() int64
	// span returns the elements that the keeper wants to be prepared for at a time, a
	// multiple of the grain; 0 if it does not.
	span() int64
}

// A keeper drops elements of deltas.
type keeper interface {
	// prepare is shown the next span: elements i to i+n of chunks, the first of which has the
	// index at in the tensor.
	prepare(chunks [][]byte, i, n int, at int64)
	// keep makes x the delta x - b, with those elements zero that are dropped, and returns
	// how many stay. x is a strip of model q from element at on. The sign bit of far is set if some
	// difference is not finite.
	keep(q int, x, b []float64, at int64) (kept int, far uint64)
}

// taskSweep is the Sweep of TaskVectors: the passes of the sparsifier, then one
// that sums magnitudes if deltas are rescaled.
type taskSweep struct {
	TaskVectors
	deltas
	sparse sparsifier
	step   taskStep
	norms  []taskNorms // of each block and model
	scale  []float64   // of each model
	kept   []int64     // of each model, nil if they were not counted
}

type taskStep uint8

const (
	taskSparsify taskStep = iota
	taskSum
	taskMix
)

// taskNorms are the sums of the magnitudes of a delta in a block, before and after elements
// were dropped, and how many stay.
type taskNorms struct {
	before, after float64
	kept          int64
}

// Places of the scratch of floats.
const (
	baseStrip = iota
	deltaStrip
	secondStrip
	sumStrips
	taskStrips = sumStrips + 4
)

// voteCounts is a place of the scratch of counts: those before it are the keepers'.
const voteCounts = 4

const stripBytes = 8 * strip

// Memory returns the bytes of the counts and sums, and those of the strips.
func (s *taskSweep) Memory() (state, scratch int64) {
	state, scratch = s.sparse.memory()
	if s.summed() {
		state += int64(s.blocks(s.sumBlock())) * int64(len(s.models)) * 24
	}
	return state, scratch + taskStrips*stripBytes + 4*strip
}

// summed reports whether magnitudes have to be summed.
func (s *taskSweep) summed() bool {
	if !s.Rescale {
		return false
	}
	for q := range s.models {
		if s.sparse.partial(q) {
			return true
		}
	}
	return false
}

// Pass begins the next pass.
func (s *taskSweep) Pass() int {
	if s.n == 0 {
		return 0
	}
	if s.step == taskSparsify {
		if n := s.sparse.pass(); n > 0 {
			return n
		}
		s.step = taskMix
		if s.summed() {
			s.step = taskSum
			blocks := s.blocks(s.sumBlock())
			s.norms = make([]taskNorms, blocks*len(s.models))
			return blocks
		}
	}
	if s.step == taskSum {
		s.rescale()
		s.step = taskMix
	}
	return 0
}

// rescale finds the factors of the deltas. Where a sum is next to nothing, or not
// finite, there is none.
func (s *taskSweep) rescale() {
	s.kept = make([]int64, len(s.models))
	for q := range s.models {
		var all taskNorms
		for k := q; k < len(s.norms); k += len(s.models) {
			all.before += s.norms[k].before
			all.after += s.norms[k].after
			s.kept[q] += s.norms[k].kept
		}
		const least = 1e-7
		if all.before >= least && all.after >= least && finite(all.before) && finite(all.after) {
			s.scale[q] = all.before / all.after
		}
	}
	s.norms = nil
}

// Region returns the elements of a block.
func (s *taskSweep) Region(block int) Region {
	if s.step == taskSparsify {
		return s.sparse.region(block)
	}
	return s.block(block, s.sumBlock())
}

// sumBlock returns the elements of a block of the pass that sums: whole grains.
func (s *taskSweep) sumBlock() int64 {
	g := s.Grain()
	return max(1, s.length/g) * g
}

// Elems returns the number of elements of the tensor.
func (s *taskSweep) Elems() int64 { return s.n }

// Grain returns the length of a row that is ranked, or 1.
func (s *taskSweep) Grain() int64 { return s.sparse.grain() }

// Meter returns the meter of the pass.
func (s *taskSweep) Meter(scratch *Scratch, block int) Meter {
	if s.step == taskSparsify {
		return s.sparse.meter(scratch, block)
	}
	zeros := scratch.Floats(sumStrips, strip)
	clear(zeros)
	return &normMeter{
		s:     s,
		zeros: zeros,
		r:     newDeltaStrips(&s.deltas, scratch),
		keep:  s.sparse.keeper(scratch, taskStrips),
		lanes: make([][2][8]float64, len(s.models)),
		kept:  make([]int64, len(s.models)),
	}
}

// Take adds what a meter has measured.
func (s *taskSweep) Take(block int, m Meter) {
	if s.step == taskSparsify {
		s.sparse.take(block, m)
		return
	}
	n := m.(*normMeter)
	for q := range s.models {
		s.norms[block*len(s.models)+q] = taskNorms{fold(&n.lanes[q][0]), fold(&n.lanes[q][1]), n.kept[q]}
	}
}

// Figures returns thresholds, the shares that stay, and the factors of the deltas.
func (s *taskSweep) Figures() []Figure {
	list := s.sparse.figures()
	for q, k := range s.models {
		if s.kept != nil && s.sparse.partial(q) && s.Sparsifier > Outliers { // the others know it themselves
			list = append(list, Figure{"kept", k, float64(s.kept[q]) / float64(s.n)})
		}
		if s.Rescale {
			list = append(list, Figure{"scale", k, s.scale[q]})
		}
	}
	return list
}

// normMeter sums magnitudes.
type normMeter struct {
	s     *taskSweep
	r     deltaStrips
	keep  keeper
	zeros []float64
	lanes [][2][8]float64
	kept  []int64
}

func (m *normMeter) Add(chunks [][]byte, at int64) {
	for i, n := range m.r.spans(chunks, m.s.sparse.span(), func(i, n int) { m.keep.prepare(chunks, i, n, at+int64(i)) }) {
		m.r.load(chunks, i, n)
		for q, k := range m.s.models {
			if !m.s.sparse.partial(q) {
				continue
			}
			d := m.r.delta64(k)
			sumMagnitudes(&m.lanes[q][0], d, at+int64(i))
			kept, _ := m.keep.keep(q, d, m.zeros[:n], at+int64(i))
			m.kept[q] += int64(kept)
			sumMagnitudes(&m.lanes[q][1], d, at+int64(i))
		}
	}
}

// sumMagnitudes adds |d| to the lanes, those of element at and the next ones. What is not
// finite is left out.
func sumMagnitudes(l *[8]float64, d []float64, at int64) {
	for j, x := range d {
		if x = math.Abs(x); x <= math.MaxFloat64 {
			l[(int(at)+j)&7] += x
		}
	}
}
