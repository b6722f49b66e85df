package slerp

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/bits"
)

// bernoulli is the sparsifier that keeps each element with the same probability.
type bernoulli struct {
	*deltas
	keys  []drawKey
	share []uint64 // of 2^32, of each model
}

func newBernoulli(d *deltas, t TaskVectors) *bernoulli {
	b := &bernoulli{deltas: d}
	for q := range d.models {
		b.keys = append(b.keys, newDrawKey(t.Seed, d.o.Tensor, q))
		b.share = append(b.share, drawShare(d.of(t.Density, q, 1)))
	}
	return b
}

func (b *bernoulli) memory() (state, scratch int64)    { return 0, 0 }
func (b *bernoulli) pass() int                         { return 0 }
func (b *bernoulli) region(int) Region                 { return Region{} }
func (b *bernoulli) meter(*Scratch, int) Meter         { return nil }
func (b *bernoulli) take(int, Meter)                   {}
func (b *bernoulli) figures() []Figure                 { return nil }
func (b *bernoulli) span() int64                       { return 0 }
func (b *bernoulli) grain() int64                      { return 1 }
func (b *bernoulli) keeper(*Scratch, int) keeper       { return b }
func (b *bernoulli) prepare([][]byte, int, int, int64) {}

func (b *bernoulli) partial(q int) bool { return b.share[q] > 0 && b.share[q] < drawAll }

func (b *bernoulli) keep(q int, x, base []float64, at int64) (kept int, far uint64) {
	switch b.share[q] {
	case 0:
		return 0, drop(x, base)
	case drawAll:
		return len(x), subtractFar(x, base)
	}
	return b.keys[q].keep(x, base, at, b.share[q])
}

// A drawKey is the key of a generator of random numbers by counter: the number of an
// element depends on the key and the index alone. Each model of each tensor has its own.
type drawKey struct{ start, turn uint64 }

func newDrawKey(seed uint64, tensor string, model int) drawKey {
	p := binary.LittleEndian.AppendUint64([]byte("slerpmerge"), seed)
	p = binary.LittleEndian.AppendUint64(p, uint64(model))
	h := sha256.Sum256(append(p, tensor...))
	return drawKey{binary.LittleEndian.Uint64(h[:]), binary.LittleEndian.Uint64(h[8:])}
}

// pair returns the numbers, of 32 bits, of elements 2*i and, in the upper half, 2*i+1. It
// is the output function of SplitMix64 (Steele, Lea and Flood, "Fast splittable
// pseudorandom number generators", 2014) of the i-th state after start, with a second
// key between its two rounds: without it all streams would be stretches of one.
func (k drawKey) pair(i uint64) uint64 {
	z := k.start + i*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z ^= k.turn
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// draw returns the number of element i.
func (k drawKey) draw(i int64) uint64 { return k.pair(uint64(i)>>1) >> (32 * (i & 1)) & math.MaxUint32 }

// drawAll is the share that keeps all elements.
const drawAll = 1 << 32

// drawShare returns the probability p as a share of 2^32: an element stays if its number
// is less.
func drawShare(p float64) uint64 {
	switch {
	case !(p > 0):
		return 0
	case p >= 1:
		return drawAll
	}
	return uint64(float64(p*drawAll) + 0.5)
}

// keep is x -= b, and makes the differences zero whose number is not below the share. x begins
// at element at. It returns how many of them stay, and far as subtractFar.
func (k drawKey) keep(x, b []float64, at int64, share uint64) (kept int, far uint64) {
	b = b[:len(x)]
	n, j := uint64(0), 0
	one := func(number uint64) {
		u := math.Float64bits(x[j] - b[j])
		far |= farBit(u)
		_, in := bits.Sub64(number, share, 0)
		n += in
		x[j] = math.Float64frombits(u & -in)
		j++
	}
	if at&1 == 1 && len(x) > 0 {
		one(k.draw(at))
	}
	n, far, j = k.keepPairs(x, b, j, uint64(at+1)>>1, share, n, far)
	if j < len(x) {
		one(k.draw(at + int64(j)))
	}
	return int(n), far
}

// keepPairs does the same for pairs of elements from x[j] on, of which the first has the number i
// among the pairs.
func (k drawKey) keepPairs(x, b []float64, j int, i, share, n, far uint64) (kept, some uint64, end int) {
	for ; j+1 < len(x) && j+1 < len(b); j += 2 {
		z := k.pair(i)
		i++
		u, v := math.Float64bits(x[j]-b[j]), math.Float64bits(x[j+1]-b[j+1])
		far |= farBit(u) | farBit(v)
		_, p := bits.Sub64(z&math.MaxUint32, share, 0)
		_, q := bits.Sub64(z>>32, share, 0)
		n += p + q
		x[j], x[j+1] = math.Float64frombits(u&-p), math.Float64frombits(v&-q)
	}
	return n, far, j
}
