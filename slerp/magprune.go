package slerp

import (
	"fmt"
	"math"

	"slerpmerge/internal/tensor"
)

// magprune is the sparsifier that keeps the elements of a row with probabilities that
// grow with their ranks in it.
type magprune struct {
	*deltas
	rank      DType
	row       rankRow
	keys      []drawKey
	low, high []float64 // the probabilities of the least rank and the greatest of each model
	density   []float64
}

// rankRow is a stretch of a tensor that is ranked on its own, as vectors that lie
// interleaved.
type rankRow struct{ len, vectors int64 }

// maxRankRow bounds the elements that are ranked together, and with them the scratch.
const maxRankRow = 1 << 16

// newRankRow returns what of a tensor is ranked together: as in mergekit, the elements
// along axis 1, and of a vector all. Where what lies below one index of axis 0 has more
// than maxRankRow elements, as with the experts that are stored as one tensor, it is the last axis;
// and where that is longer, runs of maxRankRow elements.
func newRankRow(shape []uint64) rankRow {
	o := Operands{Shape: shape}
	r := rankRow{o.Elems(), 1}
	if len(shape) >= 2 {
		r.len = Operands{Shape: shape[1:]}.Elems()
		r.vectors = Operands{Shape: shape[2:]}.Elems()
		if r.len > maxRankRow {
			r = rankRow{int64(shape[len(shape)-1]), 1}
		}
	}
	if r.len > maxRankRow {
		r.len = maxRankRow
	}
	return r
}

func newMagprune(d *deltas, t TaskVectors) *magprune {
	m := &magprune{deltas: d, rank: rankType(d.o.In), row: newRankRow(d.o.Shape)}
	for q := range d.models {
		density, epsilon := d.of(t.Density, q, 1), d.of(t.Epsilon, q, 0)
		m.keys = append(m.keys, newDrawKey(t.Seed, d.o.Tensor, q))
		m.density = append(m.density, density)
		m.low, m.high = append(m.low, density-epsilon), append(m.high, density+epsilon)
	}
	return m
}

// Unfit tells why elements can't be dropped from operand k with its Density and
// Epsilon; "" if they can.
func (t TaskVectors) Unfit(k int) string {
	if t.Sparsifier != Ranked || t.Density == nil || t.Epsilon == nil {
		return ""
	}
	d, e := t.Density[k], t.Epsilon[k]
	if d <= 0 || d >= 1 || d-e > 0 && d+e < 1 {
		return ""
	}
	return fmt.Sprintf("density - epsilon and density + epsilon must lie between 0 and 1, and %v and %v give %v and %v", d, e, d-e, d+e)
}

func (m *magprune) pass() int                 { return 0 }
func (m *magprune) region(int) Region         { return Region{} }
func (m *magprune) meter(*Scratch, int) Meter { return nil }
func (m *magprune) take(int, Meter)           {}
func (m *magprune) figures() []Figure         { return nil }
func (m *magprune) partial(q int) bool        { return m.density[q] > 0 && m.density[q] < 1 }
func (m *magprune) grain() int64              { return max(1, m.row.len) }

// span returns the elements that are prepared at a time: as many rows as a strip holds.
func (m *magprune) span() int64 { return max(1, strip/m.grain()) * m.grain() }

// memory returns the bytes of keys, orders and masks.
func (m *magprune) memory() (state, scratch int64) {
	return 0, m.span()*(3*4+int64(len(m.models))) + 2*stripBytes
}

func (m *magprune) keeper(s *Scratch, place int) keeper {
	k := &magpruneKeeper{m: m, b: s.Floats(place, strip), x: s.Floats(place+1, strip)}
	n := m.span()
	k.key, k.order, k.other = s.Counts(0, n), s.Counts(1, n), s.Counts(2, n)
	for q := range m.models {
		k.masks = append(k.masks, s.Bytes(q, n))
	}
	return k
}

// magpruneKeeper has the masks of a span.
type magpruneKeeper struct {
	m                 *magprune
	b, x              []float64
	key, order, other []uint32
	masks             [][]byte // 1 for an element that stays
	from              int64
}

// prepare makes the masks of the elements from i to i+n of chunks, whole rows, of which
// the first has index at in the tensor.
func (k *magpruneKeeper) prepare(chunks [][]byte, i, n int, at int64) {
	m := k.m
	k.from = at
	r := deltaStrips{d: m.deltas, b: k.b, x: k.x}
	for q, of := range m.models {
		if !m.partial(q) {
			continue
		}
		for p := 0; p < n; p += strip {
			r.load(chunks, i+p, min(strip, n-p))
			rankKeys(m.rank, k.key[p:], r.delta64(of))
		}
		for p := 0; p < n; p += int(m.row.len) {
			k.shares(q, p, min(int(m.row.len), n-p))
		}
		mask := k.masks[q][:n]
		for j, share := range k.key[:n] {
			// 1 if the number is less.
			mask[j] = byte((m.keys[q].draw(at+int64(j)) - uint64(share)) >> 63)
		}
	}
}

// shares puts the probabilities of a row, as shares of 2^32, in the place of its keys.
func (k *magpruneKeeper) shares(q, from, n int) {
	m := k.m
	vectors := int(m.row.vectors)
	length := n / vectors
	key, order, other := k.key[from:from+n], k.order[:length], k.other[:length]
	step := (m.high[q] - m.low[q]) / float64(length-1)
	for v := range vectors {
		for j := range order {
			order[j] = uint32(v + j*vectors)
		}
		sorted := sortByKey(m.rank, key, order, other)
		if length == 1 {
			key[v] = share32(m.density[q])
			continue
		}
		for r, j := range sorted {
			key[j] = share32(m.low[q] + float64(float64(r)*step))
		}
	}
}

// share32 is drawShare within 32 bits.
func share32(p float64) uint32 { return uint32(min(drawShare(p), math.MaxUint32)) }

// keep drops what the masks of the span drop.
func (k *magpruneKeeper) keep(q int, d []float64, at int64) (kept int) {
	switch {
	case k.m.density[q] >= 1:
		return len(d)
	case !k.m.partial(q):
		clear(d)
		return 0
	}
	for j, in := range k.masks[q][at-k.from:][:len(d)] {
		kept += int(in)
		d[j] = math.Float64frombits(math.Float64bits(d[j]) & -uint64(in))
	}
	return kept
}

// rankKeys fills key with the keys of d.
func rankKeys(t DType, key []uint32, d []float64) {
	key = key[:len(d)]
	switch t {
	case tensor.BF16:
		for j, x := range d {
			key[j] = brainKey(rankCode(float32(x)))
		}
	case tensor.F16:
		for j, x := range d {
			key[j] = halfKey(rankCode(float32(x)))
		}
	default:
		for j, x := range d {
			key[j] = rankCode(float32(x))
		}
	}
}

// sortByKey sorts indices by their keys, those of equal keys in the order that they
// have. The result is in either of the two slices, which have the same length.
func sortByKey(t DType, key, order, other []uint32) []uint32 {
	if len(order) <= 48 {
		for i := 1; i < len(order); i++ {
			x, j := order[i], i
			for ; j > 0 && key[order[j-1]] > key[x]; j-- {
				order[j] = order[j-1]
			}
			order[j] = x
		}
		return order
	}
	digits := 2
	if t == tensor.F32 {
		digits = 4
	}
	var counts [4][256]uint32
	for _, i := range order {
		k := key[i]
		counts[0][k&255]++
		counts[1][k>>8&255]++
		counts[2][k>>16&255]++
		counts[3][k>>24&255]++
	}
	for d := range digits {
		c, shift := &counts[d], 8*d
		if c[key[order[0]]>>shift&255] == uint32(len(order)) {
			continue
		}
		sum := uint32(0)
		for b, n := range c {
			c[b] = sum
			sum += n
		}
		for _, i := range order {
			b := key[i] >> shift & 255
			other[c[b]] = i
			c[b]++
		}
		order, other = other, order
	}
	return order
}
