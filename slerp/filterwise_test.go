package slerp

import (
	"math"
	"testing"

	"slerpmerge/internal/tensor"
)

// filterWiseOf is model_stock row by row in float64, and how far off it may be.
func filterWiseOf(s *sample) (want, slack []float64) {
	want, slack = make([]float64, s.Elems()), make([]float64, s.Elems())
	list := s.others()
	n := float64(len(list))
	for _, group := range axis(s.Shape, false) {
		sum, pairs, finite := 0.0, 0.0, true
		for i, a := range list {
			for _, b := range list[i+1:] {
				cos, ok := s.cosine(a, b, group, 1e-6, true)
				finite = finite && ok
				sum += cos
				pairs++
			}
		}
		t, down := 0.0, 1+(n-1)*sum/pairs
		if math.Abs(down) >= 1e-6 {
			t = n * (sum / pairs) / down
		}
		if !finite {
			t = math.NaN()
		}
		for _, i := range group {
			size := 0.0
			for k := range s.In {
				w := t / n
				if k == s.base {
					w = 1 - t
					size += math.Abs(s.v(k, i)) * (1 + math.Abs(t))
				}
				want[i] += float64(w * s.v(k, i))
				size += math.Abs(w * s.v(k, i))
			}
			slack[i] = size * 1e-12 / math.Min(1, down*down)
		}
	}
	return want, slack
}

func TestFilterWise(t *testing.T) {
	r := source(146)
	for i, shape := range sweepShapes {
		for _, m := range []mix{weights, weights, sparse, wild} {
			n := 2 + (i+int(m))%7
			s := newSample(r, shape, n+1, r.IntN(n+1), m)
			want, slack := filterWiseOf(s)
			s.hold(t, r, func() Sweep { return FilterWise{s.base}.Sweep(s.Operands) }, want, func(i int) float64 { return slack[i] })
		}
	}
}

func TestFilterWiseValues(t *testing.T) {
	f64, nan := tensor.F64, math.NaN()
	for _, c := range []struct {
		name  string
		shape []uint64
		x     [][]float64 // the base is the first
		want  []float64
		least float64 // t
	}{
		{"a row of equal deltas, a row at right angles", []uint64{2, 2}, [][]float64{{1, 1, 1, 1}, {2, 2, 2, 1}, {2, 2, 1, 2}}, []float64{2, 2, 1, 1}, 0},
		{"opposite: the base", []uint64{1, 2}, [][]float64{{1, 1}, {2, 2}, {0, 0}}, []float64{1, 1}, 0},
		{"models that are the base", []uint64{2}, [][]float64{{1, 2}, {1, 2}, {1, 2}}, []float64{1, 2}, 0},
		{"small deltas: the floor acts", []uint64{1}, [][]float64{{0}, {5e-4}, {5e-4}}, []float64{2e-4}, 0.4}, // cos 0.25
		{"a NaN spoils its row", []uint64{2, 1}, [][]float64{{1, 1}, {nan, 2}, {2, 2}}, []float64{nan, 2}, nan},
		{"a scalar", []uint64{}, [][]float64{{1}, {2}, {4}}, []float64{3}, 1},
	} {
		s := &sample{Operands: Operands{Shape: c.shape, Out: f64}, base: 0}
		for _, v := range c.x {
			s.In, s.x = append(s.In, f64), append(s.x, encoded(f64, v...))
		}
		t.Run(c.name, func(t *testing.T) {
			w := s.hold(t, source(1), func() Sweep { return FilterWise{0}.Sweep(s.Operands) }, c.want, func(int) float64 { return 1e-15 })
			for _, f := range w.Figures() {
				if f.Name == "least t" && math.Abs(f.Value-c.least) > 1e-14 {
					t.Errorf("least t %v, want %v", f.Value, c.least)
				}
			}
		})
	}
}

func BenchmarkFilterWise(b *testing.B) {
	for _, n := range []int{3, 9} {
		o := Operands{Shape: []uint64{16, 4096}, Out: tensor.BF16}
		for range n {
			o.In = append(o.In, tensor.BF16)
		}
		w := FilterWise{0}.Sweep(o)
		w.Pass()
		b.Run(map[int]string{3: "2", 9: "8"}[n]+"/measure", func(b *testing.B) { benchmarkPass(b, w, o) })
		b.Run(map[int]string{3: "2", 9: "8"}[n]+"/mix", func(b *testing.B) { benchmarkMixer(b, w, o) })
	}
}
