package slerp

import (
	"math"

	"slerpmerge/internal/tensor"
)

// SCE is the method of arXiv 2408.07990 as mergekit has it (0.1.5, merge_methods/sce.py): of
// the deltas from a base it selects the elements that vary most between the models,
// calculates a weight for each model of what is selected, and erases the deltas
// that have not the sign of their sum.
//
// An element is ranked by the variance of its deltas (divided by their number), in
// the type that mergekit computes in. Deltas are rounded to as many bits as it has,
// the variance is computed in float64 and rounded to BF16 if no operand has more than its
// precision, else to F32. (F16, in which the variances of most weights are 0, is no such type.) Of n
// variances that are not 0, floor(TopK*n) elements are kept; of those at the threshold
// the first in index order.
//
// The weight of a model is the mean square of its delta where it is kept, divided by
// the sum of all; if the sum is below 1e-6, as it is for most models that
// were fine-tuned, all weights are equal. Deltas that are not finite, or exceed 2^480, have
// no part in it.
//
// An element that is kept is base + (sum of w*y)/max(sum of w, 1e-6) over the deltas y
// with the sign of their sum, that of 0 being positive. An element of which a
// delta is not finite is base plus the sum of the deltas, kept or not.
type SCE struct {
	Base int     // the operand that is the base
	TopK float64 // select_topk: 1 or more keeps all, 0 or less nothing
}

// The constants of mergekit's sce.
const (
	leastEnergy  = 1e-6 // a lesser sum makes the weights equal
	leastDivisor = 1e-6
)

// Sweep returns the Sweep of c on a tensor.
func (c SCE) Sweep(o Operands) Sweep {
	w := &sce{SCE: c, o: o, n: o.Elems(), models: len(o.In) - 1, drop: 52 - 23, rank: tensor.F32}
	if rankType(o.In) == tensor.BF16 {
		w.rank, w.drop = tensor.BF16, 52-7
	} else if rankType(o.In) == tensor.F16 {
		w.drop = 52 - 10
	}
	w.selection = newSelection(w.rank, w.n)
	return w
}

type sce struct {
	SCE
	o         Operands
	n         int64
	models    int   // besides the base
	rank      DType // of the variances
	drop      uint  // bits of a float64 that a delta has too many
	step      sceStep
	selection *selection
	zeros     int64 // variances
	kept      int64 // elements
	threshold float64
	// An element is kept if the code of its variance is lo at least, or hi at least if its
	// index is cut or more.
	lo, hi   uint64
	cut      int64
	sums     []sceSums // of the blocks
	need     int64     // elements at the threshold that are kept
	cutBlock int
	energy   []float64 // of the models: mean squares
	weight   []float64
	equal    bool
}

type sceStep uint8

const (
	sceStart sceStep = iota
	sceUpper
	sceLower
	sceEnergies
	sceCut
	sceDone
)

// sceSums are sums of squares of the deltas of one block: of the elements above
// the threshold, and of those at it, whose number is ties.
type sceSums struct {
	above, at []float64 // of the models
	ties      int64
}

func (w *sce) Memory() (state, scratch int64) {
	scratch = mixerBytes(w.o) + 4*8*strip
	if w.TopK < 1 {
		scratch += int64(w.models) * 8 * strip
	}
	if w.TopK > 0 && w.TopK < 1 {
		s, counts := selectionBytes(w.rank, w.n, 1)
		state, scratch = state+s, scratch+counts+4*strip
	}
	return state + int64(blocksOf(w.o))*int64(8+2*24+16*w.models), scratch + 2*64*int64(w.models)
}

// Pass goes from step to step, and over those in which there is nothing to
// measure.
func (w *sce) Pass() (blocks int) {
	n := blocksOf(w.o)
	switch w.step {
	case sceStart:
		switch {
		case w.n == 0 || !(w.TopK > 0):
			return w.nothing()
		case w.TopK >= 1:
			w.kept, w.cut = w.n, w.n
			return w.energies(n)
		}
		w.selection.begin()
		w.step = sceUpper
		return n
	case sceUpper:
		if w.rank != tensor.F32 {
			w.zeros = w.selection.counts.at(0)
		}
		w.kept = int64(w.TopK * float64(w.n-w.zeros))
		if w.kept == 0 {
			return w.nothing()
		}
		if w.selection.find(w.n - w.kept) {
			w.step = sceLower
			return n
		}
		w.choose()
		return w.energies(n)
	case sceLower:
		w.selection.refine()
		w.choose()
		return w.energies(n)
	case sceEnergies:
		if w.findCut() {
			w.step = sceCut
			return 1
		}
		w.solve()
	case sceCut:
		w.solve()
	}
	w.step = sceDone
	return 0
}

// nothing ends the passes where no element is kept.
func (w *sce) nothing() int {
	w.kept, w.lo, w.hi, w.step = 0, math.MaxInt64, math.MaxInt64, sceDone
	w.solve()
	return 0
}

func (w *sce) energies(blocks int) int {
	w.step = sceEnergies
	w.sums = make([]sceSums, blocks)
	return blocks
}

// choose fixes which elements are kept, but for the cut.
func (w *sce) choose() {
	f := w.selection.found[0]
	w.threshold = keyValue(w.rank, f.key)
	w.lo = min(keyStart(w.rank, f.key), math.MaxInt64)
	w.hi = min(keyStart(w.rank, f.key+1), math.MaxInt64)
	w.need = w.kept - (w.n - f.below - f.ties)
	if w.cut = w.n; w.need == f.ties {
		w.hi = w.lo // all of them
	}
}

// findCut finds the block in which the last element at the threshold is kept, if some
// are not. In the blocks after it none is.
func (w *sce) findCut() bool {
	if w.lo == w.hi {
		return false
	}
	left := w.need
	for i := range w.sums {
		if left > 0 && w.sums[i].ties >= left {
			w.cutBlock = i
			w.need = left // in this block
		}
		if left <= w.sums[i].ties {
			clear(w.sums[i].at)
		}
		left -= w.sums[i].ties
	}
	return true
}

// solve makes weights of the sums.
func (w *sce) solve() {
	w.energy = make([]float64, w.models)
	w.weight = make([]float64, w.models)
	total := 0.0
	for k := range w.energy {
		for _, s := range w.sums {
			w.energy[k] += s.above[k] + s.at[k]
		}
		w.energy[k] /= float64(max(1, w.n))
		total += w.energy[k]
	}
	w.equal = total < leastEnergy
	for k := range w.weight {
		w.weight[k] = w.energy[k] / total
		if w.equal {
			w.weight[k] = 1 / float64(w.models)
		}
	}
	w.sums = nil
}

func (w *sce) Region(block int) Region {
	if w.step == sceCut {
		block = w.cutBlock
	}
	return blockOf(w.o, block)
}

// Take adds counts, or notes the sums of a block.
func (w *sce) Take(block int, m Meter) {
	c := m.(*sceMeter)
	switch w.step {
	case sceUpper, sceLower:
		w.selection.take(c.counts)
		w.zeros += c.zeros
	case sceEnergies:
		w.sums[block] = c.fold()
	case sceCut:
		w.sums[w.cutBlock].at = c.fold().at
		w.cut = c.cut
	}
}

// Figures returns the share of the elements that are kept, the least variance among them,
// the mean square of each model's delta where it is kept, its weight, and 1 if the weights are equal
// because the sum of the mean squares is too small.
func (w *sce) Figures() (f []Figure) {
	f = append(f, Figure{"kept", -1, float64(w.kept) / float64(max(1, w.n))})
	if w.kept < w.n && w.kept > 0 {
		f = append(f, Figure{"threshold", -1, w.threshold})
	}
	i := 0
	for k := range w.o.In {
		if k != w.Base {
			f = append(f, Figure{"energy", k, w.energy[i]}, Figure{"weight", k, w.weight[i]})
			i++
		}
	}
	equal := 0.0
	if w.equal {
		equal = 1
	}
	return append(f, Figure{"equal weights", -1, equal})
}
