package slerp

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"slerpmerge/internal/tensor"
)

// bigOf is the value of a Wide.
func bigOf(w Wide) *big.Float {
	x := new(big.Float).SetPrec(53).SetFloat64(w.frac)
	return x.SetMantExp(x, int(w.exp))
}

// TestWide holds the operations to floats of 53 bits with any exponent.
func TestWide(t *testing.T) {
	r := source(30)
	random := func() Wide {
		x := math.Float64frombits(r.Uint64())
		switch r.IntN(8) {
		case 0:
			return NewWide(0)
		case 1:
			return NewWide(math.Ldexp(float64(r.IntN(9)-4), r.IntN(2)*plainExp))
		}
		if !finite(x) {
			x = 1
		}
		return wide(x, r.IntN(5)*(r.IntN(2001)-1000))
	}
	near := func(w Wide) Wide { // of about the size, to cancel
		f, e := w.split()
		return wide(-f*(1+float64(r.IntN(5)-2)*0x1p-52), e+r.IntN(3)-1)
	}
	for range 100000 {
		w, v := random(), random()
		if r.IntN(2) == 0 {
			v = near(w)
		}
		x, y := bigOf(w), bigOf(v)
		for _, c := range []struct {
			name string
			got  Wide
			want *big.Float
		}{
			{"+", w.Plus(v), new(big.Float).Add(x, y)},
			{"*", w.Times(v), new(big.Float).Mul(x, y)},
			{"sqrt", w.Times(w).Sqrt(), new(big.Float).Sqrt(new(big.Float).Mul(x, x))},
		} {
			if bigOf(c.got).Cmp(c.want) != 0 {
				t.Fatalf("%v %s %v = %v, want %v", x, c.name, y, bigOf(c.got), c.want)
			}
			if f, e := c.got.split(); wide(f, e) != c.got {
				t.Fatalf("%v %s %v is not in its one form", x, c.name, y)
			}
		}
		if w.Less(v) != (x.Cmp(y) < 0) {
			t.Fatalf("%v < %v: %v", x, y, w.Less(v))
		}
		if want, _ := x.Float64(); w.exp == 0 && w.Float64() != want {
			t.Fatalf("%v is %v", x, w.Float64())
		}
		if y.Sign() != 0 {
			want, _ := new(big.Float).Quo(x, y).Float64()
			if got := w.Over(v); math.Abs(want) > 0x1p-1022 && got != want {
				t.Fatalf("%v / %v = %v, want %v", x, y, got, want)
			}
		}
	}
	inf, nan := NewWide(math.Inf(1)), NewWide(math.NaN())
	if inf.Finite() || nan.Finite() || inf.Plus(inf) != inf || inf.Plus(inf.Neg()).Finite() || inf.Times(NewWide(0)).Finite() || !math.IsInf(inf.Float64(), 1) {
		t.Error("infinities are not those of float64")
	}
}

// TestScale: F64 parents 2^k times as large or small have sums 2^2k times as
// large or small, the same angle and so the same coefficients, to the last bit,
// though squares or norms leave float64. Chunks make no difference.
func TestScale(t *testing.T) {
	r := source(31)
	const n = 3*strip + 5
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i], y[i] = r.NormFloat64(), r.NormFloat64()
	}
	at := func(ka, kb, chunk int) (Gram, Wide) {
		a, b := make([]float64, n), make([]float64, n)
		for i := range a {
			a[i], b[i] = math.Ldexp(x[i], ka), math.Ldexp(y[i], kb)
		}
		pa, pb := encoded(tensor.F64, a...), encoded(tensor.F64, b...)
		m, g := NewInnerProducts(tensor.F64, tensor.F64), NewDistance(tensor.F64, tensor.F64)
		for i := 0; i < n; i += chunk {
			j := min(n, i+chunk)
			m.Add(pa[8*i:8*j], pb[8*i:8*j])
			g.Add(pa[8*i:8*j], pb[8*i:8*j])
		}
		return m.Gram(), g.Squared()
	}
	plain, apart := at(0, 0, n)
	want := Interpolate(plain, 0.3)
	for _, k := range []int{479, 480, 600, 1000, 1020, -440, -481, -500} {
		for _, chunk := range []int{n, 8, 1000} {
			got, gauged := at(k, k, chunk)
			scaled := func(w Wide, k int) Wide { f, e := w.split(); return wide(f, e+k) }
			if got.AA != scaled(plain.AA, 2*k) || got.BB != scaled(plain.BB, 2*k) || got.AB != scaled(plain.AB, 2*k) {
				t.Fatalf("at 2^%d, chunks of %d: sums %v, want %v", k, chunk, got, plain)
			}
			if gauged != scaled(apart, 2*k) {
				t.Errorf("at 2^%d: distance %v, want %v", k, gauged, apart)
			}
			c := Interpolate(got, 0.3)
			if k > 0 && (c.S0 != want.S0 || c.S1 != want.S1 || c.Cos != want.Cos || c.NormA != math.Ldexp(want.NormA, k)) {
				t.Errorf("at 2^%d: %+v, want %+v", k, c, want)
			}
		}
	}
	// One parent huge, the other about 1.
	got, _ := at(1000, 0, n)
	if c := Interpolate(got, 0.3); c.S0 != want.S0 || c.S1 != want.S1 {
		t.Errorf("one parent at 2^1000: %+v, want %+v", c, want)
	}
}

// TestNormBeyondFloat64: the largest elements have a norm that no float64
// holds, and an angle all the same.
func TestNormBeyondFloat64(t *testing.T) {
	a, b := make([]float64, 8), make([]float64, 8)
	for i := range a {
		a[i], b[i] = math.MaxFloat64, math.Copysign(math.MaxFloat64, float64(i)-3.5)
	}
	m := NewInnerProducts(tensor.F64, tensor.F64)
	m.Add(encoded(tensor.F64, a...), encoded(tensor.F64, b...))
	c := Interpolate(m.Gram(), 0.5)
	if c.Cos != 0 || c.S0 != c.S1 || c.S0 != Interpolate(Gram{}, 0.5).S0 || !math.IsInf(c.NormA, 1) || !m.Gram().Finite() {
		t.Errorf("%+v", c)
	}
	g := NewDistance(tensor.F64, tensor.F64)
	g.Add(encoded(tensor.F64, a...), encoded(tensor.F64, b...))
	want := NewWide(math.MaxFloat64).Times(NewWide(4)) // 2 of them 4 times, squared and summed
	if got := g.Squared().Sqrt(); got != want {
		t.Errorf("distance %v, want %v", got, want)
	}
}

// TestNearParents: near t = 0 and 1 each coefficient is the exact one of the
// angle, rounded once. The reference sums the sine by its addition theorem.
func TestNearParents(t *testing.T) {
	r := rand.New(rand.NewPCG(32, 1))
	for range 200 {
		cos := 0.9995 * (2*r.Float64() - 1)
		for _, at := range []float64{1e-300, 1e-17, 0x1p-53, 1e-9, 9e-7, 1 - 0x1p-53, 1 - 1e-10, 1 + 0x1p-52, -1e-17} {
			c := Interpolate(sums(1, 1, cos), at)
			// sin((1-t)θ) = sin θ cos tθ - cos θ sin tθ; at t near 1 with 1-t
			// in its place. The small angle's sine and cosine are short series.
			small, mirrored := at, false
			if math.Abs(1-at) < 0.5 {
				small, mirrored = 1-at, true
			}
			num := func(x float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(x) }
			mul := func(x, y *big.Float) *big.Float { return num(0).Mul(x, y) }
			x := mul(num(small), num(c.Theta))
			xx := mul(x, x)
			sinx := num(0).Sub(x, num(0).Quo(mul(x, xx), num(6)))
			sinx.Add(sinx, num(0).Quo(mul(mul(x, xx), xx), num(120)))
			sinx.Sub(sinx, num(0).Quo(mul(mul(mul(x, xx), xx), xx), num(5040)))
			cosx := num(0).Sub(num(1), num(0).Quo(xx, num(2)))
			cosx.Add(cosx, num(0).Quo(mul(xx, xx), num(24)))
			cosx.Sub(cosx, num(0).Quo(mul(mul(xx, xx), xx), num(720)))
			sin := num(0).Set(bigSin(real(c.Theta)))
			cosTheta := num(0).Set(bigSin(real(0).Sub(real(0).Quo(pi, real(2)), real(c.Theta))))
			far, _ := num(0).Quo(sinx, sin).Float64()
			near, _ := num(0).Sub(cosx, num(0).Quo(mul(cosTheta, sinx), sin)).Float64()
			s0, s1 := near, far
			if mirrored {
				s0, s1 = far, near
			}
			if c.S0 != s0 || c.S1 != s1 {
				t.Errorf("t %v, cosine %v: %x, %x, want %x, %x", at, cos, c.S0, c.S1, s0, s1)
			}
		}
	}
}
