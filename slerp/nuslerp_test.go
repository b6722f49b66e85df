package slerp

import (
	"math"
	"testing"
)

// nuslerpOf is mergekit's formula, on vectors.
func nuslerpOf(a, b []float64, t float64) []float64 {
	ua, ub := times(1/max(length(a), 1e-7), a), times(1/max(length(b), 1e-7), b)
	cos := max(-1, min(1, inner(ua, ub)))
	if 1-cos*cos <= 1e-16 {
		return plus(times(1-t, a), times(t, b))
	}
	th := math.Acos(cos)
	return plus(times(math.Sin((1-t)*th)/math.Sin(th), a), times(math.Sin(t*th)/math.Sin(th), b))
}

func TestNuslerp(t *testing.T) {
	r := source(3)
	for _, spread := range []float64{1e-6, 1e-3, 0.05, 1, 30} {
		for _, d := range []int{1, 2, 7, 100} {
			for _, at := range []float64{0, 0.1, 0.5, 0.9, 1, -0.4, 1.7, 1e-9} {
				x := family(r, 2, d, spread)
				c := Nuslerp(gramOf(x[0], x[1]), at)
				// The angle of the reference has the noise of its cosine.
				if e := far(combine([]float64{c.S0, c.S1}, x), nuslerpOf(x[0], x[1], at)); e > 1e-11 {
					t.Errorf("spread %v, %d elements, t %v: off by %v", spread, d, at, e)
				}
			}
		}
	}
}

// The guards: what mergekit decides for vectors without an angle between them.
func TestNuslerpDegenerate(t *testing.T) {
	for _, c := range []struct {
		name   string
		g      Gram
		t      float64
		s0, s1 float64
		branch Branch
	}{
		{"parallel", sums(1, 4, 2), 0.25, 0.75, 0.25, Linear},
		{"equal", sums(3, 3, 3), 0.25, 0.75, 0.25, Linear},
		{"opposite", sums(1, 4, -2), 0.25, 0.75, 0.25, Linear},
		{"beyond the cosine of slerp", sums(1, 1, 0.9996), 0.5, 1 / math.Sqrt(2+2*0.9996), 1 / math.Sqrt(2+2*0.9996), Spherical},
		{"a zero vector is at a right angle", sums(0, 1, 0), 0.5, math.Sqrt(0.5), math.Sqrt(0.5), Spherical},
		{"two zero vectors", sums(0, 0, 0), 0.5, math.Sqrt(0.5), math.Sqrt(0.5), Spherical},
		{"below the floor the angle is wide", sums(1e-16, 1, 1e-8), 1, 0, 1, Spherical},
		{"far beyond float64", Gram{Product(1e300, 1e300), Product(1e300, 1e300), Wide{}}, 0.5, math.Sqrt(0.5), math.Sqrt(0.5), Spherical},
	} {
		got := Nuslerp(c.g, c.t)
		if math.Abs(got.S0-c.s0) > 1e-15 || math.Abs(got.S1-c.s1) > 1e-15 || got.Branch != c.branch {
			t.Errorf("%s: %v %v %v, want %v %v %v", c.name, got.S0, got.S1, got.Branch, c.s0, c.s1, c.branch)
		}
	}
	if got := Nuslerp(sums(1e-16, 1, 1e-8), 0.5); math.Abs(got.Cos-0.1) > 1e-12 { // 1e-8 / (1e-7 * 1)
		t.Errorf("cosine %v with the floor", got.Cos)
	}
	for _, g := range []Gram{sums(nan, 1, nan), sums(1, math.Inf(1), 0)} {
		if got := Nuslerp(g, 0.5); !isNaN([]float64{got.S0, got.S1, got.Cos, got.Theta}) {
			t.Errorf("%v: %+v", g, got)
		}
	}
	if got := Nuslerp(sums(1, 1, 0), math.Inf(1)); !isNaN([]float64{got.S0, got.S1}) {
		t.Errorf("t infinite: %+v", got)
	}
}

// Inside its branch the coefficients are those of Interpolate, to the last bit.
func TestNuslerpIsInterpolate(t *testing.T) {
	r := source(5)
	for range 1000 {
		g := sums(1+r.Float64(), 1+r.Float64(), 1.9*r.Float64()-0.95)
		at := 2*r.Float64() - 0.5
		a, b := Interpolate(g, at), Nuslerp(g, at)
		if a.Branch == Spherical && a != b {
			t.Fatalf("%v at %v: %+v, %+v", g, at, a, b)
		}
	}
}
