package slerp

import (
	"math"
	"math/big"
)

// Sine and arc cosine in integers (math/big), for what a doubleWord leaves
// undecided. A rounding could go wrong only if a true value lay within 2^-100 or
// so, relatively, of the middle between two floats.

const trigPrec = 200

// pi has enough digits for arguments up to 2^64.
var pi = computePi(2 * trigPrec)

// computePi is pi to that many bits, by Machin's formula:
// pi/4 = 4 arctan 1/5 - arctan 1/239.
func computePi(prec uint) *big.Float {
	one := new(big.Int).Lsh(big.NewInt(1), prec+64)
	arctan := func(n int64) *big.Int { // of 1/n, times one
		sum, power := new(big.Int), new(big.Int).Quo(one, big.NewInt(n))
		square := big.NewInt(-n * n)
		for k := int64(1); power.Sign() != 0; k += 2 {
			sum.Add(sum, new(big.Int).Quo(power, big.NewInt(k)))
			power.Quo(power, square)
		}
		return sum
	}
	quarter := arctan(5)
	quarter.Mul(quarter, big.NewInt(4)).Sub(quarter, arctan(239))
	f := new(big.Float).SetPrec(prec).SetInt(quarter)
	return f.SetMantExp(f, -int(prec+64)+2)
}

func real(x float64) *big.Float { return new(big.Float).SetPrec(trigPrec).SetFloat64(x) }

// slowSin is sin for a finite x.
func slowSin(x float64) float64 {
	y, _ := bigSin(real(x)).Float64()
	return y
}

// slowNearParent is nearParent.
func slowNearParent(t, theta float64) (s0, s1 float64) {
	whole := bigSin(real(theta))
	part := func(t *big.Float) float64 {
		if t.Sign() == 0 {
			return 0
		}
		x := bigSin(new(big.Float).SetPrec(2*trigPrec).Mul(t, real(theta)))
		y, _ := x.Quo(x, whole).Float64()
		return y
	}
	rest := new(big.Float).SetPrec(2048) // so that 1-t is exact
	rest.Sub(rest.SetInt64(1), real(t))
	return part(rest), part(real(t))
}

// slowAcos is acos for |x| < 1.
func slowAcos(x float64) float64 {
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

// A series is the memory of bigSin, whose steps use it again.
type series struct {
	turns, shifted, turn, whole, rest       big.Float
	x, square, sum, next, term, prod, count big.Float
	k                                       big.Int
}

func newSeries() *series {
	s := new(series)
	for _, f := range []*big.Float{&s.x, &s.square, &s.sum, &s.next, &s.term, &s.prod, &s.count} {
		f.SetPrec(trigPrec)
	}
	return s
}

var half, minusHalf = big.NewFloat(0.5), big.NewFloat(-0.5)

// bigSin sums the Taylor series of sin at x less its nearest multiple of pi.
func bigSin(x *big.Float) *big.Float {
	s := newSeries()
	pi := pi
	if e := x.MantExp(nil); e > 64 {
		pi = computePi(2*trigPrec + uint(e))
	}
	nearest := half
	if x.Sign() < 0 {
		nearest = minusHalf
	}
	prec := pi.Prec()
	s.turns.SetPrec(prec).Quo(x, pi)
	k, _ := s.shifted.SetPrec(prec).Add(&s.turns, nearest).Int(&s.k)
	s.turn.SetPrec(2 * prec).SetInt(k)
	s.whole.SetPrec(2*prec).Mul(&s.turn, pi)
	s.x.Set(s.rest.SetPrec(2*prec).Sub(x, &s.whole))
	if k.Bit(0) != 0 {
		s.x.Neg(&s.x)
	}
	// A result that is no operand keeps its memory.
	s.square.Mul(&s.x, &s.x)
	s.term.Set(&s.x)
	sum, next := s.sum.Set(&s.x), &s.next
	for n := 2.0; s.term.Sign() != 0 && s.term.MantExp(nil) > sum.MantExp(nil)-trigPrec; n += 2 {
		s.prod.Mul(&s.term, &s.square)
		s.term.Quo(&s.prod, s.count.SetFloat64(-n*(n+1)))
		next.Add(sum, &s.term)
		sum, next = next, sum
	}
	return real(0).Set(sum)
}
