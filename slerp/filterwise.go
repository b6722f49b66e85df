package slerp

import "math"

// FilterWise is model_stock with a t of its own for each row along the last axis.
type FilterWise struct {
	Base int // the operand that is the base; the others are two at least
}

// Sweep returns the Sweep of f on a tensor. The t of all rows, 8 bytes each, are
// held until the output is made.
func (f FilterWise) Sweep(o Operands) Sweep {
	return &filterWise{FilterWise: f, o: o, rows: newRowBlocks(o)}
}

type filterWise struct {
	FilterWise
	o        Operands
	rows     rowBlocks
	measured bool
	t        []float64 // of the rows
}

func (w *filterWise) Memory() (state, scratch int64) {
	n := len(w.o.In)
	return 8 * w.rows.rows, max(int64(n)*8*strip+rowSumsBytes(n-1), mixerBytes(w.o))
}

// Pass measures once.
func (w *filterWise) Pass() (blocks int) {
	if w.measured || w.o.Elems() == 0 {
		return 0
	}
	w.measured = true
	w.t = make([]float64, w.rows.rows)
	return w.rows.count()
}

func (w *filterWise) Region(block int) Region { return w.rows.region(block) }

func (w *filterWise) Meter(s *Scratch, _ int) Meter {
	n := len(w.o.In) - 1
	sums := newRowSums(n, w.o.In)
	deltas := make([][]float64, 0, n)
	return &stripMeter{newStrips(s, 0, w.o.In), func(x [][]float64, at int64) {
		toDeltas(x, w.Base)
		v := without(deltas, x, w.Base)
		w.rows.split(at, len(v[0]), func(row int64, from, to int, last bool) {
			sums.add(v, from, to)
			if last {
				sums.finish()
				w.t[row], _ = ModelStock(n, sums.product)
				sums.reset()
			}
		})
	}}
}

// Take has nothing to do: meters set the t of their rows.
func (w *filterWise) Take(int, Meter) {}

func (w *filterWise) Mixer(s *Scratch) Mixer {
	n := float64(len(w.o.In) - 1)
	return newStripMixer(s, w.o, func(y []float64, x [][]float64, at int64) {
		w.rows.split(at, len(y), func(row int64, from, to int, _ bool) {
			t := w.t[row]
			for k, v := range x {
				weight := t / n
				if k == w.Base {
					weight = 1 - t
				}
				weighted(y[from:to], v[from:to], weight, k > 0)
			}
		})
	})
}

// Figures returns the mean, the least and the greatest t of the rows.
func (w *filterWise) Figures() []Figure {
	if !w.measured {
		return nil
	}
	least, mean, greatest := math.Inf(1), 0.0, math.Inf(-1)
	for _, t := range w.t {
		least, greatest = min(least, t), max(greatest, t)
		mean += t / float64(len(w.t))
	}
	return []Figure{{"t", -1, mean}, {"least t", -1, least}, {"greatest t", -1, greatest}}
}
