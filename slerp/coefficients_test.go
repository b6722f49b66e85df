package slerp

import (
	"math"
	"math/big"
	"testing"
)

// TestPinnedBits holds every machine to the same coefficients. The wanted bits
// are not this package's output: they come from a Python program with 130
// decimal digits (arctan and sine series after halving and thirding the
// argument) that rounds acos, (1-t)θ, tθ, the sines and the quotients to float64 one by
// one, as the package comment promises.
func TestPinnedBits(t *testing.T) {
	for _, c := range []struct {
		aa, bb, ab, t float64
		theta, s0, s1 float64
	}{
		{4, 9, 3, 0.5, 0x1.0c152382d7366p+0, 0x1.279a74590331cp-1, 0x1.279a74590331cp-1},
		{1, 1, 0.8, 0.3, 0x1.4978fa3269ee0p-1, 0x1.738454d560190p-1, 0x1.476e0d487777cp-2},
		{2, 3, -1, 0.25, 0x1.fdc7d8a52696dp+0, 0x1.1798b8865d4fdp+0, 0x1.0bd3b544814f1p-1},
		{1, 1, 0.999, 0.5, 0x1.6e634e566a29ep-5, 0x1.001063e0a520ap-1, 0x1.001063e0a520ap-1},
		{1, 1, -0.999, 0.1, 0x1.8c66280ae928ep+1, 0x1.f0c407a677148p+2, 0x1.b43f1c6647c78p+2},
		{5, 7, 0, 0.7, 0x1.921fb54442d18p+0, 0x1.d0e2e2b44de01p-2, 0x1.c83201d3d2c6cp-1},
		{1e6, 0.002, 12.5, 0.9, 0x1.499a8730b6515p+0, 0x1.11dedf5b2e05fp-3, 0x1.e89ff7e045668p-1},
		{3, 3, 1, -0.5, 0x1.3b2028082e8d4p+0, 0x1.0547666079ba7p+0, -0x1.3988e1409212fp-1},
		{3, 3, 1, 1.5, 0x1.3b2028082e8d4p+0, -0x1.3988e1409212fp-1, 0x1.0547666079ba7p+0},
		{1, 1, 0.9995, 0.35, 0x1.031088621c93ep-5, 0x1.4cd5006cbb3acp-1, 0x1.6673d2337b867p-2},
	} {
		got := Interpolate(sums(c.aa, c.bb, c.ab), c.t)
		if got.Branch != Spherical || got.Theta != c.theta || got.S0 != c.s0 || got.S1 != c.s1 {
			t.Errorf("%v: got %v, θ %x, s0 %x, s1 %x", c, got.Branch, got.Theta, got.S0, got.S1)
		}
	}
}

// TestHalfWay checks coefficients without any series: at t = 1/2 both are
// 1/sqrt(2+2d), at t = 1/4 the half-angle formulas give them. Two ulp is what
// the roundings of θ, of its part, of two sines and of the quotient can sum to
// where θ, here up to 2.2, does not amplify them.
func TestHalfWay(t *testing.T) {
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(x) }
	sqrt := func(x *big.Float) *big.Float { return num(0).Sqrt(x) }
	near := func(what string, d, got float64, want *big.Float) {
		t.Helper()
		w, _ := want.Float64()
		if math.Abs(got-w) > 2*(math.Nextafter(w, 9)-w) {
			t.Errorf("%s at cosine %v: %x, want about %x", what, d, got, w)
		}
	}
	for d := -0.6; d < 0.9995; d += 0.0137 {
		half := Interpolate(sums(1, 1, d), 0.5)
		near("s0(1/2)", d, half.S0, num(0).Quo(num(1), sqrt(num(0).Add(num(2), num(2*d)))))
		if half.S0 != half.S1 {
			t.Errorf("at cosine %v: s0 %x and s1 %x differ half way", d, half.S0, half.S1)
		}
		// c2 = cos θ/2, c4 = cos θ/4, s4 = sin θ/4; sin θ = 4 s4 c4 c2 and
		// sin 3φ = s4 (4 c4² - 1) with φ = θ/4.
		c2 := sqrt(num(0).Quo(num(0).Add(num(1), num(d)), num(2)))
		c4 := sqrt(num(0).Quo(num(0).Add(num(1), c2), num(2)))
		whole := num(0).Mul(num(0).Mul(num(4), c4), c2) // sin θ / s4
		s0 := num(0).Sub(num(0).Mul(num(4), num(0).Mul(c4, c4)), num(1))
		quarter := Interpolate(sums(1, 1, d), 0.25)
		near("s0(1/4)", d, quarter.S0, num(0).Quo(s0, whole))
		near("s1(1/4)", d, quarter.S1, num(0).Quo(num(1), whole))
	}
}

// TestTrig compares with package math, whose doc claims errors below one ulp,
// here taken as two.
func TestTrig(t *testing.T) {
	near := func(got, want float64) bool {
		return math.Abs(got-want) <= 2*math.Abs(math.Nextafter(want, math.Inf(1))-want)
	}
	r := source(1)
	for range 2000 {
		x := 2*r.Float64() - 1
		if got := acos(x); math.Abs(got-math.Acos(x)) > 0x1p-50 {
			t.Errorf("acos(%v) = %x, math says %x", x, got, math.Acos(x))
		}
		x = (2*r.Float64() - 1) * 40
		if got := sin(x); !near(got, math.Sin(x)) {
			t.Errorf("sin(%v) = %x, math says %x", x, got, math.Sin(x))
		}
	}
	// The end points exactly; beside them Newton's start is at its worst.
	// acos(1-x) = sqrt(2x)(1 + x/12 + ...).
	for _, c := range []struct{ x, want float64 }{
		{1, 0}, {-1, math.Pi}, {0, math.Pi / 2},
		{1 - 0x1p-53, 0x1p-26}, {1 - 0x1p-51, 0x1p-25}, {-1 + 0x1p-53, math.Pi - 0x1p-26},
		// acos x = pi/2 - x but for x cubed.
		{0x1p-30, math.Pi/2 - 0x1p-30},
	} {
		if got := acos(c.x); got != c.want {
			t.Errorf("acos(%x) = %x, want %x", c.x, got, c.want)
		}
	}
	// By the Python program of TestPinnedBits. Here math.Acos is good to half its
	// bits only.
	for _, c := range [][2]float64{
		{0x1.ffffffffffffbp-1, 0x1.1e3779b97f4a8p-25},
		{0x1.fffffffffffb3p-1, 0x1.18cc821d6d3e6p-23},
		{0x1.fffffffffcfc7p-1, 0x1.bc6ea61ac3743p-20},
		{0x1.ffffffaa19c47p-1, 0x1.28950343cef55p-13},
		{0x1.fff2e48e8a71ep-1, 0x1.cf69d216bd74bp-7},
		{-0x1.ffffffffffff9p-1, 0x1.921fb4ef98d2ep+1},
		{-0x1.fffeb074a771dp-1, 0x1.918d2a3d6c3dfp+1},
	} {
		if got := acos(c[0]); got != c[1] {
			t.Errorf("acos(%x) = %x, want %x", c[0], got, c[1])
		}
	}
	// sin x = x to the last bit for small x, and the double nearest pi is off
	// by 1.2246467991473532e-16 (the next digits of pi).
	for _, c := range [][2]float64{{0x1p-40, 0x1p-40}, {math.Pi, 1.2246467991473532e-16}, {-0x1p-1074, -0x1p-1074}} {
		if got := sin(c[0]); got != c[1] {
			t.Errorf("sin(%x) = %x, want %x", c[0], got, c[1])
		}
	}
	if z := sin(math.Copysign(0, -1)); z != 0 || !math.Signbit(z) {
		t.Errorf("sin(-0) = %v", z)
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if got := sin(x); got == got {
			t.Errorf("sin(%v) = %v", x, got)
		}
	}
	// By mpmath with 1200 bits.
	for _, c := range [][2]float64{{0x1p64, 0x1.82a353118793dp-6}, {1e22, -0x1.b453ab76bf397p-1}, {1e300, -0x1.a2c16b010e385p-1}, {math.MaxFloat64, 0x1.452fc98b34e97p-8}} {
		if got := sin(c[0]); got != c[1] {
			t.Errorf("sin(%v) = %x, want %x", c[0], got, c[1])
		}
		if got := sin(-c[0]); got != -c[1] {
			t.Errorf("sin(%v) = %x, want %x", -c[0], got, -c[1])
		}
	}
}

func TestBranches(t *testing.T) {
	const limit = 0.9995
	above, below := math.Nextafter(limit, 2), limit
	for _, c := range []struct {
		name string
		s    Gram
		want Branch
		cos  float64
	}{
		{"at the threshold", sums(1, 1, below), Spherical, below},
		{"beyond it", sums(1, 1, above), Linear, above},
		{"at the threshold, opposed", sums(1, 1, -below), Spherical, -below},
		{"beyond it, opposed", sums(1, 1, -above), Linear, -above},
		{"equal", sums(4, 4, 4), Linear, 1},
		{"antiparallel", sums(4, 9, -6), Linear, -1},
		{"clamped", sums(1, 1, 1.25), Linear, 1},
		{"clamped below", sums(1, 1, -1.25), Linear, -1},
		{"a zero", sums(0, 9, 0), Spherical, 0},
		{"both zero", sums(0, 0, 0), Spherical, 0},
		// A norm of exactly 1e-8 counts as 1; the next one up does not.
		{"norm at the floor", sums(1e-16, 1, 1e-8), Spherical, 1e-8},
		{"norm above the floor", sums(1.0001e-16, 1, 1e-8), Linear, 1e-8 / math.Sqrt(1.0001e-16)},
		{"other norm at the floor", sums(1, 1e-16, -1e-8), Spherical, -1e-8},
	} {
		got := Interpolate(c.s, 0.25)
		if got.Branch != c.want || got.Cos != c.cos {
			t.Errorf("%s: branch %v, cosine %v; want %v, %v", c.name, got.Branch, got.Cos, c.want, c.cos)
		}
		if c.want == Linear && (got.S0 != 0.75 || got.S1 != 0.25) {
			t.Errorf("%s: linear coefficients %v, %v", c.name, got.S0, got.S1)
		}
		if got.NormA != math.Sqrt(c.s.AA.Float64()) || got.NormB != math.Sqrt(c.s.BB.Float64()) {
			t.Errorf("%s: norms %v, %v", c.name, got.NormA, got.NormB)
		}
	}
	if got := Interpolate(sums(4, 9, -6), 0.5).Theta; got != math.Pi {
		t.Errorf("antiparallel: θ = %v, want pi", got)
	}
	if Spherical.String() != "slerp" || Linear.String() != "linear" {
		t.Errorf("names %v, %v", Spherical, Linear)
	}
}

// TestEnds: the spherical formula gives exactly one parent at t = 0 and t = 1.
func TestEnds(t *testing.T) {
	for d := -0.99; d < 1; d += 0.03 {
		a, b := Interpolate(sums(1, 1, d), 0), Interpolate(sums(1, 1, d), 1)
		if a.S0 != 1 || a.S1 != 0 || b.S0 != 0 || b.S1 != 1 {
			t.Errorf("cosine %v: %v, %v at 0 and %v, %v at 1", d, a.S0, a.S1, b.S0, b.S1)
		}
	}
}

func TestInterpolateNonFinite(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, v := range [][3]float64{{nan, 1, 1}, {1, nan, 1}, {1, 1, nan}, {inf, 1, 1}, {1, inf, 0}, {inf, inf, inf}, {nan, nan, nan}} {
		s := sums(v[0], v[1], v[2])
		for _, x := range []float64{0, 0.5, 2} {
			if c := Interpolate(s, x); c.S0 == c.S0 || c.S1 == c.S1 {
				t.Errorf("%v at %v: %v", s, x, c)
			}
		}
	}
	for _, x := range []float64{nan, inf, -inf, 1e301} {
		if c := Interpolate(sums(1, 1, 0.5), x); c.S0 == c.S0 || c.S1 == c.S1 {
			t.Errorf("t %v: %v", x, c)
		}
	}
	for s, want := range map[Gram]bool{sums(1, 2, 3): true, sums(inf, 1, 0): false, sums(1, inf, 0): false, sums(nan, 1, nan): false, {}: true} {
		if s.Finite() != want {
			t.Errorf("%v.Finite() = %v", s, !want)
		}
	}
}

func TestPlus(t *testing.T) {
	if got, want := (sums(1, 2, 3)).Plus(sums(0.5, -4, 8)), (sums(1.5, -2, 11)); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
