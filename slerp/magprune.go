package slerp

import (
	"fmt"
	"math"
	"slices"

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
	return 0, m.span()*(3*4+int64(len(m.models))) + 4*m.binCount() + 2*stripBytes
}

// binCount returns the bins that keys are sorted to: enough for all keys of a row that are not
// far from each other.
func (m *magprune) binCount() int64 { return 4*min(m.grain(), 1<<13) + 1<<10 }

func (m *magprune) keeper(s *Scratch, place int) keeper {
	k := &magpruneKeeper{m: m, b: s.Floats(place, strip), x: s.Floats(place+1, strip)}
	n := m.span()
	k.key, k.order, k.place, k.bins = s.Counts(0, n), s.Counts(1, n), s.Counts(2, n), s.Counts(3, m.binCount())
	for q := range m.models {
		k.masks = append(k.masks, s.Bytes(q, n))
	}
	return k
}

// magpruneKeeper has the masks of a span.
type magpruneKeeper struct {
	m                       *magprune
	b, x                    []float64
	key, order, place, bins []uint32
	masks                   [][]byte // 1 for an element that stays
	from                    int64
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
		vectors := int(m.row.vectors)
		for p := 0; p < n; p += int(m.row.len) {
			row := k.key[p:min(n, p+int(m.row.len))]
			for v := range vectors {
				k.draws(q, row[v:], (len(row)-v+vectors-1)/vectors)
			}
		}
		m.keys[q].masks(k.masks[q][:n], k.key[:n], at)
	}
}

// draws puts the probabilities of the elements of a vector, as shares of 2^32, in the place of their
// keys: every so-manieth one of key, count in all.
func (k *magpruneKeeper) draws(q int, key []uint32, count int) {
	if count == 1 {
		key[0] = share32(k.m.density[q])
		return
	}
	// In units of 2^-48: 65536 steps add up to an error below 2^-32.
	low, high := 1<<48*max(0, k.m.low[q]), 1<<48*min(1, k.m.high[q])
	first, step := int64(low)+1<<15, int64(max(0, high-low)/float64(count-1))
	stride := int(k.m.row.vectors)
	share := func(rank uint32) uint32 { return uint32(min(uint64(first+int64(rank)*step)>>16, math.MaxUint32)) }
	ranks, ok := k.bin(key, count, stride)
	if ok { // a bin is a key
		for i, j := 0, 0; j < count; i, j = i+stride, j+1 {
			b := k.place[j]
			key[i] = share(ranks[b])
			ranks[b]++
		}
		return
	}
	order := k.order[:count]
	for j, b := range k.place[:count] {
		order[ranks[b]] = uint32(j * stride)
		ranks[b]++
	}
	sortNear(key, order)
	for r, i := range order {
		key[i] = share(uint32(r))
	}
}

// bin finds for each key of a vector a bin, in the order of the keys, and how many keys are
// in lower bins. Each bin has one key, or several in a narrow range: then single is false.
func (k *magpruneKeeper) bin(key []uint32, count, stride int) (below []uint32, single bool) {
	place := k.place[:count]
	least, most := uint32(math.MaxUint32), uint32(0)
	for i, j := 0, 0; j < count; i, j = i+stride, j+1 {
		x := key[i]
		place[j] = x
		least, most = min(least, x-1), max(most, x) // 0 becomes the greatest
	}
	least = max(1, least+1) // 1 if all are 0
	// The bin of 0 is its own: many deltas are 0, and the others far from it.
	bins := uint32(len(k.bins) - 1)
	shift := 0
	for most > 0 && (most-least)>>shift >= bins-1 {
		shift++
	}
	used := uint32(1)
	if most > 0 {
		used = (most-least)>>shift + 2
	}
	below = k.bins[:used]
	clear(below)
	for j, x := range place {
		x -= least
		b := (x>>shift + 1) &^ uint32(int32(x)>>31) // keys have 31 bits: 0 alone has become negative
		place[j] = b
		below[b]++
	}
	sum := uint32(0)
	for b, n := range below {
		below[b] = sum
		sum += n
	}
	return below, shift == 0
}

// share32 is drawShare within 32 bits.
func share32(p float64) uint32 { return uint32(min(drawShare(p), math.MaxUint32)) }

// masks fills mask with 1 for those elements from at on whose number is below the share.
func (k drawKey) masks(mask []byte, share []uint32, at int64) {
	share = share[:len(mask)]
	j := 0
	if at&1 == 1 && len(mask) > 0 {
		mask[0] = byte((k.draw(at) - uint64(share[0])) >> 63)
		j = 1
	}
	for i := uint64(at+1) >> 1; j+1 < len(mask) && j+1 < len(share); i, j = i+1, j+2 {
		z := k.pair(i)
		mask[j] = byte((z&math.MaxUint32 - uint64(share[j])) >> 63)
		mask[j+1] = byte((z>>32 - uint64(share[j+1])) >> 63)
	}
	if j < len(mask) {
		mask[j] = byte((k.draw(at+int64(j)) - uint64(share[j])) >> 63)
	}
}

// keep drops what the masks of the span drop.
func (k *magpruneKeeper) keep(q int, x, b []float64, at int64) (kept int, far uint64) {
	switch {
	case k.m.density[q] >= 1:
		return len(x), subtractFar(x, b)
	case !k.m.partial(q):
		return 0, drop(x, b)
	}
	b = b[:len(x)]
	mask := k.masks[q][at-k.from:][:len(x)]
	for j, in := range mask {
		u := math.Float64bits(x[j] - b[j])
		far |= farBit(u)
		kept += int(in)
		x[j] = math.Float64frombits(u & -uint64(in))
	}
	return kept, far
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

// sortNear sorts indices by their keys, those of equal keys in the order that they have. Few
// of them are far from their places.
func sortNear(key, order []uint32) {
	moves := 0
	for i := 1; i < len(order); i++ {
		x, j := order[i], i
		for ; j > 0 && key[order[j-1]] > key[x]; j-- {
			order[j] = order[j-1]
		}
		order[j] = x
		if moves += i - j; moves > 16*len(order) { // many keys in one bin
			slices.SortStableFunc(order, func(a, b uint32) int { return int(key[a]) - int(key[b]) })
			return
		}
	}
}
