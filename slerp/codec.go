package slerp

import (
	"encoding/binary"
	"math"

	"slerpmerge/internal/tensor"
)

// The one code that a NaN gets in each type: quiet, positive, no payload.
const (
	nan64    = 0x7ff8_0000_0000_0000
	nan32    = 0x7fc0_0000
	nanHalf  = 0x7e00
	nanBF16  = 0x7fc0
	nanE4M3  = 0x7f
	nanE5M2  = 0x7e
	infE5M2  = 0x7c
	maxE4M3  = 0x7e
	signBit8 = 0x80
)

// limit returns the magnitude from which on a finite value overflows the type: the
// middle between its largest value and the next power of two or, in F8_E4M3,
// the float64 after the middle of 448 and 480, as that tie goes to 448.
func limit(d DType) float64 {
	switch d {
	case tensor.F32:
		return 0x1.ffffffp127
	case tensor.BF16:
		return 0x1.ffp127
	case tensor.F16:
		return 65520
	case tensor.F8E4M3:
		return 0x1.d000000000001p8
	case tensor.F8E5M2:
		return 61440
	}
	return math.Inf(1)
}

// vanishing returns the largest magnitude that the type rounds to zero: half its
// smallest subnormal number, a tie that goes to the even zero.
func vanishing(d DType) float64 {
	switch d {
	case tensor.F32:
		return 0x1p-150
	case tensor.BF16:
		return 0x1p-134
	case tensor.F16:
		return 0x1p-25
	case tensor.F8E4M3:
		return 0x1p-10
	case tensor.F8E5M2:
		return 0x1p-17
	}
	return 0
}

// decode32 widens the elements of src, of any type but F64, exactly.
func decode32(d DType, dst []float32, src []byte) {
	switch d {
	case tensor.F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	case tensor.BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	case tensor.F16:
		table := halfTable()
		for i := range dst {
			dst[i] = table[binary.LittleEndian.Uint16(src[2*i:])]
		}
	case tensor.F8E4M3:
		decode8(dst, src, e4m3Table())
	case tensor.F8E5M2:
		decode8(dst, src, e5m2Table())
	}
}

// decode64 widens the elements of src, of any type, exactly.
func (set kernelSet) decode64(d DType, dst []float64, src []byte) {
	if d == tensor.F64 {
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(src[8*i:]))
		}
		return
	}
	if set.widen64(d, dst, src, nil) {
		return
	}
	var strip [64]float32
	for i := 0; i < len(dst); i += len(strip) {
		part := strip[:min(len(strip), len(dst)-i)]
		set.widen32(d, part, src[i*d.Size():])
		wide := dst[i:][:len(part)]
		for j, x := range part {
			wide[j] = float64(x)
		}
	}
}

// encode32 rounds src to the type once. F64 holds every value of src.
func encode32(d DType, dst []byte, src []float32) {
	switch d {
	case tensor.F64:
		for i, x := range src {
			binary.LittleEndian.PutUint64(dst[8*i:], bits64(float64(x)))
		}
	case tensor.F32:
		for i, x := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], bits32(x))
		}
	case tensor.BF16:
		for i, x := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], bf16Bits(x))
		}
	case tensor.F16:
		for i, x := range src {
			binary.LittleEndian.PutUint16(dst[2*i:], halfBits(x))
		}
	case tensor.F8E4M3:
		for i, x := range src {
			dst[i] = e4m3Bits(float64(x))
		}
	case tensor.F8E5M2:
		for i, x := range src {
			dst[i] = e5m2Bits(float64(x))
		}
	}
}

// encode64 rounds src to the type once, with the kernels of this machine.
func encode64(d DType, dst []byte, src []float64) { detected.encode64(d, dst, src) }

func (set kernelSet) encode64(d DType, dst []byte, src []float64) {
	if !set.narrow64(d, dst, src) {
		round64(d, dst, src)
	}
}

// round64 is encode64 in Go: the 16-bit types by way of a float32
// that is rounded to odd, which no second rounding can mistake for a tie.
func round64(d DType, dst []byte, src []float64) {
	switch d {
	case tensor.F64:
		for i, x := range src {
			binary.LittleEndian.PutUint64(dst[8*i:], bits64(x))
		}
	case tensor.F32:
		for i, x := range src {
			binary.LittleEndian.PutUint32(dst[4*i:], bits32(float32(x)))
		}
	case tensor.BF16:
		dst = dst[:2*len(src)]
		for i, x := range src {
			if u := math.Float64bits(x); u<<1-leastBF16 < endBF16-leastBF16 {
				binary.LittleEndian.PutUint16(dst[2*i:], narrowed(u, 7, 127))
				continue
			}
			binary.LittleEndian.PutUint16(dst[2*i:], bf16Bits(roundOdd(x)))
		}
	case tensor.F16:
		dst = dst[:2*len(src)]
		for i, x := range src {
			if u := math.Float64bits(x); u<<1-leastHalf < endHalf-leastHalf {
				binary.LittleEndian.PutUint16(dst[2*i:], narrowed(u, 10, 15))
				continue
			}
			binary.LittleEndian.PutUint16(dst[2*i:], halfBits(roundOdd(x)))
		}
	case tensor.F8E4M3:
		for i, x := range src {
			dst[i] = e4m3Bits(x)
		}
	case tensor.F8E5M2:
		for i, x := range src {
			dst[i] = e5m2Bits(x)
		}
	}
}

// The codes, shifted left by 1, of the float64 from which on a magnitude is a normal
// number of the type, and of the power of two that follows the largest.
const (
	leastBF16 = (1023 - 126) << 53
	endBF16   = (1023 + 128) << 53
	leastHalf = (1023 - 14) << 53
	endHalf   = (1023 + 16) << 53
)

// narrowed rounds the float64 with the code u to a 16-bit type, in integers: adding
// just less than half a unit of the last place kept, and the last bit kept, carries
// where nearest-even rounds up. The magnitude is a normal number of the type or
// rounds to infinity.
func narrowed(u uint64, mant, bias int) uint16 {
	drop := 52 - mant
	size := u &^ (1 << 63)
	size = (size + (1<<(drop-1) - 1) + size>>drop&1) >> drop
	return uint16(u>>63<<15) | uint16(size-uint64(1023-bias)<<mant)
}

func bits64(x float64) uint64 {
	if x != x {
		return nan64
	}
	return math.Float64bits(x)
}

func bits32(x float32) uint32 {
	if x != x {
		return nan32
	}
	return math.Float32bits(x)
}

// roundOdd rounds x to float32 so that an inexact result has an odd last bit
// (Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", 2008):
// rounding it again to 22 bits or fewer is as good as rounding x, as no second
// rounding can mistake it for a tie.
func roundOdd(x float64) float32 {
	y := float32(x)
	u := math.Float32bits(y)
	back := float64(y)
	if back == x || x != x || u&1 == 1 {
		return y
	}
	// Codes grow with the magnitude, and y has the sign of x even as a zero.
	if math.Abs(back) < math.Abs(x) {
		return math.Float32frombits(u + 1)
	}
	return math.Float32frombits(u - 1)
}
