package slerp

import (
	"math"
	"testing"

	"slerpmerge/internal/tensor"
)

// ramOf is the sum of ram element by element, and the counts of ramplus_tl.
func ramOf(s *sample, w Ram) (want []float64, lambda map[int]float64) {
	n := int(s.Elems())
	unique, shared := map[int]float64{}, map[int]float64{}
	counts := func(i int) (list []int) {
		for _, k := range s.others() {
			if d := s.v(k, i) - s.v(s.base, i); d != d || math.Abs(d) > w.Epsilon {
				list = append(list, k)
			}
		}
		return list
	}
	for i := range n {
		list := counts(i)
		for _, k := range list {
			if len(list) == 1 {
				unique[k]++
			} else {
				shared[k]++
			}
		}
	}
	lambda = map[int]float64{}
	for _, k := range s.others() {
		lambda[k] = 1
		if shared[k] > 0 {
			lambda[k] += w.R * math.Min(w.Alpha, shared[k]/math.Max(unique[k], w.Epsilon))
		}
	}
	for i := range n {
		b, sum := s.v(s.base, i), 0.0
		list := counts(i)
		for _, k := range list {
			d := s.v(k, i) - b
			if len(list) == 1 {
				d = float64(d * lambda[k])
			}
			sum += d
		}
		if len(list) > 1 {
			sum /= float64(len(list))
		}
		want = append(want, b+sum)
	}
	return want, lambda
}

func TestRam(t *testing.T) {
	r := source(142)
	for i, shape := range sweepShapes {
		for m := range numMixes {
			n := 1 + (i+int(m))%8
			s := newSample(r, shape, n+1, r.IntN(n+1), m)
			for _, w := range []Ram{{Epsilon: 0.005}, {Epsilon: 0}, {Epsilon: 0.008, R: 0.1, Alpha: 0.2}, {Epsilon: 0, R: 0.5, Alpha: 1e9}} {
				w.Base = s.base
				want, lambda := ramOf(s, w)
				sweep := s.hold(t, r, func() Sweep { return w.Sweep(s.Operands) }, want, nil)
				for _, f := range sweep.Figures() {
					if f.Name == "lambda" && f.Value != lambda[f.Of] {
						t.Errorf("lambda of operand %d is %v, want %v", f.Of, f.Value, lambda[f.Of])
					}
				}
				if m == weights && len(sweep.Figures()) != map[bool]int{true: 3 * n}[w.R != 0] {
					t.Errorf("figures %v", sweep.Figures())
				}
			}
		}
	}
}

// The counts of several blocks add.
func TestRamBlocks(t *testing.T) {
	r := source(143)
	s := steps(r, tensor.F32, []uint64{2, BlockElems/2 + 100}, 3, 1, 3)
	w := Ram{Base: 1, Epsilon: 1.0 / 512, R: 0.5, Alpha: 1e9}
	want, _ := ramOf(s, w)
	s.hold(t, r, func() Sweep { return w.Sweep(s.Operands) }, want, nil)
}

// Where one delta counts it is added whole or times lambda, where several do their
// mean, and where none does the base stays.
func TestRamValues(t *testing.T) {
	f64 := tensor.F64
	s := &sample{Operands: Operands{Shape: []uint64{4}, In: []DType{f64, f64, f64}, Out: f64}, base: 0}
	s.x = [][]byte{encoded(f64, 1, 1, 1, 1), encoded(f64, 2, 1, 4, 1.5), encoded(f64, 1.125, 1, 2, 3)}
	for _, c := range []struct {
		Ram
		want []float64
	}{
		{Ram{Epsilon: 1e-5}, []float64{1.5625, 1, 3, 2.25}},
		{Ram{Epsilon: 0.125}, []float64{2, 1, 3, 2.25}},
		{Ram{Epsilon: 0.125, R: 0.5, Alpha: 1}, []float64{2.5, 1, 3, 2.25}}, // two shared and one unique, at most 1
		{Ram{Epsilon: 0.125, R: 0.5, Alpha: 3}, []float64{3, 1, 3, 2.25}},
		{Ram{Epsilon: 10, R: 0.5, Alpha: 3}, []float64{1, 1, 1, 1}},
	} {
		s.hold(t, source(1), func() Sweep { return c.Sweep(s.Operands) }, c.want, nil)
	}
}

func BenchmarkRam(b *testing.B) {
	bf := tensor.BF16
	o := Operands{Shape: []uint64{cacheBytes / 2}, In: []DType{bf, bf, bf, bf}, Out: bf}
	b.Run("plain", func(b *testing.B) { benchmarkMixer(b, Ram{Epsilon: 1e-4}.Sweep(o), o) })
	w := Ram{Epsilon: 1e-4, R: 0.1, Alpha: 0.2}.Sweep(o)
	b.Run("count", func(b *testing.B) { benchmarkPass(b, w, o) })
	w.Pass()
	w.Pass()
	b.Run("plus", func(b *testing.B) { benchmarkMixer(b, w, o) })
}
