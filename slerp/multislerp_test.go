package slerp

import (
	"math"
	"testing"
)

// multiSlerpOf takes the steps of mergekit on vectors, with the one in the tangent space.
func multiSlerpOf(x [][]float64, w []float64, eps float64) []float64 {
	n, size := len(x), 0.0
	u := make([][]float64, n)
	for i := range x {
		u[i] = times(1/(length(x[i])+eps), x[i])
		size += w[i] * length(x[i])
	}
	m := combine(w, u)
	m = times(1/length(m), m)
	step := make([]float64, len(m))
	for i := range u {
		step = plus(step, times(w[i], plus(u[i], times(-inner(u[i], m), m))))
	}
	angle := length(step) + eps
	return times(size, plus(times(math.Cos(angle), m), times(math.Sin(angle)/angle, step)))
}

func TestMultiSlerp(t *testing.T) {
	r := source(7)
	for n := 1; n <= 8; n++ {
		for _, spread := range []float64{1e-3, 0.05, 1, 30} {
			for _, eps := range []float64{1e-8, 1e-4, 0.3} {
				x := family(r, n, 50, spread)
				w := make([]float64, n)
				for i := range w {
					w[i] = 0.5 + r.Float64()
				}
				if n > 2 {
					w[1] = -0.05
				}
				c, _, ok := MultiSlerp(among(x), w, eps)
				if e := far(combine(c, x), multiSlerpOf(x, w, eps)); !ok || e > 1e-12 {
					t.Errorf("%d vectors, spread %v, eps %v: ok %v, off by %v", n, spread, eps, ok, e)
				}
			}
		}
	}
}

func TestMultiSlerpDegenerate(t *testing.T) {
	a, b, zero := []float64{3, 4}, []float64{0, 1}, []float64{0, 0}
	for _, c := range []struct {
		name string
		x    [][]float64
		w    []float64
		eps  float64
		want []float64 // the result; nil for the weighted sum
	}{
		{"one", [][]float64{a}, []float64{1}, 1e-8, a},
		{"equal", [][]float64{a, a, a}, []float64{0.2, 0.3, 0.5}, 1e-8, a},
		{"equal, not normalised", [][]float64{a, a}, []float64{1, 1}, 1e-8, times(2, a)},
		{"the negative of one", [][]float64{a}, []float64{-1}, 1e-8, a}, // |a| * -1 times -a / |a|
		{"opposite, balanced", [][]float64{a, times(-1, a)}, []float64{0.5, 0.5}, 1e-8, nil},
		{"opposite, of unlike lengths", [][]float64{a, times(-2, a)}, []float64{0.5, 0.5}, 1e-8, nil},
		{"opposite, of lengths that don't divide", [][]float64{a, times(-1.0/3, a)}, []float64{0.5, 0.5}, 1e-8, nil},
		{"opposite, of unlike weights", [][]float64{a, times(-1, a)}, []float64{0.75, 0.25}, 1e-8, a},
		{"three that balance out", [][]float64{{0, 1}, {math.Sqrt(0.75), -0.5}, {-math.Sqrt(0.75), -0.5}}, []float64{1, 1, 1}, 1e-8, nil},
		{"zero weights", [][]float64{a, b}, []float64{0, 0}, 1e-8, nil},
		{"zero vectors", [][]float64{zero, zero, zero}, []float64{0.2, 0.3, 0.5}, 1e-8, nil},
		{"zero vectors, eps 0", [][]float64{zero, zero}, []float64{0.5, 0.5}, 0, nil},
		{"one zero vector", [][]float64{a, zero}, []float64{0.5, 0.5}, 1e-8, times(0.5, a)},
		{"one zero vector, eps 0", [][]float64{a, zero}, []float64{0.5, 0.5}, 0, times(0.5, a)},
		{"eps is an angle", [][]float64{a, a}, []float64{0.5, 0.5}, 0.5, times(math.Cos(0.5), a)},
	} {
		got, _, ok := MultiSlerp(among(c.x), c.w, c.eps)
		want := c.want
		if want == nil {
			want = combine(c.w, c.x)
		}
		if d := length(plus(combine(got, c.x), times(-1, want))); ok != (c.want != nil) || !(d <= 1e-7) {
			t.Errorf("%s: %v, ok %v: %v, want %v", c.name, got, ok, combine(got, c.x), want)
		}
	}
	if c, _, _ := MultiSlerp(among([][]float64{{nan, 1}, {1, 2}}), []float64{1, 1}, 1e-8); !isNaN(c) {
		t.Errorf("NaN: %v", c)
	}
	if c, _, _ := MultiSlerp(among([][]float64{{0, 1}, {math.Inf(1), 2}}), []float64{1, 1}, 1e-8); !isNaN(c) {
		t.Errorf("Inf: %v", c)
	}
	r := source(8)
	x := family(r, 3, 20, 0.5)
	w := []float64{0.2, 0.3, 0.5}
	c, _, _ := MultiSlerp(among(x), w, 0)
	for _, k := range []int{900, -900} {
		if d, _, ok := MultiSlerp(huge(x, k), w, 0); !ok || far(d, c) > 1e-14 {
			t.Errorf("times 2^%d: %v, want %v", k, d, c)
		}
	}
}
