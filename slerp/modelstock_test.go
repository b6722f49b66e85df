package slerp

import (
	"math"
	"testing"
)

// stockOf is mergekit's t, of differences as vectors.
func stockOf(y [][]float64) (t, cos float64) {
	n, pairs := float64(len(y)), 0.0
	for i := range y {
		for j := i + 1; j < len(y); j++ {
			cos += max(-1, min(1, inner(y[i], y[j])/max(length(y[i])*length(y[j]), 1e-6)))
			pairs++
		}
	}
	cos /= pairs
	if math.Abs(1+(n-1)*cos) < 1e-6 {
		return 0, cos
	}
	return n * cos / (1 + (n-1)*cos), cos
}

func TestModelStock(t *testing.T) {
	r := source(9)
	for n := 2; n <= 8; n++ {
		for _, spread := range []float64{1e-3, 0.5, 1, 30} {
			for _, scale := range []float64{1, 1e-4, 1e6} {
				x := family(r, n, 60, spread)
				for i := range x {
					x[i] = times(scale, x[i])
				}
				got, cos := ModelStock(n, among(x))
				want, wantCos := stockOf(x)
				if math.Abs(got-want) > 1e-12*(1+math.Abs(want)) || math.Abs(cos-wantCos) > 1e-13 {
					t.Errorf("%d models, spread %v, scale %v: t %v, cosine %v; want %v, %v", n, spread, scale, got, cos, want, wantCos)
				}
			}
		}
	}
}

func TestModelStockDegenerate(t *testing.T) {
	for _, c := range []struct {
		name   string
		y      [][]float64
		t, cos float64
	}{
		{"equal", [][]float64{{3, 4}, {3, 4}}, 1, 1},
		{"at right angles", [][]float64{{1, 0}, {0, 1}}, 0, 0},
		{"at 60 degrees", [][]float64{{1, 0}, {0.5, math.Sqrt(0.75)}}, 2.0 / 3, 0.5},
		{"opposite: no estimate, the base alone", [][]float64{{1, 0}, {-1, 0}}, 0, -1},
		{"three that balance out", [][]float64{{0, 1}, {math.Sqrt(0.75), -0.5}, {-math.Sqrt(0.75), -0.5}}, 0, -0.5},
		{"all zero", [][]float64{{0, 0}, {0, 0}, {0, 0}}, 0, 0},
		{"one zero of two", [][]float64{{1, 2}, {0, 0}}, 0, 0},
		{"one zero of three", [][]float64{{1, 0}, {1, 0}, {0, 0}}, 0.6, 1.0 / 3},
		{"the floor of the norms' product", [][]float64{{1e-4, 0}, {1e-4, 0}}, 2 * 0.01 / 1.01, 0.01},
		{"apart by more than a right angle", [][]float64{{1, 0}, {-0.5, math.Sqrt(0.75)}}, -2, -0.5},
	} {
		got, cos := ModelStock(len(c.y), among(c.y))
		if math.Abs(got-c.t) > 1e-12 || math.Abs(cos-c.cos) > 1e-12 {
			t.Errorf("%s: t %v, cosine %v; want %v, %v", c.name, got, cos, c.t, c.cos)
		}
	}
	for _, bad := range []float64{nan, math.Inf(-1)} {
		for at := range 3 {
			y := [][]float64{{1, 2}, {2, 1}, {0, 1}}
			y[at][1] = bad
			if got, cos := ModelStock(3, among(y)); !isNaN([]float64{got, cos}) {
				t.Errorf("%v in %d: %v, %v", bad, at, got, cos)
			}
		}
	}
	if got, _ := ModelStock(2, huge([][]float64{{1, 0}, {0.5, math.Sqrt(0.75)}}, 900)); math.Abs(got-2.0/3) > 1e-12 {
		t.Errorf("far beyond float64: %v", got)
	}
}
