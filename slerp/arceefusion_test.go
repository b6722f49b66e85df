package slerp

import (
	"math"
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
)

// A fusionResult is what arcee_fusion comes to.
type fusionResult struct {
	want, slack []float64
	threshold   float64
	taken       int
}

// fusionOf is arcee_fusion by sorting. An importance that is the threshold but for
// rounding leaves open which element is taken.
func fusionOf(s *sample) (r fusionResult) {
	n := int(s.Elems())
	other := 1 - s.base
	r.want, r.slack = make([]float64, n), make([]float64, n)
	importance := make([]float64, n)
	for _, group := range axis(s.Shape, false) {
		kl, top, sum := 0.0, [2]float64{math.Inf(-1), math.Inf(-1)}, [2]float64{}
		for k := range 2 {
			for _, i := range group {
				top[k] = math.Max(top[k], s.v(k, i))
				if !finite(s.v(k, i)) {
					kl = math.NaN()
				}
			}
			for _, i := range group {
				sum[k] += math.Exp(s.v(k, i) - top[k])
			}
		}
		for _, i := range group {
			p := math.Exp(s.v(other, i)-top[other])/sum[other] + 1e-8
			q := math.Exp(s.v(s.base, i)-top[s.base])/sum[s.base] + 1e-8
			kl += p*math.Log1p((p-q)/q) - (p - q)
		}
		for _, i := range group {
			importance[i] = float64(float32(math.Abs(s.v(other, i)-s.v(s.base, i)) * math.Max(kl, 0)))
			if kl != kl {
				importance[i] = math.NaN()
			}
		}
	}
	if n == 0 {
		return r
	}
	sorted := slices.Clone(importance)
	slices.SortFunc(sorted, func(a, b float64) int { // NaN is the greatest
		switch {
		case a < b || a == a && b != b:
			return -1
		case a > b || a != a && b == b:
			return 1
		}
		return 0
	})
	at := func(q float64) float64 { return sorted[int(q*float64(n-1))] }
	r.threshold = at(0.5) + 1.5*(at(0.75)-at(0.25))
	for i, v := range importance {
		b, x := s.v(s.base, i), s.v(other, i)
		near := math.Abs(v-r.threshold) <= r.threshold*1e-4+1e-18
		switch {
		case !finite(b) || !finite(x):
			r.want[i] = math.NaN()
		case v >= r.threshold:
			r.want[i] = x
			r.taken++
		default:
			r.want[i] = b
		}
		if near {
			r.slack[i] = math.Abs(x - b)
		}
	}
	return r
}

func (s *sample) holdFusion(t *testing.T, seed uint64) fusionResult {
	t.Helper()
	res := fusionOf(s)
	w := s.hold(t, source(seed), func() Sweep { return ArceeFusion{s.base}.Sweep(s.Operands) }, res.want, func(i int) float64 { return res.slack[i] })
	for _, f := range w.Figures() {
		if f.Name == "threshold" && math.Abs(f.Value-res.threshold) > res.threshold*1e-4+1e-18 {
			t.Errorf("%v of %v: threshold %v, want %v", s.Shape, s.In, f.Value, res.threshold)
		}
	}
	return res
}

func TestArceeFusion(t *testing.T) {
	r := source(160)
	taken, all := 0, 0
	for _, shape := range append(sweepShapes, []uint64{longRow}, []uint64{2, longRow + 1}) {
		for _, m := range []mix{weights, weights, weights, sparse, wild} {
			if len(shape) < 3 && len(shape) > 0 && shape[len(shape)-1] >= longRow && m != weights {
				continue
			}
			s := newSample(r, shape, 2, r.IntN(2), m)
			res := s.holdFusion(t, 1)
			if m == weights {
				taken, all = taken+res.taken, all+int(s.Elems())
			}
		}
	}
	if taken < all/20 || taken > all*3/4 {
		t.Errorf("%d of %d elements are taken", taken, all)
	}
}

// Long rows in several pieces.
func TestArceeFusionLong(t *testing.T) {
	r := source(161)
	s := steps(r, tensor.F32, []uint64{2, BlockElems + 77}, 2, 1, 7)
	if res := s.holdFusion(t, 2); res.taken == 0 {
		t.Error("nothing is taken")
	}
}

// A NaN in one piece of a long row spoils it all.
func TestArceeFusionLongNaN(t *testing.T) {
	s := steps(source(162), tensor.F16, []uint64{3, longRow + 1}, 2, 0, 7)
	putCode(tensor.F16, s.x[1], longRow+9, nanCodes[tensor.F16])
	s.values = nil
	s.holdFusion(t, 3)
}

func TestArceeFusionValues(t *testing.T) {
	f64, nan := tensor.F64, math.NaN()
	for _, c := range []struct {
		name        string
		shape       []uint64
		base, other []float64
		want        []float64
	}{
		{"equal: the other", []uint64{3}, []float64{1, 2, 3}, []float64{1, 2, 3}, []float64{1, 2, 3}},
		{"a scalar has no divergence: the other", []uint64{}, []float64{1}, []float64{5}, []float64{5}},
		{"an outlier", []uint64{9}, []float64{0, 0, 0, 0, 0, 0, 0, 0, 0}, []float64{0, 1, 2, 3, 4, 5, 6, 7, 11}, []float64{0, 0, 0, 0, 0, 0, 0, 0, 11}}, // above 10
		{"no outlier", []uint64{9}, []float64{0, 0, 0, 0, 0, 0, 0, 0, 0}, []float64{0, 1, 2, 3, 4, 5, 6, 7, 9}, []float64{0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{"a row that is shifted has none either", []uint64{2, 4}, []float64{0, 1, 2, 3, 0, 0, 0, 0}, []float64{1, 2, 3, 4, 1, 2, 9, 4}, []float64{0, 1, 2, 3, 0, 0, 9, 4}},
		{"most are equal", []uint64{1, 6}, []float64{0, 1, 2, 3, 4, 5}, []float64{0, 1, 2, 3, 4, 5.5}, []float64{0, 1, 2, 3, 4, 5.5}},
		{"a NaN", []uint64{2, 2}, []float64{0, 1, 0, 1}, []float64{nan, 2, 0, 2}, []float64{nan, 1, 0, 1}},
	} {
		s := &sample{Operands: Operands{Shape: c.shape, In: []DType{f64, f64}, Out: f64}, base: 0, x: [][]byte{encoded(f64, c.base...), encoded(f64, c.other...)}}
		t.Run(c.name, func(t *testing.T) {
			s.hold(t, source(1), func() Sweep { return ArceeFusion{0}.Sweep(s.Operands) }, c.want, nil)
		})
	}
}

func BenchmarkArceeFusion(b *testing.B) {
	bf := tensor.BF16
	o := Operands{Shape: []uint64{16, 4096}, In: []DType{bf, bf}, Out: bf}
	w := ArceeFusion{0}.Sweep(o)
	chunks, bytes := sweepOperands(o)
	s := new(Scratch)
	for n := w.Pass(); n > 0; n = w.Pass() {
		b.Run(map[fusionStep]string{fusionRows: "rows", fusionLower: "lower"}[w.(*fusion).step], func(b *testing.B) {
			throughput(b, bytes, func() { w.Meter(s, 0).Add(chunks, 0) })
		})
		m := w.Meter(s, 0)
		m.Add(chunks, 0)
		w.Take(0, m)
	}
	b.Run("mix", func(b *testing.B) { benchmarkMixer(b, w, o) })
}
