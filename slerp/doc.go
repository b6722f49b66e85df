// Package slerp is the mathematics of a merge: the Gram matrix of a tensor pair
// ([InnerProducts]) or of any number of tensors ([Products]), the coefficients that follow from it ([Interpolate]), and
// weighted sums such as s0*a + s1*b ([Blender], [WeightedSum]), for the element types F64, F32, F16, BF16, F8_E4M3 and F8_E5M2
// in any mix. It does no I/O. All tensors are little-endian bytes and need no
// alignment.
//
// # Numbers that do not depend on the machine
//
// Measuring. Elements are widened exactly to float64. Element i of a block of
// [BlockElems] elements adds into lane i mod 8; the lanes of a block fold as
// (l0+l4), (l1+l5), (l2+l6), (l3+l7), then (s0+s2)+(s1+s3). Block sums add in
// index order. Products of values of 32 bits or fewer are exact in float64, so
// it makes no difference whether a machine fuses them into the sum; products
// of F64 elements are rounded before they are added. Sums of F64 elements
// neither overflow nor underflow: where a float64 would, they are made with the
// same roundings and an exponent that has no end ([Wide]). Of several tensors
// each pair has these sums. Where a base is subtracted, every difference is
// rounded, and every product of differences. No result depends on
// the size of a chunk or on the number of threads.
//
// Coefficients. float64 throughout. Sine and arc cosine are correctly rounded
// here rather than taken from package math, whose bits vary by machine: the
// compiler fuses its polynomials on arm64 and not on amd64. Within 10^-6 of
// t = 0 and t = 1 the coefficients are those of the exact multiples of the
// angle, rounded once.
//
// Blending. If F32 or F64 is read or written, an element is
// fma(s0, x, w) - fma(-s1, y, w) with w = s1*y, all in float64 with fused
// operations, which is within 1.5 units in the last place (ulp) of the exact
// s0*x + s1*y. It is rounded once, directly to the output type. Where terms
// overflow and the sum does not, it is the same with an exponent that has no
// end.
//
// If the output and both inputs have at most 16 bits, the terms are
// p = float32(s0)*x and q = float32(s1)*y and the element is r = p + q, each
// rounded to float32. Where the terms cancel, |r| < (|p|+|q|)/K in float32, and
// where r is not finite, this element alone is made in float64 as above and
// rounded to float32. K is 256 for an output of BF16, else 32. Where a
// coefficient is not 0 and not a normal float32, all elements are made so. Then
// r is rounded to the output type.
//
// All roundings are to nearest with ties to even, subnormal numbers included.
// Overflow gives an infinity; in F8_E4M3, which has none, a finite value
// saturates at 448 and an infinity becomes NaN. From the exact s0*x + s1*y an
// element is at most 0.51 ulp of an output of at most 16 bits, 0.5001 ulp of F32
// and 1.5 ulp of F64, also where the parents cancel (TestError has the sum of
// the roundings).
//
// Adding. A weighted sum of any number of tensors is made in float64: the
// rounded products are added in order, divided where weights are normalised,
// and rounded once.
//
// NaN. Every NaN that is computed, blended or converted has one code per
// output type: quiet, positive, no payload (F64 0x7ff8000000000000, F32
// 0x7fc00000, F16 0x7e00, BF16 0x7fc0, F8_E4M3 0x7f, F8_E5M2 0x7e). Which
// payload hardware keeps depends on the order of operands, so none is kept.
// Only a conversion to the same type, which copies bytes, keeps payloads.
//
// # Kernels
//
// The Go loops in kernels.go, products.go and weightedsum.go are the definition. On amd64 with AVX2, FMA and
// F16C assembly replaces them for the common types and gives the same bits. For three tensors
// and more there is some for AVX-512, too.
// It makes terms that cancel again in place, element by element, and leaves the
// rest of what is rare to the definition: where a result is not finite (or, in
// BF16, near the end of the range or, from F32, subnormal), a stretch of up to
// 4096 elements is computed again in Go, which also counts overflows. Build
// with -tags noasm to do without assembly. The .s file is generated:
//
//	go generate ./slerp
package slerp

//go:generate sh -c "cd _gen && go run . -out ../kernels_amd64.s -stubs ../stubs_amd64.go -pkg slerp"
