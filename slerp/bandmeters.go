package slerp

import (
	"math"
	"math/bits"

	"slerpmerge/internal/tensor"
)

func (b *band) meter(s *Scratch, block int) Meter {
	r := newDeltaStrips(b.deltas, s)
	switch b.step {
	case bandTies:
		from := b.region(block).From
		m := &tieMeter{b: b, r: r, from: from, counts: make([][]uint32, len(b.open))}
		for k := range m.counts {
			m.counts[k] = make([]uint32, b.length/b.granule)
		}
		return m
	case bandCut:
		m := &cutMeter{b: b, r: r, granule: int(b.where[block]), left: make([]int64, len(b.open)), cut: make([]int64, len(b.open))}
		for k, e := range b.open {
			m.left[k] = e.left
		}
		return m
	}
	m := &rankMeter{b: b, r: r, counts: make([][]uint32, len(b.m)), from: b.region(block).From, guess: b.guess.Load()}
	if m.guess != nil {
		m.seen = make([][2][]uint32, len(b.m))
		for q, first := range m.guess.first {
			for end := range first {
				if first[end] >= 0 {
					m.seen[q][end] = make([]uint32, guessBins*b.length/b.granule)
				}
			}
		}
	}
	for q := range m.counts {
		if b.partial(q) {
			m.counts[q] = s.Counts(q, rankBins(b.rank))
			clear(m.counts[q])
		}
	}
	return m
}

func (b *band) take(block int, m Meter) {
	switch m := m.(type) {
	case *rankMeter:
		for q, h := range m.counts {
			if h != nil {
				b.counts[q].add(h)
			}
		}
		if m.guess != nil {
			for q, ends := range m.seen {
				for end, counts := range ends {
					if counts != nil {
						copy(m.guess.seen[q][end][m.from/b.granule*guessBins:], counts)
					}
				}
			}
			m.guess.known[block] = true
		} else if b.guess.Load() == nil && b.guesses() && (b.step == bandLower || b.rank != tensor.F32) {
			b.guess.Store(b.supposed())
		}
	case *tieMeter:
		first := int(m.from / b.granule)
		for k := range b.ties {
			copy(b.ties[k][first:], m.counts[k])
		}
	case *cutMeter:
		for k, e := range b.open {
			if e.granule == m.granule {
				e.cut = m.cut[k]
			}
		}
	}
}

// rankMeter counts keys.
type rankMeter struct {
	b      *band
	r      deltaStrips
	counts [][]uint32
	from   int64
	guess  *bandGuess    // nil before there is one
	seen   [][2][]uint32 // as in guess, in this block
	u, v   [strip]float32
}

func (m *rankMeter) Add(chunks [][]byte, at int64) {
	b := m.b
	for i, n := range m.r.strips(chunks, at) {
		m.r.load(chunks, i, n)
		base, d := m.u[:n], m.v[:n]
		if !b.wide {
			detected.widen32(b.o.In[b.base], base, m.r.part(b.base))
		}
		for q, k := range b.models {
			if m.counts[q] == nil {
				continue
			}
			if b.wide {
				for j, x := range m.r.delta64(k) {
					d[j] = float32(x)
				}
			} else {
				// Rounding the difference of two numbers of 24 bits to float64 first
				// would give the same.
				detected.widen32(b.o.In[k], d, m.r.part(k))
				for j := range d {
					d[j] -= base[j]
				}
			}
			if b.step == bandUpper {
				countKeys(b.rank, m.counts[q], d)
			} else {
				first, last := b.low(q)
				countLow(m.counts[q], d, first, last)
			}
			if m.guess != nil {
				g := (at + int64(i) - m.from) / b.granule * guessBins
				for end, seen := range m.seen[q] {
					if seen != nil {
						copy(seen[g:g+guessBins], m.counts[q][m.guess.first[q][end]:])
					}
				}
			}
		}
	}
}

// tieMeter counts the elements of a block with the keys of the open bounds, by
// granules.
type tieMeter struct {
	b      *band
	r      deltaStrips
	from   int64
	counts [][]uint32
}

func (m *tieMeter) Add(chunks [][]byte, at int64) {
	for i, n := range m.r.strips(chunks, at) {
		m.r.load(chunks, i, n)
		g := (at + int64(i) - m.from) / m.b.granule
		var d []float64
		of := -1
		for k, e := range m.b.open {
			if e.q != of {
				d, of = m.r.delta64(m.b.models[e.q]), e.q
			}
			m.counts[k][g] += uint32(countWithin(d, e.lo, e.hi))
		}
	}
}

// countWithin counts the elements whose codes without the sign are from lo on and below
// hi.
func countWithin(d []float64, lo, hi uint64) int {
	n, width := uint64(0), hi-lo
	for _, x := range d {
		_, in := bits.Sub64(math.Float64bits(x)&^(1<<63)-lo, width, 0)
		n += in
	}
	return int(n)
}

// cutMeter finds the last elements that stay of the open bounds of a granule.
type cutMeter struct {
	b         *band
	r         deltaStrips
	granule   int
	left, cut []int64
}

func (m *cutMeter) Add(chunks [][]byte, at int64) {
	for i, n := range m.r.strips(chunks, at) {
		m.r.load(chunks, i, n)
		for k, e := range m.b.open {
			if e.granule != m.granule || m.left[k] == 0 {
				continue
			}
			d := m.r.delta64(m.b.models[e.q])
			for j, x := range d {
				if u := math.Float64bits(x) &^ (1 << 63); u-e.lo < e.hi-e.lo {
					m.left[k]--
					if m.left[k] == 0 {
						m.cut[k] = at + int64(i+j) + 1
						break
					}
				}
			}
		}
	}
}
