package slerp

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"slerpmerge/internal/tensor"
)

func encoded(d tensor.DType, values ...float64) []byte {
	b := make([]byte, len(values)*d.Size())
	encode64(d, b, values)
	return b
}

func TestAdder(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		name    string
		out     tensor.DType
		in      []tensor.DType
		x       [][]float64
		w       []float64
		want    []float64
		over    int64
		divisor float64
	}{
		{"one, scaled", tensor.BF16, []tensor.DType{tensor.F32}, [][]float64{{1, -2, 0.5}}, []float64{0.5}, []float64{0.5, -1, 0.25}, 0, 1},
		{"scaled by zero", tensor.F32, []tensor.DType{tensor.F16}, [][]float64{{1, -2, inf}}, []float64{0}, []float64{0, math.Copysign(0, -1), nan}, 0, 1},
		{"three types", tensor.F32, []tensor.DType{tensor.F64, tensor.BF16, tensor.F16}, [][]float64{{1}, {2}, {4}}, []float64{1, 0.5, -0.25}, []float64{1}, 0, 1},
		{"overflow", tensor.F16, []tensor.DType{tensor.F32, tensor.F32}, [][]float64{{60000, inf, 1}, {60000, 1, inf}}, []float64{1, 1}, []float64{inf, inf, inf}, 1, 1},
		{"terms cancel before the rounding", tensor.F16, []tensor.DType{tensor.F32, tensor.F32}, [][]float64{{1e30}, {1e30}}, []float64{1, -1}, []float64{0}, 0, 1},
		{"divided after adding", tensor.F64, []tensor.DType{tensor.F64, tensor.F64}, [][]float64{{3}, {1}}, []float64{0.5, 0.5}, []float64{1}, 0, 2},
	} {
		var x [][]byte
		for i, v := range c.x {
			x = append(x, encoded(c.in[i], v...))
		}
		dst := make([]byte, len(c.want)*c.out.Size())
		got := NewWeightedSum(c.out, c.in).Sum(dst, x, c.w, max(1, c.divisor))
		if want := encoded(c.out, c.want...); !bytes.Equal(dst, want) || got.Overflow != c.over {
			t.Errorf("%s: % x, %d overflows; want % x, %d", c.name, dst, got.Overflow, want, c.over)
		}
	}
}

// A sum of two float32 tensors is a Blender's, too, unless the terms cancel to far
// below a last place of BF16. The lengths cross strips.
func TestAdderIsBlender(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 7, strip - 1, strip, strip + 1, 3*strip + 5} {
		a, b := make([]float64, n), make([]float64, n)
		for i := range n {
			a[i], b[i] = r.NormFloat64(), r.NormFloat64()
		}
		x := [][]byte{encoded(tensor.F32, a...), encoded(tensor.F32, b...)}
		got, want := make([]byte, 2*n), make([]byte, 2*n)
		NewWeightedSum(tensor.BF16, []tensor.DType{tensor.F32, tensor.F32}).Sum(got, x, []float64{0.3, 0.7}, 1)
		NewBlender(tensor.BF16, tensor.F32, tensor.F32).Blend(want, x[0], x[1], 0.3, 0.7)
		if !bytes.Equal(got, want) {
			t.Errorf("%d elements differ", n)
		}
	}
}
