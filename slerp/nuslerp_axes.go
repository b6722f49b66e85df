package slerp

import "math"

// NuslerpAxes is nuslerp by rows or by columns: each has an angle and coefficients of
// its own.
type NuslerpAxes struct {
	Base    int     // the operand that the other two are measured from, -1 for none
	T       float64 // 0 is the first of the two, 1 the second
	Columns bool    // along axis 0, else along the last axis; no matter to a vector
}

// Sweep returns the Sweep of a on a tensor of two operands besides the base. The
// coefficients of all rows or columns, 16 bytes each, are held until the
// output is made.
func (a NuslerpAxes) Sweep(o Operands) Sweep {
	w := &axes{NuslerpAxes: a, o: o, least: math.Inf(1), greatest: math.Inf(-1)}
	if a.Columns && len(o.Shape) > 1 {
		w.columns = newColumns(o)
		return w
	}
	w.rows = newRowBlocks(o)
	return w
}

type axes struct {
	NuslerpAxes
	o               Operands
	rows            rowBlocks
	columns         columns // each is 0 if the axis is the last
	measured        bool
	c0, c1          []float64 // of the rows or columns
	straight        int64     // how many are parallel or opposite
	least, greatest float64   // angle
}

func (w *axes) count() int64 {
	if w.columns.each > 0 {
		return w.columns.all
	}
	return w.rows.rows
}

func (w *axes) Memory() (state, scratch int64) {
	meter := int64(len(w.o.In))*8*strip + rowSumsBytes(2)
	if w.columns.each > 0 {
		meter = int64(len(w.o.In))*8*strip + w.columns.sumsBytes()
	}
	return 16 * w.count(), max(meter, mixerBytes(w.o))
}

// Pass measures once.
func (w *axes) Pass() (blocks int) {
	if w.measured || w.o.Elems() == 0 {
		return 0
	}
	w.measured = true
	w.c0, w.c1 = make([]float64, w.count()), make([]float64, w.count())
	if w.columns.each > 0 {
		return w.columns.count()
	}
	return w.rows.count()
}

func (w *axes) Region(block int) Region {
	if w.columns.each > 0 {
		return w.columns.region(block)
	}
	return w.rows.region(block)
}

// An axesMeter measures the rows or columns of a block.
type axesMeter struct {
	stripMeter
	straight        int64
	least, greatest float64
}

func (w *axes) Meter(s *Scratch, block int) Meter {
	m := &axesMeter{least: math.Inf(1), greatest: math.Inf(-1)}
	pair := make([][]float64, 0, 2)
	solve := func(k int64, g Gram) {
		c := Nuslerp(g, w.T)
		w.c0[k], w.c1[k] = c.S0, c.S1
		m.least, m.greatest = min(m.least, c.Theta), max(m.greatest, c.Theta)
		if c.Branch == Linear {
			m.straight++
		}
	}
	add := func(x [][]float64) [][]float64 {
		if w.Base >= 0 {
			toDeltas(x, w.Base)
		}
		return without(pair, x, w.Base)
	}
	m.strips = newStrips(s, 0, w.o.In)
	if w.columns.each > 0 {
		sums := newColumnSums(s, len(w.o.In), w.columns, block, w.o.In)
		left := sums.n * w.columns.length
		m.add = func(x [][]float64, at int64) {
			v := add(x)
			sums.add(v[0], v[1], at)
			if left -= int64(len(v[0])); left == 0 {
				sums.grams(solve)
			}
		}
		return m
	}
	sums := newRowSums(2, w.o.In)
	m.add = func(x [][]float64, at int64) {
		v := add(x)
		w.rows.split(at, len(v[0]), func(row int64, from, to int, last bool) {
			sums.add(v, from, to)
			if last {
				sums.finish()
				solve(row, Gram{sums.product(0, 0), sums.product(1, 1), sums.product(0, 1)})
				sums.reset()
			}
		})
	}
	return m
}

func (w *axes) Take(_ int, m Meter) {
	a := m.(*axesMeter)
	w.straight += a.straight
	w.least, w.greatest = min(w.least, a.least), max(w.greatest, a.greatest)
}

func (w *axes) Mixer(s *Scratch) Mixer {
	return newStripMixer(s, w.o, func(y []float64, x [][]float64, at int64) {
		if w.columns.each > 0 {
			w.columns.split(at, len(y), func(column int64, from, to int) {
				w.mixColumns(y[from:to], x, from, w.c0[column:], w.c1[column:])
			})
			return
		}
		w.rows.split(at, len(y), func(row int64, from, to int, _ bool) {
			c := [2]float64{w.c0[row], w.c1[row]}
			i := 0
			for k, v := range x {
				weight := 1 - c[0] - c[1]
				if k != w.Base {
					weight = c[i]
					i++
				}
				weighted(y[from:to], v[from:to], weight, k > 0)
			}
		})
	})
}

// mixColumns makes elements of consecutive columns.
func (w *axes) mixColumns(y []float64, x [][]float64, from int, c0, c1 []float64) {
	n := len(y)
	c := c0[:n]
	c0, c1 = c0[:n], c1[:n]
	for k, v := range x {
		v = v[from:][:n]
		switch {
		case k == w.Base && k == 0:
			for j, b := range v {
				y[j] = (1 - c0[j] - c1[j]) * b
			}
			continue
		case k == w.Base:
			for j, b := range v {
				y[j] += float64((1 - c0[j] - c1[j]) * b)
			}
			continue
		case k == 0:
			for j, b := range v {
				y[j] = c[j] * b
			}
		default:
			for j, b := range v {
				y[j] += float64(c[j] * b)
			}
		}
		c = c1
	}
}

// Figures returns the share of the rows or columns that are parallel or opposite, and
// the least and the greatest angle in radians.
func (w *axes) Figures() []Figure {
	if !w.measured {
		return nil
	}
	return []Figure{{"linear", -1, float64(w.straight) / float64(w.count())}, {"least angle", -1, w.least}, {"greatest angle", -1, w.greatest}}
}
