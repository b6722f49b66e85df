package slerp

import (
	"math"

	"slerpmerge/internal/tensor"
)

// The arithmetic of the package. Whatever the types, a stretch of elements is
// decoded, goes through one of these loops, and is encoded.

// strip is the number of elements that are decoded at a time: three strips of float64
// stay in a first-level cache.
const strip = 1024

// measure32 adds the products of a and b to the lanes. They are exact.
func measure32(l *lanes, a, b []float32) {
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		l.aa[i&7] += x * x
		l.bb[i&7] += y * y
		l.ab[i&7] += x * y
	}
}

// measure64 does the same for F64, whose products are rounded: the conversions
// forbid the compiler to fuse them into the sum.
func measure64(l *lanes, a, b []float64) {
	for i, x := range a {
		y := b[i]
		l.aa[i&7] += float64(x * x)
		l.bb[i&7] += float64(y * y)
		l.ab[i&7] += float64(x * y)
	}
}

// blend32 is dst = s0*a + s1*b in float32, every operation rounded. Where the
// terms cancel, so that the sum is below their share near, or overflow, the
// element is made again by weigh. f0 and f1 are s0 and s1 as float32.
func blend32(dst, a, b []float32, s0, s1 float64, near float32) {
	f0, f1 := float32(s0), float32(s1)
	for i, x := range a {
		y := b[i]
		p, q := float32(f0*x), float32(f1*y)
		r := float32(p + q)
		if size := abs32(r); !(size >= float32(float32(abs32(p)+abs32(q))*near)) || size > math.MaxFloat32 {
			r = float32(weigh(float64(x), float64(y), s0, s1))
		}
		dst[i] = r
	}
}

// nearness returns the least share of |p|+|q| that the sum of two float32 terms p
// and q must have. With the share 1/K the roundings of the coefficients, the
// products and the sum are an error below (2K+1) * 2^-24 of the sum: less than
// 0.008 ulp of BF16 with K = 256, and of types with at most 11 bits of
// significand with K = 32.
func nearness(out DType) float32 {
	if out == tensor.BF16 {
		return 1.0 / 256
	}
	return 1.0 / 32
}

// isNormal32 reports whether s is 0 or, as float32, a normal number: such
// coefficients keep their digits.
func isNormal32(s float64) bool {
	size := math.Abs(float64(float32(s)))
	return s == 0 || size >= 0x1p-126 && size <= math.MaxFloat32
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// blend64 is dst = s0*a + s1*b by weigh.
func blend64(dst, a, b []float64, s0, s1 float64) {
	for i, x := range a {
		dst[i] = weigh(x, b[i], s0, s1)
	}
}

// weigh returns s0*x + s1*y within 1.5 ulp of a float64, also where the terms
// cancel. It is Kahan's algorithm for a determinant of order two (Jeannerod,
// Louvet and Muller, "Further analysis of Kahan's algorithm for the accurate
// computation of 2x2 determinants", 2013): the error of the rounded product w
// is found exactly. It is subtracted, not added, so that the sum of two
// negative zeros stays one.
func weigh(x, y, s0, s1 float64) float64 {
	w := float64(s1 * y)
	if r := math.FMA(s0, x, w) - math.FMA(-s1, y, w); finite(r) {
		return r
	}
	return weighFar(x, y, s0, s1)
}

// weighFar is weigh where something is not finite. If the operands are, a term
// has overflowed, and the sum may still be finite: the terms are made again
// 2^k times smaller.
func weighFar(x, y, s0, s1 float64) float64 {
	if !finite(x) || !finite(y) || !finite(s0) || !finite(s1) {
		return float64(s0*x) + float64(s1*y)
	}
	k := max(exponent(s0)+exponent(x), exponent(s1)+exponent(y)) - 1000
	s0, x = shrink(s0, x, k)
	s1, y = shrink(s1, y, k)
	w := float64(s1 * y)
	return math.Ldexp(math.FMA(s0, x, w)-math.FMA(-s1, y, w), k)
}

// exponent approximates the binary logarithm of |x|. That of 0 is too great to be
// the lesser one of a sum.
func exponent(x float64) int {
	if x == 0 {
		return -1 << 20
	}
	_, e := math.Frexp(x)
	return e
}

// shrink makes the product of s and x smaller by 2^k, in the greater of the two:
// a bit is lost only far below the other term.
func shrink(s, x float64, k int) (float64, float64) {
	if math.Abs(s) > math.Abs(x) {
		return math.Ldexp(s, -k), x
	}
	return s, math.Ldexp(x, -k)
}
