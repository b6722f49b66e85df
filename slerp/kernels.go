package slerp

// The arithmetic of the package. Whatever the types, a stretch of elements is
// decoded, goes through one of these loops, and is encoded.

// strip is how many elements are decoded at a time: three strips of float64
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

// blend32 is dst = s0*a + s1*b in float32, every operation rounded.
func blend32(dst, a, b []float32, s0, s1 float32) {
	for i, x := range a {
		dst[i] = float32(s0*x) + float32(s1*b[i])
	}
}

// blend64 is dst = s0*a + s1*b in float64, every operation rounded.
func blend64(dst, a, b []float64, s0, s1 float64) {
	for i, x := range a {
		dst[i] = float64(s0*x) + float64(s1*b[i])
	}
}
