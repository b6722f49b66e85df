package slerp

import "math"

// A fusionMeter measures a block of arcee_fusion.
type fusionMeter struct {
	stripMeter
	counts []uint32
	part   longSums
}

func (w *fusion) Meter(s *Scratch, block int) Meter {
	m := &fusionMeter{}
	m.strips = newStrips(s, 0, w.o.In)
	switch {
	case w.step == fusionUpper || w.step == fusionLower:
		m.counts = w.selection.borrow(s)
		var keys [strip]float32
		m.add = func(x [][]float64, at int64) {
			base, other := x[w.Base], x[1-w.Base]
			w.rows.split(at, len(base), func(row int64, from, to int, _ bool) {
				importances(keys[from:to], base[from:to], other[from:to], w.kl[row])
			})
			w.selection.count(m.counts, keys[:len(base)])
		}
	case w.long:
		m.addLong(w, block)
	default:
		m.counts = w.selection.borrow(s)
		m.addRows(w, s)
	}
	return m
}

// importances sets the keys of a part of a row.
func importances(keys []float32, base, other []float64, kl float64) {
	base, other = base[:len(keys)], other[:len(keys)]
	for j, b := range base {
		keys[j] = float32(math.Abs(other[j]-b) * kl)
	}
}

// addRows has the meter hold one row after the other, for its divergence, and count
// the importances.
func (m *fusionMeter) addRows(w *fusion, s *Scratch) {
	place := len(w.o.In)
	row := w.rows.row
	base, other, apart := s.Floats(place, row), s.Floats(place+1, row), s.Floats(place+2, row)
	var keys [strip]float32
	n := 0
	m.add = func(x [][]float64, at int64) {
		w.rows.split(at, len(x[0]), func(r int64, from, to int, last bool) {
			copy(base[n:], x[w.Base][from:to])
			copy(other[n:], x[1-w.Base][from:to])
			n += to - from
			if !last {
				return
			}
			n = 0
			for j, b := range base {
				apart[j] = math.Abs(other[j] - b)
			}
			kl := w.rowDivergence(base, other)
			w.kl[r] = kl
			for rest := apart; len(rest) > 0; {
				part := rest[:min(strip, len(rest))]
				for j, d := range part {
					keys[j] = float32(d * kl)
				}
				w.selection.count(m.counts, keys[:len(part)])
				rest = rest[len(part):]
			}
		})
	}
}

// rowDivergence returns the divergence of a row, and overwrites it.
func (w *fusion) rowDivergence(base, other []float64) float64 {
	var sums [2][8]float64
	for i, v := range [2][]float64{base, other} {
		top := shift(highest(v))
		if top != top {
			return top
		}
		w.exp[i](v, top)
		addLanes(&sums[i], v)
	}
	var l [8]float64
	divergence(&l, other, base, fold(&sums[1]), fold(&sums[0]))
	return fold(&l)
}

// addLong has the meter measure a piece of a long row.
func (m *fusionMeter) addLong(w *fusion, block int) {
	row := &w.longs[int64(block)/w.pieces]
	var lanes [2][8]float64
	var kl [8]float64
	sides := func(x [][]float64) [2][]float64 { return [2][]float64{x[w.Base], x[1-w.Base]} }
	m.part.top = [2]float64{math.Inf(-1), math.Inf(-1)}
	m.add = func(x [][]float64, at int64) {
		pair := sides(x)
		switch w.step {
		case fusionTops:
			for i, v := range pair {
				m.part.top[i] = max(m.part.top[i], highest(v))
			}
			return
		case fusionSums, fusionRows:
			if row.top[0] != row.top[0] || row.top[1] != row.top[1] {
				m.part.kl = math.Float64frombits(nan64)
				return
			}
		}
		if w.step == fusionSums {
			for i, v := range pair {
				w.exp[i](v, row.top[i])
				addLanes(&lanes[i], v)
				m.part.sum[i] = fold(&lanes[i])
			}
			return
		}
		for i, v := range pair {
			w.exp[i](v, row.top[i])
		}
		divergence(&kl, pair[1], pair[0], row.sum[1], row.sum[0])
		m.part.kl = fold(&kl)
	}
}

// gather adds up the pieces of long rows.
func (w *fusion) gather() {
	for r := range w.longs {
		row := &w.longs[r]
		for p, part := range w.parts[int64(r)*w.pieces : int64(r+1)*w.pieces] {
			for i := range row.top {
				switch {
				case w.step == fusionTops && p == 0:
					row.top[i] = part.top[i]
				case w.step == fusionTops:
					row.top[i] = max(row.top[i], part.top[i])
				case w.step == fusionSums:
					row.sum[i] += part.sum[i]
				}
			}
			row.kl += part.kl
		}
		if w.step == fusionTops {
			row.top = [2]float64{shift(row.top[0]), shift(row.top[1])}
		}
		w.kl[r] = row.kl
	}
}

// Take adds the counts of a block, or notes the sums of a piece.
func (w *fusion) Take(block int, m Meter) {
	f := m.(*fusionMeter)
	if f.counts != nil {
		w.selection.take(f.counts)
		return
	}
	w.parts[block] = f.part
}
