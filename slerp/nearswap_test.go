package slerp

import (
	"math"
	"testing"

	"slerpmerge/internal/tensor"
)

// The other's element where it is near, else a step of t towards it.
func TestNearswapValues(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct{ t, base, other, want float64 }{
		{0.1, 1, 1.05, 1.05}, {0.5, 1, 1.5, 1.5}, {0.5, 1, 3, 1.5}, {0.5, 1, -3, 0.5}, {0.25, -2, 2, -1.75},
		{1, 1, 1, 1}, {5e-7, 0, 1e-6, 5e-7}, {5e-7, 0, 4e-7, 2e-7}, // below 1e-6 a distance counts as that
		{0, 1, 2, 1}, {0, 1, 1, 1},
		{0.5, 1, nan, nan}, {0.5, nan, 1, nan}, {0.5, 1, inf, nan}, {0.5, inf, 1, inf}, {0.5, inf, inf, nan},
	} {
		for base := range 2 {
			x := [][]byte{encoded(tensor.F64, c.other), encoded(tensor.F64, c.other)}
			x[base] = encoded(tensor.F64, c.base)
			o := Operands{Shape: []uint64{1}, In: []DType{tensor.F64, tensor.F64}, Out: tensor.F64}
			dst, _ := sweepAll(NewNearswap(o, base, c.t), o, x, 8, source(1))
			if got := value(tensor.F64, code(tensor.F64, dst, 0)); math.Abs(got-c.want) > 1e-16 || (got != got) != (c.want != c.want) {
				t.Errorf("t %v, from %v to %v, base %d: %v, want %v", c.t, c.base, c.other, base, got, c.want)
			}
		}
	}
}

func TestNearswap(t *testing.T) {
	r := source(141)
	for _, shape := range sweepShapes {
		for m := range numMixes {
			base := r.IntN(2)
			s := newSample(r, shape, 2, base, m)
			dist := r.Float64() * 0.02
			want := make([]float64, s.Elems())
			for i := range want {
				a, x := s.v(base, i), s.v(1-base, i)
				share := dist / math.Max(math.Abs(a-x), 1e-6)
				if share > 1 {
					share = 1
				}
				want[i] = float64(share*x) + float64((1-share)*a)
			}
			s.hold(t, r, func() Sweep { return NewNearswap(s.Operands, base, dist) }, want, nil)
		}
	}
}

func BenchmarkNearswap(b *testing.B) {
	o := Operands{Shape: []uint64{cacheBytes / 2}, In: []DType{tensor.BF16, tensor.BF16}, Out: tensor.BF16}
	benchmarkMixer(b, NewNearswap(o, 0, 0.001), o)
}
