package slerp

import (
	"math"
	"sync"
)

// The eight-bit floats of "FP8 Formats for Deep Learning" (Micikevicius et al.
// 2022), as safetensors and PyTorch have them: F8_E5M2 is IEEE 754 in small;
// F8_E4M3 (e4m3fn) gives up the infinities and all NaN codes but one for a
// largest value of 448.

var e4m3Table = sync.OnceValue(func() *[256]float32 {
	t := table8(3, 7)
	t[nanE4M3] = float32(math.NaN())
	t[nanE4M3|signBit8] = float32(math.NaN())
	return t
})

var e5m2Table = sync.OnceValue(func() *[256]float32 {
	t := table8(2, 15)
	for code := infE5M2; code < signBit8; code++ {
		t[code] = float32(math.NaN())
		t[code|signBit8] = float32(math.NaN())
	}
	t[infE5M2] = float32(math.Inf(1))
	t[infE5M2|signBit8] = float32(math.Inf(-1))
	return t
})

// table8 returns the value of every code of a float with the given mantissa bits
// and exponent bias, as if none were special.
func table8(mant, bias int) *[256]float32 {
	t := new([256]float32)
	for code := range signBit8 {
		exp, frac := code>>mant, code&(1<<mant-1)
		if exp == 0 {
			exp = 1
		} else {
			frac |= 1 << mant
		}
		x := math.Ldexp(float64(frac), exp-bias-mant)
		t[code], t[code|signBit8] = float32(x), -float32(x)
	}
	return t
}

func decode8(dst []float32, src []byte, table *[256]float32) {
	for i := range dst {
		dst[i] = table[src[i]]
	}
}

// e4m3Bits rounds x to F8_E4M3. A finite x saturates, an infinity is NaN.
func e4m3Bits(x float64) byte {
	if !finite(x) {
		return nanE4M3
	}
	return sign8(x) | byte(min(round8(x, 3, 7), maxE4M3))
}

// e5m2Bits rounds x to F8_E5M2.
func e5m2Bits(x float64) byte {
	if x != x {
		return nanE5M2
	}
	return sign8(x) | byte(min(round8(x, 2, 15), infE5M2))
}

func sign8(x float64) byte { return byte(math.Float64bits(x) >> 56 & signBit8) }

// round8 returns the code of |x|, rounded to nearest even, as if the exponent had
// no upper end. Counted in units of the last place, a magnitude that rounds
// up to the next power of two is the next code by itself.
func round8(x float64, mant, bias int) int {
	x = math.Abs(x)
	if x > 1<<20 {
		return 1 << 20
	}
	exp := max(int(math.Float64bits(x)>>52)-1023, 1-bias)
	scale := math.Float64frombits(uint64(1023+mant-exp) << 52) // 2^(mant-exp)
	units := math.RoundToEven(x * scale)
	return (exp-1+bias)<<mant + int(units)
}
