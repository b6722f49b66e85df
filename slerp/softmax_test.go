package slerp

import (
	"math"
	"math/big"
	"testing"

	"slerpmerge/internal/tensor"
)

// bigExp is e^x to 150 bits, by the series at x/2^20.
func bigExp(x float64) *big.Float {
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(220).SetFloat64(x) }
	small := num(math.Ldexp(x, -20))
	sum, term := num(1), num(1)
	for n := 1.0; n < 25; n++ {
		term.Mul(term, small)
		term.Quo(term, num(n))
		sum.Add(sum, term)
	}
	for range 20 {
		sum.Mul(sum, sum)
	}
	return sum
}

func exp(x float64) float64 {
	v := []float64{x}
	exponentials(v, 0)
	return v[0]
}

func TestExp(t *testing.T) {
	r := source(150)
	worst := 0.0
	for i := range 4000 {
		x := -r.Float64() * []float64{0.01, 1, 30, 700}[i%4]
		if i%5 == 0 {
			x = -x
		}
		want := bigExp(x)
		f, _ := want.Float64()
		ulp := math.Nextafter(f, math.Inf(1)) - f
		d, _ := new(big.Float).Sub(want, new(big.Float).SetFloat64(exp(x))).Float64()
		worst = max(worst, math.Abs(d)/ulp)
	}
	if worst > 1.4 {
		t.Errorf("off by %v units in the last place", worst)
	}
	for _, c := range []struct{ x, want float64 }{{0, 1}, {-700, 0x1.14f2b0fb9307fp-1010}, {-1e300, 0x1.14f2b0fb9307fp-1010}, {-1, 0x1.78b56362cef38p-02}, {-1e-300, 1}} {
		if got := exp(c.x); math.Abs(got-c.want) > c.want*0x1p-52 {
			t.Errorf("exp(%v) = %x, want %x", c.x, got, c.want)
		}
	}
}

func TestLn(t *testing.T) {
	r := source(151)
	for range 20000 {
		x := math.Exp(r.NormFloat64() * 5)
		if got, want := ln(x), math.Log(x); math.Abs(want) > 0.1 && math.Abs(got-want) > math.Abs(want)*0x1p-50 {
			t.Errorf("ln(%v) = %v, want %v", x, got, want)
		}
	}
}

// The bits of sums over many arguments, so that every machine is held to the same.
func TestSoftmaxBits(t *testing.T) {
	const n = 4096
	u, v := make([]float64, n), make([]float64, n)
	for i := range n {
		u[i], v[i] = float64(i*i%977)/97, float64(i*i*i%1009)/83
		if i%3 > 0 {
			v[i] = u[i] + float64(i%7-3)/1000
		}
	}
	var lu, lv, l [8]float64
	exponentials(u, 11)
	addLanes(&lu, u)
	exponentials(v, 13)
	addLanes(&lv, v)
	divergence(&l, u, v, fold(&lu), fold(&lv))
	if a, b, c := fold(&lu), fold(&lv), fold(&l); a != 0x1.51fb6194f7ea4p+07 || b != 0x1.01507d84d7a6ap+06 || c != 0x1.04ad1ec3741dp+01 {
		t.Errorf("%x, %x, %x", a, b, c)
	}
}

// The divergence is precise also where the rows are nearly equal.
func TestDivergence(t *testing.T) {
	r := source(152)
	for _, spread := range []float64{0, 1e-12, 1e-9, 1e-6, 1e-3, 0.05, 0.3, 5} {
		for _, n := range []int{1, 2, 7, 64, 1000} {
			u, v := make([]float64, n), make([]float64, n)
			var p, q []*big.Float
			num := func(x float64) *big.Float { return new(big.Float).SetPrec(220).SetFloat64(x) }
			sp, sq := num(0), num(0)
			top, topV := math.Inf(-1), math.Inf(-1)
			for i := range n {
				u[i] = r.NormFloat64()
				v[i] = u[i] + spread*r.NormFloat64()
				p, q = append(p, bigExp(u[i])), append(q, bigExp(v[i]))
				sp.Add(sp, p[i])
				sq.Add(sq, q[i])
				top, topV = max(top, u[i]), max(topV, v[i])
			}
			want := num(0)
			for i := range n {
				p[i].Quo(p[i], sp).Add(p[i], num(probable))
				q[i].Quo(q[i], sq).Add(q[i], num(probable))
				// ln(P/Q) as twice the series of (P-Q)/(P+Q), or of the square root of P/Q
				// over and over.
				ratio, double := num(0).Quo(p[i], q[i]), 2.0
				for range 10 {
					ratio.Sqrt(ratio)
					double *= 2
				}
				s := num(0).Quo(num(0).Sub(ratio, num(1)), num(0).Add(ratio, num(1)))
				square, term, log := num(0).Mul(s, s), num(0).Set(s), num(0)
				for k := 1.0; k < 40; k += 2 {
					log.Add(log, num(0).Quo(term, num(k)))
					term.Mul(term, square)
				}
				log.Mul(log, num(double))
				want.Add(want, log.Mul(log, p[i]))
			}
			var lu, lv, l [8]float64
			exponentials(u, top)
			addLanes(&lu, u)
			exponentials(v, topV)
			addLanes(&lv, v)
			divergence(&l, u, v, fold(&lu), fold(&lv))
			got, exact := fold(&l), 0.0
			exact, _ = want.Float64()
			if math.Abs(got-exact) > exact*1e-12+math.Sqrt(exact)*1e-15+1e-30 {
				t.Errorf("%d elements, spread %v: %v, want %v", n, spread, got, exact)
			}
		}
	}
}

func BenchmarkSoftmax(b *testing.B) {
	r := source(153)
	x, y, u, v := make([]float64, 4096), make([]float64, 4096), make([]float64, 4096), make([]float64, 4096)
	for i := range x {
		x[i] = r.NormFloat64() * 0.02
		y[i] = x[i] + r.NormFloat64()*0.001
	}
	b.SetBytes(4096)
	for b.Loop() {
		copy(u, x)
		copy(v, y)
		var lu, lv, l [8]float64
		exponentials(u, 0.1)
		addLanes(&lu, u)
		exponentials(v, 0.1)
		addLanes(&lv, v)
		divergence(&l, u, v, fold(&lu), fold(&lv))
	}
}

// The table for BF16 has the bits of the exponentials, for all codes.
func TestBrainExponentials(t *testing.T) {
	fill := exponentsOf(tensor.BF16)
	var a, b []float64
	for c := range uint64(1 << 16) {
		if x := value(tensor.BF16, c); x <= 600 && !math.IsInf(x, 0) {
			a, b = append(a, x), append(b, x)
		}
	}
	exponentials(a, 0)
	fill(b, 0)
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("exponential %d is %x, want %x", i, b[i], a[i])
		}
	}
	v := []float64{1000, 1}
	if fill(v, 1000); v[0] != 1 || v[1] != math.Exp(-700) && v[1] > 1e-300 {
		t.Errorf("of 1000 and 1: %v", v)
	}
}

func TestHighest(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want float64
	}{{[]float64{1, 3, 2}, 3}, {[]float64{-1, -3}, -1}, {[]float64{0, -3}, 0}, {[]float64{-5}, -5}, {[]float64{1, math.NaN()}, math.NaN()},
		{[]float64{1, math.Inf(-1)}, math.NaN()}, {[]float64{math.Inf(1), 2}, math.NaN()}, {[]float64{-math.MaxFloat64, math.MaxFloat64}, math.MaxFloat64}} {
		if got := highest(c.v); got != c.want && !(got != got && c.want != c.want) {
			t.Errorf("%v: %v", c.v, got)
		}
	}
	for _, c := range [][2]float64{{600, 0}, {-600, 0}, {601, 601}, {-601, -601}, {0, 0}} {
		if got := shift(c[0]); got != c[1] {
			t.Errorf("shift(%v) = %v", c[0], got)
		}
	}
}
