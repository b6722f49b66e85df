package slerp

import "math"

// A Ram is Reinforced Agent Merging of operands whose deltas from a base are summed
// where they overlap as a mean (arXiv 2601.13572; mergekit 0.1.5, merge_methods/ram.py).
type Ram struct {
	Base    int     // the operand that is the base
	Epsilon float64 // what the size of a delta must exceed to count; not negative
	// R and Alpha are those of ramplus_tl: the deltas of model i that overlap with no other are
	// multiplied by 1 + R*min(Alpha, shared/unique), of its numbers of deltas that
	// do and do not overlap. R 0 is ram, which needs no pass.
	R, Alpha float64
}

// Sweep returns the Sweep of r on a tensor. With n deltas that count, y, an element
// is base + (sum of y)/n, or base + lambda*y if n is 1.
func (r Ram) Sweep(o Operands) Sweep {
	return &ram{Ram: r, o: o, plus: r.R != 0, unique: make([]int64, len(o.In)), shared: make([]int64, len(o.In))}
}

type ram struct {
	Ram
	o              Operands
	plus, measured bool
	unique, shared []int64 // of the operands, 0 of the base
	lambda         []float64
}

func (w *ram) Memory() (state, scratch int64) {
	return 24 * int64(len(w.o.In)), mixerBytes(w.o) + 3*8*strip
}

// Pass counts, once, for ramplus_tl.
func (w *ram) Pass() (blocks int) {
	if n := blocksOf(w.o); w.plus && !w.measured && n > 0 {
		w.measured = true
		return n
	}
	w.lambda = make([]float64, len(w.o.In))
	for k := range w.lambda {
		w.lambda[k] = 1 + float64(w.R*min(w.Alpha, w.ratio(k)))
	}
	return 0
}

// ratio is shared/unique as mergekit has it, whose least divisor is epsilon; 0 if
// no delta counts.
func (w *ram) ratio(k int) float64 {
	if w.shared[k] == 0 {
		return 0
	}
	return float64(w.shared[k]) / max(float64(w.unique[k]), w.Epsilon)
}

func (w *ram) Region(block int) Region { return blockOf(w.o, block) }

// A ramMeter counts the deltas of a block.
type ramMeter struct {
	stripMeter
	unique, shared []int64
}

func (w *ram) Meter(s *Scratch, _ int) Meter {
	m := &ramMeter{unique: make([]int64, len(w.o.In)), shared: make([]int64, len(w.o.In))}
	place := len(w.o.In)
	count := s.Floats(place, strip)
	m.stripMeter = stripMeter{newStrips(s, 0, w.o.In), func(x [][]float64, _ int64) {
		n := count[:len(x[0])]
		clear(n)
		least := math.Float64bits(w.Epsilon)
		base := x[w.Base]
		for k, v := range x {
			if k != w.Base {
				for j, b := range base[:len(n)] {
					n[j] += math.Float64frombits(over(v[j]-b, least) & one)
				}
			}
		}
		for k, v := range x {
			if k == w.Base {
				continue
			}
			var counted, alone uint64 // less for each that is: over is -1
			for j, b := range base[:len(n)] {
				c := over(v[j]-b, least)
				counted -= c
				alone -= c & equal(n[j], 1)
			}
			m.unique[k] += int64(alone)
			m.shared[k] += int64(counted - alone)
		}
	}}
	return m
}

func (w *ram) Take(_ int, m Meter) {
	for k := range w.unique {
		w.unique[k] += m.(*ramMeter).unique[k]
		w.shared[k] += m.(*ramMeter).shared[k]
	}
}

// one is the code of 1.0.
const one = 1023 << 52

// over returns all ones if the size of d exceeds the float64 with the code least, or
// if d is NaN, else 0. It has no branch, as the answer can't be predicted.
func over(d float64, least uint64) uint64 {
	return uint64(int64(least-math.Float64bits(d)&^(1<<63)) >> 63)
}

// equal returns all ones if x and y, which are neither 0 nor NaN, are equal, else 0.
func equal(x, y float64) uint64 {
	return uint64(int64(math.Float64bits(x)^math.Float64bits(y)-1) >> 63)
}

func (w *ram) Mixer(s *Scratch) Mixer {
	place := len(w.o.In) + 1
	count, sum, alone := s.Floats(place, strip), s.Floats(place+1, strip), s.Floats(place+2, strip)
	least := math.Float64bits(w.Epsilon)
	return newStripMixer(s, w.o, func(y []float64, x [][]float64, _ int64) {
		n, sum, alone := count[:len(y)], sum[:len(y)], alone[:len(y)]
		clear(n)
		clear(sum)
		clear(alone)
		base := x[w.Base][:len(y)]
		for k, v := range x {
			switch {
			case k == w.Base:
			case w.plus:
				for j, b := range base {
					d := v[j] - b
					c := over(d, least)
					d = math.Float64frombits(math.Float64bits(d) & c)
					n[j] += math.Float64frombits(c & one)
					sum[j] += d
					alone[j] += float64(w.lambda[k] * d)
				}
			default:
				for j, b := range base {
					d := v[j] - b
					c := over(d, least)
					n[j] += math.Float64frombits(c & one)
					sum[j] += math.Float64frombits(math.Float64bits(d) & c)
				}
			}
		}
		for j, b := range base {
			d := math.Float64bits(sum[j] / max(n[j], 1))
			if w.plus {
				c := equal(n[j], 1)
				d = d&^c | math.Float64bits(alone[j])&c
			}
			y[j] = b + math.Float64frombits(d)
		}
	})
}

// Figures returns the shares of each operand's elements that count, alone and
// with others, and its lambda, if they were counted.
func (w *ram) Figures() (f []Figure) {
	n := float64(max(1, w.o.Elems()))
	for k := range w.o.In {
		if k != w.Base && w.plus {
			f = append(f, Figure{"unique", k, float64(w.unique[k]) / n}, Figure{"shared", k, float64(w.shared[k]) / n}, Figure{"lambda", k, w.lambda[k]})
		}
	}
	return f
}
