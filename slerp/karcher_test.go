package slerp

import (
	"math"
	"slices"
	"testing"
)

// karcherOf takes the steps of mergekit on vectors.
func karcherOf(x [][]float64, alphas []float64, maxIter int, tol float64) []float64 {
	total, valid := 0.0, 0.0
	for i, a := range alphas {
		total += a
		if length(x[i]) > tol {
			valid += a
		}
	}
	var u [][]float64
	var a []float64
	size := 0.0
	for i := range x {
		size += alphas[i] / total * length(x[i])
		if length(x[i]) > tol {
			u, a = append(u, times(1/length(x[i]), x[i])), append(a, alphas[i]/valid)
		}
	}
	if u == nil {
		return make([]float64, len(x[0]))
	}
	m := combine(a, u)
	if length(m) < tol {
		m = u[0]
	} else {
		m = times(1/length(m), m)
	}
	for range maxIter {
		z := make([]float64, len(m))
		for i := range u {
			cos := max(-1, min(1, inner(m, u[i])))
			if th := math.Acos(cos); th >= tol && th > 0 {
				z = plus(z, times(a[i]*th/math.Sin(th), plus(u[i], times(-cos, m))))
			}
		}
		tau := length(z)
		if tau < tol || tau == 0 {
			break
		}
		m = plus(times(math.Cos(tau), m), times(math.Sin(tau)/tau, z))
		m = times(1/length(m), m)
	}
	return times(size, m)
}

func equalWeights(n int) []float64 {
	return slices.Repeat([]float64{1}, n)
}

func TestKarcher(t *testing.T) {
	r := source(11)
	for n := 1; n <= 8; n++ {
		for _, spread := range []float64{1e-3, 0.05, 0.5, 1, 3} {
			for _, c := range []struct {
				steps int
				tol   float64
			}{{10, 1e-5}, {0, 1e-5}, {1, 1e-5}, {200, 1e-10}, {3, 0}} {
				x := family(r, n, 200, spread)
				w := equalWeights(n)
				if r.IntN(2) == 0 {
					for i := range w {
						w[i] = 0.1 + r.Float64()
					}
				}
				m := Karcher(among(x), w, c.steps, c.tol)
				if e := far(combine(m.Weights, x), karcherOf(x, w, c.steps, c.tol)); e > 1e-12 || m.Opposite >= 0 || m.Steps > c.steps {
					t.Errorf("%d vectors, spread %v, %d steps, tol %v: off by %v, %+v", n, spread, c.steps, c.tol, e, m)
				}
			}
		}
	}
}

// It is the mean: the angles to it have no sum in any direction, and it takes few steps.
func TestKarcherConverges(t *testing.T) {
	r := source(13)
	for _, c := range []struct {
		spread float64
		steps  int
	}{{1e-3, 2}, {0.03, 3}, {0.33, 6}, {1.5, 15}} {
		x := family(r, 5, 1000, c.spread)
		m := Karcher(among(x), equalWeights(5), 1000, 1e-13)
		y := combine(m.Weights, x)
		y = times(1/length(y), y)
		z := make([]float64, len(y))
		for _, v := range x {
			u := times(1/length(v), v)
			cos := inner(u, y)
			z = plus(z, times(math.Acos(cos)/math.Sqrt(1-cos*cos), plus(u, times(-cos, y))))
		}
		if length(z) > 1e-12 || m.Steps > c.steps || m.Tau > 1e-13 {
			t.Errorf("spread %v: the directions add up to %v after %d steps, tau %v", c.spread, length(z), m.Steps, m.Tau)
		}
	}
	// Without a tolerance it ends when nothing changes any more.
	if m := Karcher(among(family(r, 3, 50, 0.5)), equalWeights(3), math.MaxInt, 0); m.Steps > MaxKarcher {
		t.Errorf("%d steps", m.Steps)
	}
	// Of two vectors it is half way on the great circle.
	x := family(r, 2, 30, 0.5)
	x[1] = times(length(x[0])/length(x[1]), x[1])
	c := Interpolate(gramOf(x[0], x[1]), 0.5)
	if m := Karcher(among(x), equalWeights(2), 10, 1e-5); far(m.Weights, []float64{c.S0, c.S1}) > 1e-14 {
		t.Errorf("%v, slerp says %v and %v", m.Weights, c.S0, c.S1)
	}
}

func TestKarcherDegenerate(t *testing.T) {
	a, b, zero := []float64{3, 4, 0}, []float64{0, 0, 2}, []float64{0, 0, 0}
	for _, c := range []struct {
		name     string
		x        [][]float64
		w        []float64
		want     []float64
		opposite int
	}{
		{"one", [][]float64{a}, []float64{1}, a, -1},
		{"equal", [][]float64{a, a, a}, []float64{1, 1, 1}, a, -1},
		{"parallel", [][]float64{a, times(3, a)}, []float64{1, 1}, times(2, a), -1},
		{"all zero", [][]float64{zero, zero}, []float64{1, 1}, zero, -1},
		{"below the tolerance", [][]float64{times(1e-6, a), times(1e-6, b)}, []float64{1, 1}, zero, -1},
		{"a zero vector makes the mean shorter", [][]float64{a, a, zero}, []float64{1, 1, 1}, times(2.0/3, a), -1},
		{"a vector of weight 0", [][]float64{a, b}, []float64{1, 0}, a, -1},
		{"weight on a zero vector alone", [][]float64{a, zero}, []float64{0, 1}, zero, -1},
		{"opposite: the linear mean", [][]float64{a, times(-1, a)}, []float64{1, 1}, zero, 1},
		{"opposite, of unlike lengths", [][]float64{a, times(-3, a)}, []float64{1, 1}, times(-1, a), 1},
		{"opposite, of unlike weights", [][]float64{a, times(-1, a)}, []float64{3, 1}, times(0.5, a), 1},
		{"opposite up to 5e-7", [][]float64{a, plus(times(-1, a), times(1e-6, b))}, []float64{3, 1}, plus(times(0.5, a), times(0.25e-6, b)), 1},
		{"opposite and a third", [][]float64{a, times(-1, a), b}, []float64{1, 1, 1}, nil, -1}, // the mean is towards b: right angles to both
	} {
		m := Karcher(among(c.x), c.w, 10, 1e-5)
		want := c.want
		if want == nil {
			want = times((5+5+2)/3.0/2, b)
		}
		if d := length(plus(combine(m.Weights, c.x), times(-1, want))); !(d <= 1e-12) || m.Opposite != c.opposite {
			t.Errorf("%s: %+v: %v, want %v", c.name, m, combine(m.Weights, c.x), want)
		}
	}
	for _, bad := range []float64{nan, math.Inf(1)} {
		if m := Karcher(among([][]float64{{1, 2}, {bad, 1}, {1, 1}}), equalWeights(3), 10, 1e-5); !isNaN(m.Weights) {
			t.Errorf("%v: %+v", bad, m)
		}
	}
	x := family(source(15), 3, 20, 0.5)
	want := Karcher(among(x), equalWeights(3), 10, 0)
	for _, k := range []int{900, -900} {
		if m := Karcher(huge(x, k), equalWeights(3), 10, 0); far(m.Weights, want.Weights) > 1e-14 {
			t.Errorf("times 2^%d: %+v, want %+v", k, m, want)
		}
	}
}
