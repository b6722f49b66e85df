package slerp

import (
	"math"
	"sort"

	"slerpmerge/internal/tensor"
)

// ArceeFusion is arcee_fusion of a base and another operand (mergekit 0.1.5,
// merge_methods/arcee_fusion.py): it takes the other's elements where their
// importance is the median of all plus one and a half times the distance of the quartiles at least, and
// the base's elsewhere. The importance of an element is |x - b| times the Kullback-Leibler
// divergence of its row: of the softmax of the other's row from that of the base's, each with 1e-8
// added. Rows are along the last axis.
//
// Softmax and divergences are computed in float64 (softmax.go), and importances are rounded to F32. The quartiles
// are those of all elements, at the ranks floor(q (n-1)), where mergekit draws a million elements if there
// are more.
//
// Where an element of an operand is not finite, no other element of its row is
// taken, and its own output is NaN.
type ArceeFusion struct {
	Base int // the operand that is the base; there is one other
}

// Sweep returns the Sweep of f on a tensor. The divergences of all rows, 8 bytes each, are held until
// the output is made.
func (f ArceeFusion) Sweep(o Operands) Sweep {
	w := &fusion{ArceeFusion: f, o: o, n: o.Elems(), rows: newRowBlocks(o), least: math.MaxInt64}
	w.long = w.rows.row > longRow
	if w.long {
		w.pieces = (w.rows.row + BlockElems - 1) / BlockElems
	}
	w.selection = newSelection(tensor.F32, w.n)
	return w
}

// longRow is the greatest length of a row that is held in a meter's scratch. The divergence of a longer
// one takes three passes, and the first counts of the importances a fourth.
const longRow = 1 << 16

type fusion struct {
	ArceeFusion
	o      Operands
	n      int64
	rows   rowBlocks
	long   bool
	pieces int64        // of a long row, of BlockElems elements
	exp    [2]exponents // of the base and the other
	step   fusionStep
	kl     []float64 // of the rows; NaN where an element is not finite
	longs  []longSums
	parts  []longSums // of the blocks of a pass over long rows

	selection *selection
	quartiles [3]float64
	threshold float64
	least     uint64 // the code of the least importance, as F32, that is taken
}

type fusionStep uint8

const (
	fusionStart fusionStep = iota
	fusionTops             // of long rows
	fusionSums             // of long rows
	fusionRows             // the divergences and, unless rows are long, upper counts
	fusionUpper
	fusionLower
	fusionDone
)

// longSums are what is known of a long row or a piece of it: the greatest elements of the base
// and the other, the sums of their exponentials, and the divergence.
type longSums struct {
	top, sum [2]float64
	kl       float64
}

func (w *fusion) Memory() (state, scratch int64) {
	const longBytes = 40
	state, scratch = selectionBytes(tensor.F32, w.n, 3)
	state += 8*w.rows.rows + exponentBytes
	if w.long {
		return state + longBytes*w.rows.rows*(1+w.pieces), scratch + mixerBytes(w.o) + 4*strip
	}
	return state, scratch + mixerBytes(w.o) + 3*8*w.rows.row + 4*strip
}

// Pass goes from step to step.
func (w *fusion) Pass() (blocks int) {
	if w.n == 0 {
		return 0
	}
	switch w.step {
	case fusionStart:
		w.exp = [2]exponents{exponentsOf(w.o.In[w.Base]), exponentsOf(w.o.In[1-w.Base])}
		w.kl = make([]float64, w.rows.rows)
		if w.step = fusionRows; w.long {
			w.longs = make([]longSums, w.rows.rows)
			w.step = fusionTops
		} else {
			w.selection.begin()
		}
	case fusionTops, fusionSums, fusionRows:
		if w.long {
			w.gather()
		}
		switch w.step++; {
		case w.step != fusionUpper:
		case w.long:
			w.parts, w.longs = nil, nil
			w.selection.begin()
		default:
			w.find()
		}
	case fusionUpper:
		w.find()
	case fusionLower:
		w.selection.refine()
		w.solve()
		w.step = fusionDone
		return 0
	case fusionDone:
		return 0
	}
	if w.long && w.step <= fusionRows {
		w.parts = make([]longSums, w.rows.rows*w.pieces)
		return len(w.parts)
	}
	return w.rows.count()
}

func (w *fusion) find() {
	w.step = fusionLower
	last := w.n - 1
	w.selection.find(last/4, last/2, last/4*3+last%4*3/4)
}

// solve makes the threshold of the quartiles.
func (w *fusion) solve() {
	for i, f := range w.selection.found {
		w.quartiles[i] = keyValue(tensor.F32, f.key)
	}
	w.threshold = w.quartiles[1] + float64(1.5*(w.quartiles[2]-w.quartiles[0]))
	w.least = math.MaxInt64
	if w.threshold == w.threshold {
		w.least = uint64(sort.Search(inf32+1, func(u int) bool { return float64(math.Float32frombits(uint32(u))) >= w.threshold }))
	}
}

func (w *fusion) Region(block int) Region {
	if w.long && w.step <= fusionRows {
		row, piece := int64(block)/w.pieces, int64(block)%w.pieces
		from := piece * BlockElems
		return Region{From: row*w.rows.row + from, Len: min(BlockElems, w.rows.row-from), Count: 1}
	}
	return w.rows.region(block)
}

// Figures returns the threshold and the quartiles of the importances.
func (w *fusion) Figures() []Figure {
	if w.n == 0 {
		return nil
	}
	return []Figure{{"threshold", -1, w.threshold}, {"first quartile", -1, w.quartiles[0]}, {"median", -1, w.quartiles[1]}, {"third quartile", -1, w.quartiles[2]}}
}

func (w *fusion) Mixer(s *Scratch) Mixer {
	return newStripMixer(s, w.o, func(y []float64, x [][]float64, at int64) {
		base, other := x[w.Base], x[1-w.Base]
		w.rows.split(at, len(y), func(row int64, from, to int, _ bool) {
			w.fuse(y[from:to], base[from:to], other[from:to], w.kl[row])
		})
		for j := range y {
			if !finite(base[j]) || !finite(other[j]) {
				y[j] = math.NaN()
			}
		}
	})
}

// fuse takes the important elements of a row.
func (w *fusion) fuse(y, base, other []float64, kl float64) {
	base, other = base[:len(y)], other[:len(y)]
	if kl != kl {
		copy(y, base)
		return
	}
	for j, b := range base {
		x := other[j]
		u := uint64(math.Float32bits(float32(math.Abs(x-b) * kl)))
		take := ^uint64(int64(u-w.least) >> 63)
		y[j] = math.Float64frombits(math.Float64bits(b)&^take | math.Float64bits(x)&take)
	}
}
