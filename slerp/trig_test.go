package slerp

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// wantTrig compares the results at x, t and theta with those of math/big.
func wantTrig(t *testing.T, x, at, theta float64) {
	t.Helper()
	if finite(x) {
		if got, want := sin(x), slowSin(x); got != want {
			t.Errorf("sin(%x) = %x, want %x", x, got, want)
		}
	}
	if math.Abs(x) < 1 {
		if got, want := acos(x), slowAcos(x); got != want {
			t.Errorf("acos(%x) = %x, want %x", x, got, want)
		}
	}
	if math.Abs(at) <= MaxT && theta > 0 && theta < math.Pi {
		s0, s1 := nearParent(at, theta)
		if w0, w1 := slowNearParent(at, theta); s0 != w0 || s1 != w1 {
			t.Errorf("nearParent(%x, %x) = %x, %x, want %x, %x", at, theta, s0, s1, w0, w1)
		}
	}
}

// TestTrigEqualsSeries compares the two ways at arguments of all kinds. With
// -elements 1e9 it tries five million.
func TestTrigEqualsSeries(t *testing.T) {
	r := source(40)
	near := func(x float64) float64 { // x, or up to some places beside it
		return math.Float64frombits(math.Float64bits(x) + uint64(r.IntN(33)-16))
	}
	for range max(2000, int(*tries/200)) {
		sign := float64(2*r.IntN(2) - 1)
		var x float64
		switch r.IntN(8) {
		case 0:
			x = sign * r.Float64()
		case 1:
			x = sign * near(1-math.Ldexp(r.Float64(), -r.IntN(53)))
		case 2:
			x = sign * math.Ldexp(1+r.Float64(), -r.IntN(1075))
		case 3:
			x = near(float64(r.IntN(12)) * math.Pi / 2)
		case 4:
			x = near(float64(r.IntN(1<<20)) * math.Pi / 2)
		case 5:
			x = sign * math.Ldexp(1+r.Float64(), r.IntN(24))
		case 6:
			x = sign * math.Ldexp(0.9+0.2*r.Float64(), -26)
		case 7:
			x = math.Float64frombits(r.Uint64())
		}
		at := sign * math.Ldexp(1+r.Float64(), -r.IntN(110))
		switch r.IntN(4) {
		case 0:
			at = near(1)
		case 1:
			at = 1 - at
		case 2:
			at = math.Ldexp(at, -r.IntN(1000))
		}
		wantTrig(t, x, at, 0.0316+3.078*r.Float64())
	}
	for _, x := range []float64{0, 1, 0x1p-1074, 0x1p-1022, 0x1p-26, 0x1p-27, 0.5, 1 - 0x1p-53, math.Pi, math.Pi / 2, math.Pi / 4, 3 * math.Pi / 4, farArgument, 0x1p64, 1e300} {
		for _, x := range []float64{x, -x, near(x)} {
			wantTrig(t, x, x, 1.5)
			wantTrig(t, x, x, math.Pi/2)
		}
	}
}

// middles calls f with arguments whose result is nearer to the middle between
// two floats than chance finds, most of them so near that a doubleWord does not
// decide.
func middles(r *rand.Rand, n int, f func(x, at, theta float64)) {
	for range n {
		odd := func(bits int) float64 { return float64(2*r.IntN(1<<r.IntN(bits)) + 1) }
		switch r.IntN(3) {
		case 0: // x - sin x, about x^3/6 - x^5/120, is an odd number of half places
			e := -24 + r.IntN(10)
			halves := math.Ldexp(math.Floor(math.Ldexp(1+r.Float64()*4, 2*e+53)/6)*2+1, e-53)
			x := math.Cbrt(6 * halves)
			f(math.Cbrt(6*halves+math.Pow(x, 5)/20), 0, 0)
		case 1: // arc cosine: pi/2 - x is odd half places from pi/2 as a float64
			f(halfPi2-(1-2*float64(r.IntN(2)))*odd(10)*0x1p-53, 0, 0)
		case 2: // 1 - t theta cot theta is odd half places from 1
			theta := 0.0316 + 1.4*r.Float64()
			f(0, odd(8)*0x1p-54/(theta/math.Tan(theta)), theta)
		}
	}
}

// TestTrigNearTheMiddle: the results are right where rounding is hardest, and
// math/big decides there as the tests of rounding say.
func TestTrigNearTheMiddle(t *testing.T) {
	decided, undecided := 0, 0
	count := func(_ float64, ok bool) {
		if ok {
			decided++
		} else {
			undecided++
		}
	}
	middles(source(41), max(1000, int(*tries/1000)), func(x, at, theta float64) {
		wantTrig(t, x, at, theta)
		switch {
		case math.Abs(x) > 0x1p-26:
			count(rounded(sine(doubleWord{x, 0})))
		case x != 0:
			count(rounded(arcCosine(x)))
		}
	})
	t.Logf("%d decided, %d undecided", decided, undecided)
	if decided == 0 || undecided < decided/4 {
		t.Errorf("%d decided, %d undecided: the arguments are not hard", decided, undecided)
	}
}

// TestTrigIsDecided: arguments that are not sought for are decided without
// math/big.
func TestTrigIsDecided(t *testing.T) {
	r := source(42)
	undecided := 0
	n := max(100000, int(*tries/20))
	for range n {
		_, ok0 := rounded(sine(doubleWord{4 * r.Float64(), 0}))
		_, ok1 := rounded(arcCosine(2*r.Float64() - 1))
		if !ok0 || !ok1 {
			undecided++
		}
	}
	if undecided > 0 {
		t.Errorf("%d of %d are undecided", undecided, n)
	}
}

// TestTrigBounds holds the errors to the bounds that their functions state, which
// leave room: the largest errors are a tenth of them.
func TestTrigBounds(t *testing.T) {
	exact := func(x doubleWord) *big.Float {
		y := new(big.Float).SetPrec(2 * trigPrec).SetFloat64(x.hi)
		return y.Add(y, new(big.Float).SetFloat64(x.lo))
	}
	part := func(y doubleWord, err float64, want *big.Float) float64 {
		d := exact(y)
		f, _ := d.Sub(d, want).Float64()
		return math.Abs(f) / err
	}
	r := source(43)
	var worstSin, worstAcos float64
	for range max(5000, int(*tries/400)) {
		x := exactSum(math.Ldexp(1+r.Float64(), r.IntN(8)-4), math.Ldexp(r.Float64(), -60))
		switch r.IntN(4) {
		case 0:
			x = exactSum(math.Pi/2*float64(1+r.IntN(9)), (r.Float64()-0.5)*math.Ldexp(1, -r.IntN(50)))
		case 1:
			x = exactSum(-float64(r.IntN(1<<20)), r.Float64())
		}
		y, err := sine(x)
		worstSin = max(worstSin, part(y, err, bigSin(exact(x))))
		// Of arc cosine: its sine and cosine are those of x.
		c := 2*r.Float64() - 1
		if r.IntN(2) == 0 {
			c = math.Copysign(1-math.Ldexp(1+r.Float64(), -r.IntN(50)-2), c)
		}
		y, err = arcCosine(c)
		shift := real(0).Quo(pi, real(2))
		d := bigSin(new(big.Float).SetPrec(2*trigPrec).Sub(shift, exact(y))) // cos y - x is about (theta - y) sin theta
		f, _ := d.Sub(d, real(c)).Float64()
		worstAcos = max(worstAcos, math.Abs(f)/math.Sqrt((1-c)*(1+c))/err)
	}
	t.Logf("errors of up to %.3f (sine) and %.3f (arc cosine) of the bounds", worstSin, worstAcos)
	if !(worstSin < 0.5 && worstAcos < 0.5) {
		t.Errorf("errors of up to %v (sine) and %v (arc cosine) of the bounds", worstSin, worstAcos)
	}
}

// TestTrigConstants computes them anew.
func TestTrigConstants(t *testing.T) {
	sum := func(words ...float64) *big.Float {
		s := new(big.Float).SetPrec(400)
		for _, x := range words {
			s.Add(s, new(big.Float).SetFloat64(x))
		}
		return s
	}
	near := func(what string, n int, got, want *big.Float, places int) {
		if d := new(big.Float).Sub(got, want); d.Sign() != 0 && d.MantExp(nil) > want.MantExp(nil)-places {
			t.Errorf("%s %d: %g, want %g", what, n, got, want)
		}
	}
	near("pi/2", 0, sum(halfPi1, halfPi2, halfPi3), new(big.Float).Quo(pi, sum(2)), 160)
	term := func(n int) *big.Float { // of 1/n!, signed
		f := sum(1)
		for k := 2; k <= n; k++ {
			f.Quo(f, sum(float64(k)))
		}
		if n%4 >= 2 {
			f.Neg(f)
		}
		return f
	}
	for k, c := range sineTerms {
		near("sine", k, sum(c.hi, c.lo), term(2*k+3), 106)
	}
	for k, c := range sineTail {
		near("sine's tail", k, sum(c), term(2*(len(sineTerms)+k)+3), 53)
	}
	for k, c := range cosineTerms {
		near("cosine", k, sum(c.hi, c.lo), term(2*k+2), 106)
	}
	for k, c := range cosineTail {
		near("cosine's tail", k, sum(c), term(2*(len(cosineTerms)+k)+2), 53)
	}
}

func FuzzTrig(f *testing.F) {
	for _, s := range [][3]float64{{0.5, 1e-9, 1}, {1 - 0x1p-53, 1 + 0x1p-52, 3}, {math.Pi, 0, 0.04}, {0x1p-1074, 0x1p-1000, 1}, {1e22, 1, 2}} {
		f.Add(s[0], s[1], s[2])
	}
	middles(source(44), 30, func(x, at, theta float64) { f.Add(x, at, theta) })
	f.Fuzz(func(t *testing.T, x, at, theta float64) { wantTrig(t, x, at, theta) })
}
