package slerp

import "math"

// Sine and arc cosine, correctly rounded to float64, so that every machine gets
// the same bits. They are computed as a doubleWord with a bound of its error. Where
// all numbers within that bound round to one float64, this is the result. That
// fails for fewer than one argument in 2^40, and for those that are far out;
// math/big decides these (series.go).

// sin is the sine of x radians, NaN for an x that is not finite.
func sin(x float64) float64 {
	switch {
	case !finite(x):
		return math.NaN()
	case math.Abs(x) < 0x1p-26:
		return x // x^3/6 is less than half a unit in the last place, also below a power of 2
	}
	if y, ok := rounded(sine(doubleWord{x, 0})); ok {
		return y
	}
	return slowSin(x)
}

// acos is the arc cosine of x in radians, 0 to pi; NaN outside [-1, 1].
func acos(x float64) float64 {
	switch {
	case !(math.Abs(x) <= 1):
		return math.NaN()
	case x == 1:
		return 0
	case x == -1:
		return math.Pi
	}
	if y, ok := rounded(arcCosine(x)); ok {
		return y
	}
	return slowAcos(x)
}

// nearParent is the coefficients at a t near 0 or 1, with one rounding each of
// what the angle theta gives.
func nearParent(t, theta float64) (s0, s1 float64) {
	if size := math.Abs(t); size >= 0x1p-900 || t == 0 {
		whole, err := sine(doubleWord{theta, 0})
		part := func(t doubleWord) (float64, bool) {
			if t.hi == 0 {
				return 0, true
			}
			x := t.times(doubleWord{theta, 0})
			s, e := sine(x)
			e += float64(math.Abs(x.hi) * 0x1p-103) // of x
			y := s.over(whole)
			return y.round(math.Abs(y.hi) * (e/math.Abs(s.hi) + err/math.Abs(whole.hi) + 0x1p-101))
		}
		s0, ok0 := part(exactSum(1, -t))
		s1, ok1 := part(doubleWord{t, 0})
		if ok0 && ok1 {
			return s0, s1
		}
	}
	return slowNearParent(t, theta)
}

func rounded(y doubleWord, err float64) (float64, bool) { return y.round(err) }

// arcCosine is the arc cosine of x, |x| < 1, and a bound of its error: 2^-98 of it,
// or an infinity.
//
// Of an angle near theta the sine of the difference is found: it is
// sin theta cos angle - cos theta sin angle, where cos theta is x. The first
// angle is only a guess, and it is checked that it was good enough: the difference
// is less than 2^-40 of it, so that it equals its sine within 2^-117 of it.
//
// The sine of theta is within 8u², the products within 46u², which are at most
// theta each, and their difference within 12u² more: 104u² are less than 2^-99.
// The error of a difference in reduce is far below that.
func arcCosine(x float64) (theta doubleWord, err float64) {
	cos := doubleWord{x, 0}
	sin := exactSum(1, -x).times(exactSum(1, x)).sqrt()
	angle := math.Atan2(sin.hi, x)
	r, k, _ := doubleWord{angle, 0}.reduce()
	s, c := r.smallSine(), r.smallCosine()
	if k&1 != 0 {
		s, c = c, s.neg()
	}
	if k&2 != 0 {
		s, c = s.neg(), c.neg()
	}
	d := sin.times(c).minus(s.times(cos))
	theta = exactSum(angle, d.hi)
	theta = quickSum(theta.hi, theta.lo+d.lo)
	if math.Abs(d.hi) <= angle*0x1p-40 && sin.hi*s.hi+x*c.hi > 0.5 { // the cosine of the difference
		return theta, theta.hi * 0x1p-98
	}
	return theta, math.Inf(1)
}

// farArgument bounds the arguments of reduce.
const farArgument = 0x1p20

// sine is the sine of x, and a bound of its error: an infinity if |x| is not below
// farArgument.
func sine(x doubleWord) (y doubleWord, err float64) {
	if !(math.Abs(x.hi) < farArgument) {
		return x, math.Inf(1)
	}
	r, k, err := x.reduce()
	if k&1 == 0 {
		y = r.smallSine()
	} else {
		y = r.smallCosine()
	}
	if k&2 != 0 {
		y = y.neg()
	}
	return y, float64(math.Abs(y.hi)*0x1p-101) + err
}

// Half of pi is the sum of these words within 2^-161.
const (
	halfPi1 = 0x1.921fb54442d18p+0
	halfPi2 = 0x1.1a62633145c07p-54
	halfPi3 = math.Pi/2 - halfPi1 - halfPi2
)

// reduce is x less k halves of pi, from -pi/4 to pi/4 with an excess of up to
// 2^-30, for |x| < farArgument. The error is at most 16u² of r, by the five sums
// that end it, and err, by what is left when the rest cancels.
func (x doubleWord) reduce() (r doubleWord, k int, err float64) {
	n := math.RoundToEven(x.hi * (2 / math.Pi))
	if n == 0 {
		return x, 0, 0
	}
	a, b := exactProduct(n, halfPi1), exactProduct(n, halfPi2)
	high, low := exactSum(x.hi, -a.hi), exactSum(x.lo, -a.lo)
	both := exactSum(high.hi, low.hi)
	all := exactSum(both.hi, -b.hi)
	rest := all.lo + both.lo + high.lo + low.lo - b.lo - float64(n*halfPi3)
	return exactSum(all.hi, rest), int(n), math.Abs(n) * 0x1p-152
}

// The terms of the Taylor series, from 1/3! and 1/2! on: those that need two
// words, and the others.
var (
	sineTerms = [...]doubleWord{
		{-0x1.5555555555555p-3, 0x1.5555555555555p-3 - 1.0/6},
		{0x1.1111111111111p-7, 1.0/120 - 0x1.1111111111111p-7},
		{-0x1.a01a01a01a01ap-13, 0x1.a01a01a01a01ap-13 - 1.0/5040},
		{0x1.71de3a556c734p-19, 1.0/362880 - 0x1.71de3a556c734p-19},
		{-0x1.ae64567f544e4p-26, 0x1.ae64567f544e4p-26 - 1.0/39916800},
		{0x1.6124613a86d09p-33, 1.0/6227020800 - 0x1.6124613a86d09p-33},
		{-0x1.ae7f3e733b81fp-41, 0x1.ae7f3e733b81fp-41 - 1.0/1307674368000},
	}
	sineTail    = [...]float64{1.0 / 355687428096000, -1.0 / 121645100408832000, 1.0 / 51090942171709440000, -1.0 / 25852016738884976640000, 1.0 / 15511210043330985984000000, -1.0 / 10888869450418352160768000000}
	cosineTerms = [...]doubleWord{
		{-0x1.0000000000000p-1, 0x1.0000000000000p-1 - 1.0/2},
		{0x1.5555555555555p-5, 1.0/24 - 0x1.5555555555555p-5},
		{-0x1.6c16c16c16c17p-10, 0x1.6c16c16c16c17p-10 - 1.0/720},
		{0x1.a01a01a01a01ap-16, 1.0/40320 - 0x1.a01a01a01a01ap-16},
		{-0x1.27e4fb7789f5cp-22, 0x1.27e4fb7789f5cp-22 - 1.0/3628800},
		{0x1.1eed8eff8d898p-29, 1.0/479001600 - 0x1.1eed8eff8d898p-29},
		{-0x1.93974a8c07c9dp-37, 0x1.93974a8c07c9dp-37 - 1.0/87178291200},
		{0x1.ae7f3e733b81fp-45, 1.0/20922789888000 - 0x1.ae7f3e733b81fp-45},
	}
	cosineTail = [...]float64{-1.0 / 6402373705728000, 1.0 / 2432902008176640000, -1.0 / 1124000727777607680000, 1.0 / 620448401733239439360000, -1.0 / 403291461126605635584000000}
)

// smallSine is the sine of r as reduce gives it, within 9u². A step of series is
// within 7u², as its term is at most 1/19 of the one before, and the square adds
// 12u²: to a tenth of r at most. What is left out, and the tail in one word, are less than
// 2u² together.
func (r doubleWord) smallSine() doubleWord {
	return r.plusSmall(r.times(r.series(sineTerms[:], sineTail[:])))
}

// smallCosine is the cosine of r as reduce gives it, within 12u². The series adds 19u²
// of 0.31 at most, and the last sum, of two words and one, is within 2u².
func (r doubleWord) smallCosine() doubleWord {
	q := r.series(cosineTerms[:], cosineTail[:])
	s := quickSum(1, q.hi)
	return quickSum(s.hi, s.lo+q.lo)
}

// series is the sum of terms, times the powers of the square of r, from the first
// on.
func (r doubleWord) series(terms []doubleWord, tail []float64) doubleWord {
	z := r.times(r)
	small := 0.0
	for i := len(tail) - 1; i >= 0; i-- {
		small = math.FMA(z.hi, small, tail[i])
	}
	sum := doubleWord{small, 0}
	for i := len(terms) - 1; i >= 0; i-- {
		sum = terms[i].plusSmall(z.times(sum))
	}
	return z.times(sum)
}
