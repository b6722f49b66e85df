package slerp

import (
	"math"

	"slerpmerge/internal/tensor"
)

// The elements of a delta are ranked by keys: the code, without the sign, of the
// delta rounded to a type. Keys grow with the magnitude. Those of infinities are above
// all others but the one of NaN.

// rankType returns the type of the keys for operands of these types: BF16, F16 or
// F32.
func rankType(in []DType) DType {
	var half, brain bool
	for _, d := range in {
		switch d {
		case tensor.F64, tensor.F32:
			return tensor.F32
		case tensor.F16:
			half = true
		case tensor.BF16:
			brain = true
		}
	}
	switch {
	case half && brain:
		return tensor.F32
	case half:
		return tensor.F16
	}
	return tensor.BF16
}

const (
	inf32 = 0x7f80_0000
	inf16 = 0x7c00
)

// rankCode returns the code of the magnitude of x, with one code for NaN. It is the key in F32.
func rankCode(x float32) uint32 { return min(math.Float32bits(x)&^(1<<31), nan32) }

// brainKey returns the key in BF16 of a code of F32.
func brainKey(u uint32) uint32 { return (u + 0x7fff + u>>16&1) >> 16 }

// halfKey returns the key in F16 of a code of F32. The compiler makes it without
// branches, which could not be predicted: deltas lie on both sides of the least normal
// number.
func halfKey(u uint32) uint32 {
	// The exponent's bias is 112 less, and the significand 13 bits shorter.
	k := (u - 112<<23 + 0xfff + u>>13&1) >> 13
	// At 0.5 the last place of a float32 is that of subnormal numbers of F16.
	if low := math.Float32bits(math.Float32frombits(u)+0.5) - 0x3f00_0000; u < 113<<23 {
		k = low
	}
	if k > inf16 {
		k = inf16
	}
	if u > inf32 {
		k = nanHalf
	}
	return k
}

// rankKey returns the key of x in the type.
func rankKey(d DType, x float32) uint32 {
	u := rankCode(x)
	switch d {
	case tensor.BF16:
		return brainKey(u)
	case tensor.F16:
		return halfKey(u)
	}
	return u
}

// keyStart returns the code of the least magnitude of float64 whose key is k at least,
// and a code above all if there is none.
func keyStart(d DType, k uint32) uint64 {
	// Rounding is monotonic, so that the keys of all codes are in order.
	lo, hi := uint64(0), uint64(nan64+1)
	for lo < hi {
		mid := (lo + hi) / 2
		if rankKey(d, float32(math.Float64frombits(mid))) >= k {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo > nan64 {
		return math.MaxUint64
	}
	return lo
}

// A histogram is that of the upper bits of keys: all 15 of a key of 16 bits, 16 of the 31
// of F32. The other 15 are counted for two values of the upper ones.
const (
	shortBins = 1 << 15
	longBins  = 1 << 16
	lowBits   = 15
)

// rankBins returns the number of bins for keys of the type.
func rankBins(d DType) int64 {
	if d == tensor.F32 {
		return longBins
	}
	return shortBins
}

// countKeys counts the upper bits of the keys of d.
func countKeys(t DType, h []uint32, d []float32) {
	switch t {
	case tensor.BF16:
		h := (*[shortBins]uint32)(h)
		for _, x := range d {
			h[brainKey(rankCode(x))&(shortBins-1)]++
		}
	case tensor.F16:
		h := (*[shortBins]uint32)(h)
		for _, x := range d {
			h[halfKey(rankCode(x))&(shortBins-1)]++
		}
	default:
		h := (*[longBins]uint32)(h)
		for _, x := range d {
			h[rankCode(x)>>lowBits&(longBins-1)]++
		}
	}
}

// countLow counts the lower bits of those keys of F32 whose upper ones are a or, in the
// other half of h, b.
func countLow(h []uint32, d []float32, a, b uint32) {
	bins := (*[longBins]uint32)(h)
	for _, x := range d {
		u := rankCode(x)
		switch u >> lowBits {
		case a:
			bins[u&(shortBins-1)]++
		case b:
			bins[u&(shortBins-1)|shortBins]++
		}
	}
}

// bins are the counts of all blocks: of 32 bits where those of the tensor fit.
type bins struct {
	small []uint32
	large []uint64
}

// binBytes returns the size of a count for a tensor of n elements.
func binBytes(n int64) int64 {
	if n <= math.MaxUint32 {
		return 4
	}
	return 8
}

func newBins(n int64, count int64) bins {
	if binBytes(n) == 4 {
		return bins{small: make([]uint32, count)}
	}
	return bins{large: make([]uint64, count)}
}

// add adds the counts of a block.
func (b *bins) add(h []uint32) {
	if b.small != nil {
		for k, c := range h {
			b.small[k] += c
		}
		return
	}
	for k, c := range h {
		b.large[k] += uint64(c)
	}
}

// clear makes all counts zero.
func (b *bins) clear() {
	clear(b.small)
	clear(b.large)
}

func (b *bins) at(k int) int64 {
	if b.small != nil {
		return int64(b.small[k])
	}
	return int64(b.large[k])
}

// find returns the bin of the element that has so many before it in the order of the
// bins from first on, and how many there are in lower bins.
func (b *bins) find(first int, before int64) (k int, below int64) {
	for k = first; ; k++ {
		c := b.at(k)
		if below+c > before {
			return k, below
		}
		below += c
	}
}
