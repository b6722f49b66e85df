package slerp

import (
	"math"
	"sync"

	"slerpmerge/internal/tensor"
)

// Exponentials and divergences for rows of probabilities. Package math is not used, whose
// exponential and logarithm are assembly on some machines and differ by machine in the
// last bits. Conversions keep machines from fusing products into sums.

// The argument of exp is a multiple of ln 2/64, in two words of which products with
// integers up to 2^20 are exact in the first, and a rest.
const (
	expSteps = 0x1.71547652b82fep+6 // 64/ln 2
	expStep1 = 0x1.62e42fef00000p-7
	expStep2 = 0x1.473de6af278edp-40
	// integral added to a number below 2^51 rounds it to an integer, which is in
	// the lower bits of the sum.
	integral = 0x1.8p52
	// leastExp is the least argument: from there down e^-700 is taken.
	leastExp = -700
)

// exponentials replaces the elements x of v, which are finite, by e^(x - top), where x - top is 700
// at most, within 1.4 units in the last place: one half each for the table and
// the last sum, and 0.31 for the Taylor series of the rest, of up to 0.0055, which ends after
// the fifth power.
func exponentials(v []float64, top float64) {
	for j, x := range v {
		if x -= top; x < leastExp {
			x = leastExp
		}
		t := float64(x*expSteps) + integral
		k := int64(math.Float64bits(t)<<32) >> 32
		t -= integral
		r := (x - float64(t*expStep1)) - float64(t*expStep2)
		z := float64(r * r)
		p := r + float64(z*((1.0/2+float64(r*(1.0/6)))+float64(z*(1.0/24+float64(r*(1.0/120))))))
		y := expTable[k&63]
		y += float64(y * p)
		v[j] = math.Float64frombits(math.Float64bits(y) + uint64(k>>6)<<52)
	}
}

// expTable has 2^(k/64), rounded to nearest.
var expTable = [64]float64{
	0x1.0000000000000p+0, 0x1.02c9a3e778061p+0, 0x1.059b0d3158574p+0, 0x1.0874518759bc8p+0,
	0x1.0b5586cf9890fp+0, 0x1.0e3ec32d3d1a2p+0, 0x1.11301d0125b51p+0, 0x1.1429aaea92de0p+0,
	0x1.172b83c7d517bp+0, 0x1.1a35beb6fcb75p+0, 0x1.1d4873168b9aap+0, 0x1.2063b88628cd6p+0,
	0x1.2387a6e756238p+0, 0x1.26b4565e27cddp+0, 0x1.29e9df51fdee1p+0, 0x1.2d285a6e4030bp+0,
	0x1.306fe0a31b715p+0, 0x1.33c08b26416ffp+0, 0x1.371a7373aa9cbp+0, 0x1.3a7db34e59ff7p+0,
	0x1.3dea64c123422p+0, 0x1.4160a21f72e2ap+0, 0x1.44e086061892dp+0, 0x1.486a2b5c13cd0p+0,
	0x1.4bfdad5362a27p+0, 0x1.4f9b2769d2ca7p+0, 0x1.5342b569d4f82p+0, 0x1.56f4736b527dap+0,
	0x1.5ab07dd485429p+0, 0x1.5e76f15ad2148p+0, 0x1.6247eb03a5585p+0, 0x1.6623882552225p+0,
	0x1.6a09e667f3bcdp+0, 0x1.6dfb23c651a2fp+0, 0x1.71f75e8ec5f74p+0, 0x1.75feb564267c9p+0,
	0x1.7a11473eb0187p+0, 0x1.7e2f336cf4e62p+0, 0x1.82589994cce13p+0, 0x1.868d99b4492edp+0,
	0x1.8ace5422aa0dbp+0, 0x1.8f1ae99157736p+0, 0x1.93737b0cdc5e5p+0, 0x1.97d829fde4e50p+0,
	0x1.9c49182a3f090p+0, 0x1.a0c667b5de565p+0, 0x1.a5503b23e255dp+0, 0x1.a9e6b5579fdbfp+0,
	0x1.ae89f995ad3adp+0, 0x1.b33a2b84f15fbp+0, 0x1.b7f76f2fb5e47p+0, 0x1.bcc1e904bc1d2p+0,
	0x1.c199bdd85529cp+0, 0x1.c67f12e57d14bp+0, 0x1.cb720dcef9069p+0, 0x1.d072d4a07897cp+0,
	0x1.d5818dcfba487p+0, 0x1.da9e603db3285p+0, 0x1.dfc97337b9b5fp+0, 0x1.e502ee78b3ff6p+0,
	0x1.ea4afa2a490dap+0, 0x1.efa1bee615a27p+0, 0x1.f50765b6e4540p+0, 0x1.fa7c1819e90d8p+0,
}

// highest returns the greatest element of v, NaN if one is not finite.
func highest(v []float64) float64 {
	far, top := uint64(0), int64(math.MinInt64)
	for _, x := range v {
		u := math.Float64bits(x)
		far = max(far, u<<1)
		top = max(top, int64(u)^int64(u)>>63&math.MaxInt64) // in the order of the elements
	}
	if far >= 0x7ff<<53 {
		return math.Float64frombits(nan64)
	}
	return math.Float64frombits(uint64(top ^ top>>63&math.MaxInt64))
}

// shift returns what is subtracted from the elements of a row before exponentials are taken, by its
// greatest element: nothing, if neither that one's exponential nor sums of as great ones come near the ends of
// float64. NaN stays NaN.
func shift(top float64) float64 {
	if math.Abs(top) <= 600 {
		return 0
	}
	return top
}

// An exponents replaces the elements x of v by e^(x - top).
type exponents func(v []float64, top float64)

// exponentsOf returns the exponents for operands of a type. They have the same bits for
// all types.
func exponentsOf(d DType) exponents {
	if d != tensor.BF16 {
		return exponentials
	}
	table := brainExponentials()
	return func(v []float64, top float64) {
		if top != 0 {
			exponentials(v, top)
			return
		}
		for j, x := range v {
			u := math.Float64bits(x)
			k := min(max(int64(u<<1>>46)-(1023-brainTiny)<<7, 0), 1<<13-1)
			v[j] = table[u>>63<<13|uint64(k)]
		}
	}
}

// brainTiny is the binary logarithm below which e^x is 1, negated.
const brainTiny = 54

// exponentBytes is the size of brainExponentials.
const exponentBytes = 8 << 14

// brainExponentials has e^x for the values of BF16 from 2^-54 to 2^10, and behind these for their
// negatives.
var brainExponentials = sync.OnceValue(func() *[1 << 14]float64 {
	t := new([1 << 14]float64)
	for k := range 1 << 13 {
		x := math.Float64frombits(uint64(k+(1023-brainTiny)<<7) << 45)
		t[k], t[1<<13|k] = min(x, -leastExp), -x
	}
	exponentials(t[:], 0)
	return t
})

// addLanes adds the elements of v to the lanes.
func addLanes(l *[8]float64, v []float64) {
	l0, l1, l2, l3, l4, l5, l6, l7 := l[0], l[1], l[2], l[3], l[4], l[5], l[6], l[7]
	for len(v) >= 8 {
		l0 += v[0]
		l1 += v[1]
		l2 += v[2]
		l3 += v[3]
		l4 += v[4]
		l5 += v[5]
		l6 += v[6]
		l7 += v[7]
		v = v[8:]
	}
	*l = [8]float64{l0, l1, l2, l3, l4, l5, l6, l7}
	for i, y := range v {
		l[i] += y
	}
}

// probable is what mergekit adds to probabilities (0.1.5, merge_methods/arcee_fusion.py).
const probable = 1e-8

// divergence adds to the lanes the terms of the Kullback-Leibler divergence of the
// probabilities u/sum from v/sum, each with 1e-8 added.
//
// The terms are P ln(P/Q) - P + Q, as the probabilities on both sides have the same sum.
// They are not negative, and where P and Q are close there is no difference of large
// numbers: with s = (P-Q)/(P+Q) a term is (P+Q) (s² + (1+s)(s³/3 + s⁵/5 + ...)).
func divergence(l *[8]float64, u, v []float64, sumU, sumV float64) {
	iu, iv := 1/sumU, 1/sumV
	v = v[:len(u)]
	for j, x := range u {
		p, q := float64(x*iu)+probable, float64(v[j]*iv)+probable
		both := p + q
		s := (p - q) / both
		z := float64(s * s)
		if z > nearSquare {
			l[j&7] += max(0, float64(p*ln(p/q))-(p-q))
			continue
		}
		tail := 1.0/3 + float64(z*(1.0/5+float64(z*(1.0/7+float64(z*(1.0/9+float64(z*(1.0/11+float64(z*(1.0/13))))))))))
		l[j&7] += float64(both * (z + float64(float64(z*s)*float64((1+s)*tail))))
	}
}

// nearSquare is the greatest s² for which the series is used: what it leaves out is
// less than 2^-55 of a term.
const nearSquare = 1.0 / 256

// ln is the natural logarithm of a normal x > 0, within 4 units in the last place where its size
// is 0.1 at least. It is a multiple of ln 2 and twice the inverse hyperbolic tangent of (m-1)/(m+1), m from
// 0.7 to 1.42.
func ln(x float64) float64 {
	u := math.Float64bits(x)
	e := int64(u>>52) - 1023
	m := math.Float64frombits(u&(1<<52-1) | one)
	if m > math.Sqrt2 {
		m, e = m/2, e+1
	}
	s := (m - 1) / (m + 1)
	z := float64(s * s)
	sum := 0.0
	for n := 21.0; n > 1; n -= 2 {
		sum = float64(z * (1/n + sum))
	}
	return float64(float64(e)*math.Ln2) + float64(2*s*(1+sum))
}
