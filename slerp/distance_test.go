package slerp

import (
	"math"
	"math/rand/v2"
	"testing"

	"slerpmerge/internal/tensor"
)

// Of parents that are all but equal the sums say that they don't know, and the
// distance finds the one element that differs.
func TestDistanceFindsOneBit(t *testing.T) {
	const n = 1 << 16
	x := make([]float64, n)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range x {
		x[i] = r.NormFloat64()
	}
	a := encoded(tensor.BF16, x...)
	b := append([]byte(nil), a...)
	b[2*777] ^= 1
	detected.decode64(tensor.BF16, x, a)
	y := make([]float64, n)
	detected.decode64(tensor.BF16, y, b)
	want := (x[777] - y[777]) * (x[777] - y[777])

	m := NewInnerProducts(tensor.BF16, tensor.BF16)
	m.Add(a, b)
	if _, ok := m.Gram().SquaredDistance(); ok {
		t.Error("the sums take their distance for sure")
	}
	for _, chunk := range []int{n, 8, 8000, strip + 8} {
		g := NewDistance(tensor.BF16, tensor.BF16)
		g.Add(a[:64], b[:64])
		g.Reset()
		for at := 0; at < n; at += chunk {
			to := min(n, at+chunk)
			g.Add(a[2*at:2*to], b[2*at:2*to])
		}
		if got := g.Squared().Float64(); got != want || want == 0 {
			t.Errorf("chunks of %d: %g, want %g", chunk, got, want)
		}
	}
}

// Where the sums are sure they agree with the distance, for any mix of types.
func TestSquaredDistance(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, far := range []float64{1, 0.1, 0.01, 0.002} {
		for _, d := range [][2]tensor.DType{{tensor.F32, tensor.F32}, {tensor.F64, tensor.F16}, {tensor.F32, tensor.F64}} {
			x, y := make([]float64, 4099), make([]float64, 4099)
			for i := range x {
				x[i] = r.NormFloat64()
				y[i] = x[i] + far*r.NormFloat64()
			}
			a, b := encoded(d[0], x...), encoded(d[1], y...)
			m, g := NewInnerProducts(d[0], d[1]), NewDistance(d[0], d[1])
			m.Add(a, b)
			g.Add(a, b)
			got, ok := m.Gram().SquaredDistance()
			if !ok {
				t.Fatalf("%v at %g: not sure", d, far)
			}
			if got, want := got.Float64(), g.Squared().Float64(); math.Abs(got-want) > 1e-7*want {
				t.Errorf("%v at %g: %g by the sums, %g by the distance", d, far, got, want)
			}
		}
	}
}

func TestDistanceOfWhatIsNotFinite(t *testing.T) {
	for _, s := range []Gram{sums(math.NaN(), 1, 1), sums(math.Inf(1), math.Inf(1), 0)} {
		if d, ok := s.SquaredDistance(); !ok || d.Finite() {
			t.Errorf("%v: %v, %v", s, d, ok)
		}
	}
	if d, ok := (Gram{}).SquaredDistance(); d != (Wide{}) || !ok {
		t.Errorf("zeros: %v, %v", d, ok)
	}
}
