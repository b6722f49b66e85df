package slerp

import (
	"math"

	"slerpmerge/internal/tensor"
)

// sceStrips are the scratch of a meter or mixer of sce for a strip, besides the
// operands.
type sceStrips struct {
	w         *sce
	deltas    [][]float64
	short     [][]float64 // the deltas in the precision that ranks them
	mean, v   []float64
	sum, rest []float64
}

func (w *sce) newStrips(s *Scratch, place int) *sceStrips {
	r := &sceStrips{w: w, deltas: make([][]float64, 0, w.models),
		mean: s.Floats(place, strip), v: s.Floats(place+1, strip), sum: s.Floats(place+2, strip), rest: s.Floats(place+3, strip)}
	if w.TopK < 1 {
		for k := range w.models {
			r.short = append(r.short, s.Floats(place+4+k, strip))
		}
	}
	return r
}

// load makes exact deltas of the operands, in place, and returns the variances, if there is a
// choice to be made.
func (s *sceStrips) load(x [][]float64) (v []float64) {
	toDeltas(x, s.w.Base)
	s.deltas = without(s.deltas, x, s.w.Base)
	n := len(x[0])
	mean, v, drop := s.mean[:n], s.v[:n], s.w.drop
	if s.w.TopK >= 1 {
		return nil
	}
	clear(mean)
	for k, d := range s.deltas {
		short := s.short[k][:n]
		for j, x := range d[:n] {
			x = shortened(x, drop)
			short[j] = x
			mean[j] += x
		}
	}
	for j := range mean {
		mean[j] /= float64(s.w.models)
	}
	clear(v)
	for _, d := range s.short {
		for j, x := range d[:n] {
			x -= mean[j]
			v[j] += float64(x * x)
		}
	}
	for j := range v {
		v[j] /= float64(s.w.models)
	}
	return v
}

// shortened rounds x to a significand of 53 - drop bits.
func shortened(x float64, drop uint) float64 {
	u := math.Float64bits(x)
	if u<<1 >= 0x7ff<<53 {
		return x
	}
	unit := uint64(1) << (drop & 63)
	return math.Float64frombits((u + (unit>>1 - 1) + u>>(drop&63)&1) &^ (unit - 1))
}

// atLeast returns all ones if the code of the magnitude of x is c at least, which is
// below 2^63, else 0.
func atLeast(x float64, c uint64) uint64 {
	return uint64(int64(c-1-math.Float64bits(x)&^(1<<63)) >> 63)
}

// A sceMeter counts variances or, once the threshold is known, sums squares.
type sceMeter struct {
	stripMeter
	counts    []uint32
	zeros     int64
	above, at [][8]float64
	ties, cut int64
}

func (w *sce) Meter(scratch *Scratch, _ int) Meter {
	m := &sceMeter{}
	s := w.newStrips(scratch, len(w.o.In))
	m.strips = newStrips(scratch, 0, w.o.In)
	if w.step == sceUpper || w.step == sceLower {
		m.counts = w.selection.borrow(scratch)
		var keys [strip]float32
		m.add = func(x [][]float64, _ int64) {
			v := s.load(x)
			for j, x := range v {
				y := float32(x)
				keys[j] = y
				if w.rank == tensor.F32 && y == 0 && w.step == sceUpper {
					m.zeros++
				}
			}
			w.selection.count(m.counts, keys[:len(v)])
		}
		return m
	}
	m.above, m.at = make([][8]float64, w.models), make([][8]float64, w.models)
	m.add = func(x [][]float64, at int64) {
		v := s.load(x)
		if w.step == sceCut {
			m.addCut(w, s, v, at)
			return
		}
		if v == nil {
			for k, d := range s.deltas {
				addSquares(&m.above[k], d)
			}
			return
		}
		for k, d := range s.deltas {
			addSquaresFrom(&m.above[k], d, v, w.hi)
		}
		if w.lo == w.hi {
			return
		}
		ties := s.sum[:len(v)] // 1 for those at the threshold
		for j, x := range v {
			c := atLeast(x, w.lo) &^ atLeast(x, w.hi)
			m.ties -= int64(c)
			ties[j] = math.Float64frombits(c & one)
		}
		for k, d := range s.deltas {
			addSquaresFrom(&m.at[k], d, ties, one)
		}
	}
	return m
}

// addCut sums the elements at the threshold that are kept, of the block with the cut.
func (m *sceMeter) addCut(w *sce, s *sceStrips, v []float64, at int64) {
	for j, x := range v {
		if m.ties == w.need {
			return
		}
		if atLeast(x, w.lo)&^atLeast(x, w.hi) == 0 {
			continue
		}
		for k, d := range s.deltas {
			addSquare(&m.at[k][j&7], d[j])
		}
		if m.ties++; m.ties == w.need {
			m.cut = at + int64(j) + 1
		}
	}
}

func (m *sceMeter) fold() sceSums {
	s := sceSums{ties: m.ties}
	for k := range m.above {
		s.above = append(s.above, fold(&m.above[k]))
		s.at = append(s.at, fold(&m.at[k]))
	}
	return s
}

// addSquare adds the square of x, unless sums of such squares could overflow.
func addSquare(sum *float64, x float64) {
	if q := float64(x * x); q <= 0x1p960 {
		*sum += q
	}
}

// addSquares adds the squares of d to the lanes.
func addSquares(l *[8]float64, d []float64) {
	for j, x := range d {
		addSquare(&l[j&7], x)
	}
}

// addSquaresFrom adds those of the elements whose v has the code c at least.
func addSquaresFrom(l *[8]float64, d, v []float64, c uint64) {
	v = v[:len(d)]
	for j, x := range d {
		addSquare(&l[j&7], math.Float64frombits(math.Float64bits(x)&atLeast(v[j], c)))
	}
}

func (w *sce) Mixer(scratch *Scratch) Mixer {
	s := w.newStrips(scratch, len(w.o.In)+1)
	return newStripMixer(scratch, w.o, func(y []float64, x [][]float64, at int64) {
		v := s.load(x)
		if v != nil {
			first := int(max(0, min(w.cut-at, int64(len(y))))) // elements before the cut
			for _, d := range s.deltas {
				dropBelow(d[:first], v, w.lo)
				dropBelow(d[first:], v[first:], w.hi)
			}
		}
		s.mix(y, x[w.Base])
	})
}

// dropBelow makes those elements 0 whose v has a code below c. What is not finite stays.
func dropBelow(d, v []float64, c uint64) {
	v = v[:len(d)]
	for j, x := range d {
		d[j] = math.Float64frombits(math.Float64bits(x) & (atLeast(v[j], c) | atLeast(x, 0x7ff<<52)))
	}
}

// mix adds the deltas of a strip to the base.
func (s *sceStrips) mix(y, base []float64) {
	n := len(y)
	total, sum, rest := s.mean[:n], s.sum[:n], s.rest[:n]
	clear(total)
	clear(sum)
	clear(rest)
	for _, d := range s.deltas {
		for j, x := range d[:n] {
			total[j] += x
		}
	}
	for k, d := range s.deltas {
		weight := s.w.weight[k]
		code := math.Float64bits(weight)
		for j, x := range d[:n] {
			u := math.Float64bits(x)
			same := ^uint64(int64(u^math.Float64bits(total[j])) >> 63)
			same &= uint64(int64(u<<1|-(u<<1)) >> 63) // and x is not 0
			sum[j] += float64(weight * math.Float64frombits(u&same))
			rest[j] += math.Float64frombits(code & same)
		}
	}
	base = base[:n]
	for j, b := range base {
		y[j] = b + sum[j]/max(rest[j], leastDivisor)
		if !finite(total[j]) {
			y[j] = b + total[j]
		}
	}
}
