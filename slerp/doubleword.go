package slerp

import "math"

// A doubleWord is hi + lo, where |lo| is at most half a unit in the last place
// of hi: a number of about 106 bits. Below, u is 2^-53, and a bound of an error is
// relative to the result. The bounds hold if no operand is below 2^-900 but 0 and
// none near the end of float64. Conversions keep machines from fusing a
// product into a sum.
type doubleWord struct{ hi, lo float64 }

// exactSum is a + b.
func exactSum(a, b float64) doubleWord {
	s := a + b
	v := s - a
	return doubleWord{s, (a - (s - v)) + (b - v)}
}

// quickSum is a + b if |a| >= |b| or a is 0.
func quickSum(a, b float64) doubleWord {
	s := a + b
	return doubleWord{s, b - (s - a)}
}

// exactProduct is a * b.
func exactProduct(a, b float64) doubleWord {
	p := float64(a * b)
	return doubleWord{p, math.FMA(a, b, -p)}
}

func (a doubleWord) neg() doubleWord { return doubleWord{-a.hi, -a.lo} }

// times is a * b within 6u²: the product of the lower words, u², is left out, and
// the two sums of cross terms, of up to 2u and 3u, are rounded.
func (a doubleWord) times(b doubleWord) doubleWord {
	p := exactProduct(a.hi, b.hi)
	return quickSum(p.hi, math.FMA(a.hi, b.lo, math.FMA(a.lo, b.hi, p.lo)))
}

// plusSmall is a + b, where |b| is at most |a|/8, within 4u²: a sum of lower words
// of up to 1.2u and one of up to 2.3u are rounded.
func (a doubleWord) plusSmall(b doubleWord) doubleWord {
	s := quickSum(a.hi, b.hi)
	return quickSum(s.hi, s.lo+(a.lo+b.lo))
}

// minus is a - b. Its error is at most 6u² of |a| + |b|, not of the result.
func (a doubleWord) minus(b doubleWord) doubleWord {
	s := exactSum(a.hi, -b.hi)
	return exactSum(s.hi, s.lo+(a.lo-b.lo))
}

// over is a / b within 12u²: the remainder, of up to 3u of a, has two roundings,
// its quotient another, and its divisor lacks the lower word of b.
func (a doubleWord) over(b doubleWord) doubleWord {
	q := a.hi / b.hi
	rest := math.FMA(-q, b.hi, a.hi) // exact
	rest = math.FMA(-q, b.lo, rest+a.lo)
	return quickSum(q, rest/b.hi)
}

// sqrt is the square root of a > 0 within 5u²: the remainder, of up to 3u of a,
// has one rounding, its quotient another, and the step of Newton's method leaves
// out half the square of 1.5u.
func (a doubleWord) sqrt() doubleWord {
	r := math.Sqrt(a.hi)
	rest := math.FMA(-r, r, a.hi) // exact
	return quickSum(r, (rest+a.lo)/(2*r))
}

// round is the float64 nearest to every number within err of a; ok is false if
// there is no such float64. err must be at least 2^-104 of a, so that the
// roundings of lo ± err are a small part of it, and their share is in err.
func (a doubleWord) round(err float64) (y float64, ok bool) {
	y = a.hi + (a.lo - err)
	return y, y == a.hi+(a.lo+err)
}
