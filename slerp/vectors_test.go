package slerp

import (
	"math"
	"math/rand/v2"
	"testing"
)

// family is n vectors of d elements about one, each apart from it by spread of its length,
// and longer the later it comes.
func family(r *rand.Rand, n, d int, spread float64) [][]float64 {
	base := make([]float64, d)
	for k := range base {
		base[k] = r.NormFloat64()
	}
	x := make([][]float64, n)
	for i := range x {
		x[i] = make([]float64, d)
		for k := range x[i] {
			x[i][k] = (1 + 0.3*float64(i)) * (base[k] + spread*r.NormFloat64())
		}
	}
	return x
}

func times(s float64, x []float64) []float64 {
	y := make([]float64, len(x))
	for k := range x {
		y[k] = s * x[k]
	}
	return y
}

func plus(x, y []float64) []float64 {
	z := make([]float64, len(x))
	for k := range x {
		z[k] = x[k] + y[k]
	}
	return z
}

func inner(x, y []float64) float64 {
	sum := 0.0
	for k := range x {
		sum += x[k] * y[k]
	}
	return sum
}

func length(x []float64) float64 { return math.Sqrt(inner(x, x)) }

func combine(c []float64, x [][]float64) []float64 {
	y := make([]float64, len(x[0]))
	for i := range x {
		y = plus(y, times(c[i], x[i]))
	}
	return y
}

func among(x [][]float64) Inner {
	return func(i, j int) Wide { return NewWide(inner(x[i], x[j])) }
}

func gramOf(a, b []float64) Gram { return sums(inner(a, a), inner(b, b), inner(a, b)) }

// far is how far x is from want, as a share of its length.
func far(x, want []float64) float64 {
	return length(plus(x, times(-1, want))) / math.Max(length(want), 1e-300)
}

// huge are vectors whose products are beyond a float64, as those of x times 2^k.
func huge(x [][]float64, k int) Inner {
	s := NewWide(1)
	for range 2 {
		s = s.Times(NewWide(math.Ldexp(1, k)))
	}
	return func(i, j int) Wide { return NewWide(inner(x[i], x[j])).Times(s) }
}

func TestCos(t *testing.T) {
	for x := -7.0; x < 7; x += 0.01 {
		if got := cos(x); math.Abs(got-math.Cos(x)) > 0x1p-51 {
			t.Errorf("cos(%v) = %v, math says %v", x, got, math.Cos(x))
		}
	}
	for _, x := range []float64{0, 1e-8, -1e-8, 1e-300} {
		if cos(x) != 1 {
			t.Errorf("cos(%v) = %v", x, cos(x))
		}
	}
}

var nan = math.NaN()

func isNaN(w []float64) bool {
	for _, x := range w {
		if x == x {
			return false
		}
	}
	return len(w) > 0
}
