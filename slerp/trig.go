package slerp

import (
	"math"
	"math/big"
)

// Sine and arc cosine, correctly rounded to float64. They run in integers
// (math/big), a few times per tensor, so that every machine gets the same
// bits. A rounding could go wrong only if a true value lay within 2^-100 or so,
// relatively, of the middle between two floats.

const trigPrec = 200

// 120 digits of pi, OEIS A000796: enough to reduce arguments up to 2^64.
var pi, _ = new(big.Float).SetPrec(2 * trigPrec).SetString("3.1415926535897932384626433832795028841971693993751058" +
	"20974944592307816406286208998628034825342117067982148086513282306647")

func real(x float64) *big.Float { return new(big.Float).SetPrec(trigPrec).SetFloat64(x) }

// sin is the sine of x radians, NaN for an x that is not finite. Beyond 2^64 it
// falls back to math.Sin.
func sin(x float64) float64 {
	if !finite(x) {
		return math.NaN()
	}
	if math.Abs(x) > 1<<64 {
		return math.Sin(x)
	}
	if x == 0 {
		return x
	}
	y, _ := bigSin(real(x)).Float64()
	return y
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
	// Newton's method on cos θ = x. The start has 26 good bits at least (fewest
	// near the ends), and with its slope held in float64 each step adds 50.
	theta := real(math.Acos(x))
	slope := real(math.Sqrt((1 - x) * (1 + x)))
	halfPi := real(0).Quo(pi, real(2))
	for range 4 {
		step := bigSin(real(0).Sub(halfPi, theta))
		step.Sub(step, real(x))
		theta.Add(theta, step.Quo(step, slope))
	}
	y, _ := theta.Float64()
	return y
}

// bigSin sums the Taylor series of sin at x less its nearest multiple of pi.
func bigSin(x *big.Float) *big.Float {
	turns, _ := real(0).Quo(x, pi).Float64()
	k := math.RoundToEven(turns)
	turn := new(big.Float).SetPrec(2*trigPrec).Mul(real(k), pi)
	x = real(0).Sub(x, turn)
	if math.Mod(k, 2) != 0 {
		x.Neg(x)
	}
	square := real(0).Mul(x, x)
	sum, term := real(0).Set(x), real(0).Set(x)
	for n := 2.0; term.Sign() != 0 && term.MantExp(nil) > sum.MantExp(nil)-trigPrec; n += 2 {
		term.Mul(term, square)
		term.Quo(term, real(-n*(n+1)))
		sum.Add(sum, term)
	}
	return sum
}
