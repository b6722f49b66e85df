package slerp

import (
	"math"
	"math/bits"
	"sync/atomic"

	"slerpmerge/internal/tensor"
)

// band is the sparsifier that keeps a range of ranks, those of Magnitude and Outliers.
// It finds the keys at both ends: in one pass over the tensor if keys have 16 bits, else
// in two. If some of the elements with such a key stay and others do not, they must be
// counted by granules, and the granule in which the last one lies is read again.
//
// The counts by granules need not take a pass over all blocks: the first block that is
// measured tells where about the key is, and from then on the counts near it are noted at the
// end of each granule. What is left to read are the blocks that began before. Which ones
// these are depends on the order of work, and the result does not.
type band struct {
	*deltas
	rank    DType
	m       []bandModel
	step    bandStep
	counts  []bins // of each model
	granule int64
	guess   atomic.Pointer[bandGuess]
	open    []*bound // of which the cut is to be found
	ties    [][]uint32
	blind   []int   // the blocks in which ties are to be counted
	where   []int64 // the granules that are read again
}

type bandStep uint8

const (
	bandStart bandStep = iota
	bandUpper
	bandLower
	bandTies
	bandCut
	bandDone
)

// bandModel is the range of one model: the ranks from from to to, without to,
// in ascending order of the keys. Either end has a bound unless nothing is dropped there. If
// both have the same key, first has all of it and last is nil.
type bandModel struct {
	from, to    int64
	first, last *bound
	// Before the cuts and from them on, codes of float64 from lo on and below hi stay.
	lo, hi         [2]uint64
	loCut, hiCut   int64
	threshold, top float64
}

// bound is a key of which some elements stay.
type bound struct {
	q, end  int // the end is 0 for the first, 1 for the last
	slot    int // of the key in the histogram
	bin     int
	key     uint32
	below   int64 // elements with lesser keys
	ties    int64 // elements with this key
	need    int64 // how many of them stay
	lo, hi  uint64
	cut     int64 // those before this index
	granule int   // where the cut is
	left    int64 // how many of them stay there
}

// newBand starts from the densities.
func newBand(d *deltas, t TaskVectors) *band {
	b := &band{deltas: d, rank: rankType(d.o.In), m: make([]bandModel, len(d.models)), granule: 1 << 16}
	for b.granule < BlockElems && d.n/b.granule > 1<<9 {
		b.granule *= 2
	}
	for q := range b.m {
		density, gamma := d.of(t.Density, q, 1), 0.0
		if t.Sparsifier == Outliers {
			gamma = d.of(t.Gamma, q, 0)
		}
		m := &b.m[q]
		switch keep := int64(density * float64(d.n)); {
		case density >= 1:
			m.to = d.n
		case t.Sparsifier == Outliers:
			top := int64(max(0, min(gamma, 1)) * float64(d.n))
			m.from = max(0, d.n-keep-top)
			m.to = m.from + max(0, keep)
		case density > 0:
			m.from, m.to = max(0, d.n-max(1, keep)), d.n
		}
	}
	return b
}

// partial reports whether model q has a range that is neither empty nor all.
func (b *band) partial(q int) bool { return b.m[q].to > b.m[q].from && b.m[q].to-b.m[q].from < b.n }

// memory returns the bytes of the counts.
func (b *band) memory() (state, scratch int64) {
	granules := (b.n + b.granule - 1) / b.granule
	for q := range b.m {
		if !b.partial(q) {
			continue
		}
		size := rankBins(b.rank)
		ends := min(b.m[q].from, 1) + min(b.n-b.m[q].to, 1)
		state += size*binBytes(b.n) + ends*granules*4
		if b.guesses() {
			state += ends * granules * 4 * guessBins
			scratch += ends * (b.length / b.granule) * 4 * guessBins
		}
		scratch += 4 * size
	}
	return state, scratch + 2*4*strip
}

// pass begins the next pass, or the one after if nothing has to be measured in it.
func (b *band) pass() int {
	for {
		switch b.step {
		case bandStart:
			b.counts = make([]bins, len(b.m))
			some := false
			for q := range b.m {
				if b.partial(q) {
					b.counts[q] = newBins(b.n, rankBins(b.rank))
					some = true
				}
			}
			if !some {
				b.step = bandCut // nothing to find
				continue
			}
			b.step = bandUpper
			return b.blocks(b.length)
		case bandUpper:
			b.findBins()
			if b.rank == tensor.F32 {
				b.step = bandLower
				b.guess.Store(nil)
				return b.blocks(b.length)
			}
			b.findKeys()
			b.step = bandLower
		case bandLower:
			if b.rank == tensor.F32 {
				b.findLow()
				b.findKeys()
			}
			b.counts = nil
			b.step = bandTies
			if n := b.countTies(); n > 0 {
				return n
			}
		case bandTies:
			b.findGranules()
			b.step = bandCut
			if len(b.where) > 0 {
				return len(b.where)
			}
		case bandCut:
			b.settle()
			b.step = bandDone
		case bandDone:
			return 0
		}
	}
}

// findBins finds the bins of both ends.
func (b *band) findBins() {
	for q := range b.m {
		if !b.partial(q) {
			continue
		}
		m := &b.m[q]
		end := func(end int, rank int64) *bound {
			k, below := b.counts[q].find(0, rank)
			return &bound{q: q, end: end, slot: k, bin: k, key: uint32(k), below: below, ties: b.counts[q].at(k)}
		}
		if m.from > 0 {
			m.first = end(0, m.from)
		}
		if m.to < b.n {
			m.last = end(1, m.to-1)
		}
		if b.rank == tensor.F32 {
			b.counts[q].clear()
		}
	}
}

// findLow finds the other bits of the keys, within the bins.
func (b *band) findLow() {
	for q := range b.m {
		m := &b.m[q]
		within := func(e *bound, rank int64, first int) {
			k, below := b.counts[q].find(first, rank-e.below)
			e.slot = k
			e.key = uint32(e.bin)<<lowBits | uint32(k-first)
			e.below += below
			e.ties = b.counts[q].at(k)
		}
		if m.first != nil {
			within(m.first, m.from, 0)
		}
		if m.last != nil {
			within(m.last, m.to-1, m.half())
		}
	}
}

// half returns where countLow counts the keys of the last bound: beside those of the first
// if they have the same bin.
func (m *bandModel) half() int {
	if m.first == nil || m.first.bin == m.last.bin {
		return 0
	}
	return shortBins
}

// low returns the two bins of which countLow counts the keys of model q.
func (b *band) low(q int) (first, last uint32) {
	m := &b.m[q]
	if m.first == nil {
		return uint32(m.last.bin), math.MaxUint32
	}
	if m.last == nil {
		return uint32(m.first.bin), math.MaxUint32
	}
	return uint32(m.first.bin), uint32(m.last.bin)
}

// findKeys sees how many elements with the keys at the ends stay.
func (b *band) findKeys() {
	for q := range b.m {
		m := &b.m[q]
		if m.first != nil && m.last != nil && m.first.key == m.last.key {
			m.last = nil
			m.top = b.magnitude(m.first.key)
		}
		if e := m.first; e != nil {
			m.threshold = b.magnitude(e.key)
			b.close(e, min(e.below+e.ties, m.to)-m.from)
		}
		if e := m.last; e != nil {
			m.top = b.magnitude(e.key)
			b.close(e, m.to-e.below)
		}
	}
}

// magnitude returns the value of a key.
func (b *band) magnitude(key uint32) float64 {
	var x [1]float32
	switch b.rank {
	case tensor.F32:
		return float64(math.Float32frombits(key))
	default:
		decode32(b.rank, x[:], []byte{byte(key), byte(key >> 8)})
	}
	return float64(x[0])
}

// close notes how many elements of a bound stay.
func (b *band) close(e *bound, need int64) {
	e.need, e.cut = need, b.n
	e.lo, e.hi = keyStart(b.rank, e.key), keyStart(b.rank, e.key+1)
	if need < e.ties {
		b.open = append(b.open, e)
	}
}

// findGranules finds the granules with the last element that stays.
func (b *band) findGranules() {
	wanted := map[int]bool{}
	for k, e := range b.open {
		e.left = e.need
		for g, c := range b.ties[k] {
			if int64(c) < e.left {
				e.left -= int64(c)
				continue
			}
			e.granule = g
			break
		}
		if !wanted[e.granule] {
			wanted[e.granule] = true
			b.where = append(b.where, int64(e.granule))
		}
	}
	b.ties = nil
}

// settle fixes the codes that stay.
func (b *band) settle() {
	for q := range b.m {
		m := &b.m[q]
		m.hi = [2]uint64{math.MaxUint64, math.MaxUint64}
		if e := m.first; e != nil {
			m.lo, m.loCut = [2]uint64{e.lo, e.hi}, e.cut
			if m.last == nil && m.to < b.n { // one key at both ends
				m.hi, m.hiCut = [2]uint64{e.hi, e.lo}, e.cut
			}
		}
		if e := m.last; e != nil {
			m.hi, m.hiCut = [2]uint64{e.hi, e.lo}, e.cut
		}
	}
	b.open, b.blind, b.where = nil, nil, nil
}

// region returns a block, or a granule that is read again.
func (b *band) region(block int) Region {
	switch b.step {
	case bandTies:
		block = b.blind[block]
	case bandCut:
		return b.block(int(b.where[block]), b.granule)
	}
	return b.block(block, b.length)
}

// figures returns the thresholds, and the shares of the elements that stay.
func (b *band) figures() (list []Figure) {
	for q, k := range b.models {
		m := &b.m[q]
		if b.n > 0 {
			list = append(list, Figure{"kept", k, float64(max(0, m.to-m.from)) / float64(b.n)})
		}
		if m.first != nil {
			list = append(list, Figure{"threshold", k, m.threshold})
		}
		if m.last != nil || m.first != nil && m.to < b.n {
			list = append(list, Figure{"upper threshold", k, m.top})
		}
	}
	return list
}

// keeper needs no scratch.
func (b *band) keeper(*Scratch, int) keeper { return b }

func (b *band) prepare([][]byte, int, int, int64) {}

func (b *band) grain() int64 { return 1 }

func (b *band) span() int64 { return 0 }

// keep drops what is outside the range.
func (b *band) keep(q int, x, base []float64, at int64) (kept int, far uint64) {
	m := &b.m[q]
	if m.to <= m.from {
		return 0, drop(x, base)
	}
	for len(x) > 0 {
		n, lo, hi := len(x), m.lo[1], m.hi[1]
		if at < m.loCut {
			n, lo = int(min(int64(n), m.loCut-at)), m.lo[0]
		}
		if at < m.hiCut {
			n, hi = int(min(int64(n), m.hiCut-at)), m.hi[0]
		}
		k, f := keepWithin(x[:n], base[:n], lo, max(lo, hi))
		kept, far = kept+k, far|f
		x, base, at = x[n:], base[n:], at+int64(n)
	}
	return kept, far
}

// keepWithin is x -= b, and makes the differences zero whose codes without the sign are below
// lo, or not below hi. It returns the number of the others, and far as subtract.
func keepWithin(x, b []float64, lo, hi uint64) (kept int, far uint64) {
	n, width := uint64(0), hi-lo
	b = b[:len(x)]
	for j := range x {
		u := math.Float64bits(x[j] - b[j])
		far |= farBit(u)
		_, in := bits.Sub64(u&^(1<<63)-lo, width, 0)
		n += in
		x[j] = math.Float64frombits(u & -in)
	}
	return int(n), far
}
