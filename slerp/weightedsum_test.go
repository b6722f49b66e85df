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

// weighted is element by element what Sum promises.
func weightedBytes(out DType, in []DType, x [][]byte, w []float64, divisor float64) ([]byte, Counts) {
	n := len(x[0]) / in[0].Size()
	dst := make([]byte, n*out.Size())
	var c Counts
	for i := range n {
		var sum float64
		all := true
		for k, d := range in {
			v := value(d, code(d, x[k], i))
			all = all && finite(v)
			if p := float64(w[k] * v); k == 0 {
				sum = p
			} else {
				sum += p
			}
		}
		sum /= divisor
		bits, over := nearest(out, sum)
		putCode(out, dst, i, bits)
		switch {
		case finite(sum) && !over:
		case all:
			c.Overflow++
		default:
			c.NonFinite++
		}
	}
	return dst, c
}

var sumWeights = []float64{0.2, 1, -1, 0, 0.6130, 1e-30, 3, -0.25, 1e30, 1e300, 0x1p-1000, 0x1p-130, math.Inf(1), math.NaN()}

// someSum draws weights, as a rule sensible ones, and a divisor.
func someSum(r *rand.Rand, count int) (w []float64, divisor float64) {
	kinds := []int{5, 5, 8, len(sumWeights)}[r.IntN(4)]
	for range count {
		w = append(w, sumWeights[r.IntN(kinds)])
	}
	return w, []float64{1, 1, 2, 3, float64(count), -0.7, 0x1p-1030, 1e300}[r.IntN(8)]
}

// TestWeightedSum holds any number of tensors to the oracle, at all tails and at
// places without alignment. Beyond the end lie marks that must stay.
func TestWeightedSum(t *testing.T) {
	t.Parallel()
	r := source(50)
	for _, out := range allTypes {
		for n := range 71 {
			for count := 1; count <= 9; count++ {
				in, x := someTensors(r, count, n, mix(r.IntN(int(numMixes))))
				w, divisor := someSum(r, count)
				want, counts := weightedBytes(out, in, x, w, divisor)
				room := bytes.Repeat([]byte{0xa5}, len(want)+40+n%9)
				dst := room[n%9 : n%9+len(want)]
				got := NewWeightedSum(out, in).Sum(dst, x, w, divisor)
				for i := range n {
					if g, want := code(out, dst, i), code(out, want, i); g != want {
						t.Fatalf("%v to %v with %v over %v, element %d of %d: %#x, want %#x", in, out, w, divisor, i, n, g, want)
					}
				}
				if got != counts {
					t.Fatalf("%v to %v with %v over %v, %d elements: counts %+v, want %+v", in, out, w, divisor, n, got, counts)
				}
				if bytes.Count(room, []byte{0xa5}) < 40+n%9 || !bytes.HasSuffix(room, bytes.Repeat([]byte{0xa5}, 40)) {
					t.Fatalf("%v to %v, %d elements: wrote beyond dst", in, out, n)
				}
			}
		}
	}
}

// TestWeightedSumLong goes through strips, some of which have a reason to leave the
// kernels.
func TestWeightedSumLong(t *testing.T) {
	r := source(51)
	const n = 2*strip + 37
	for _, out := range allTypes {
		for _, count := range []int{2, 3, 5, 9} {
			in, x := someTensors(r, count, n, weights)
			w, divisor := someSum(r, count)
			putCode(in[1], x[1], strip+7, nanCodes[in[1]]-r.Uint64()%3)
			want, counts := weightedBytes(out, in, x, w, divisor)
			got := make([]byte, len(want))
			c := NewWeightedSum(out, in).Sum(got, x, w, divisor)
			if !bytes.Equal(got, want) || c != counts {
				t.Fatalf("%v to %v with %v over %v: bytes or counts (%+v, want %+v) differ", in, out, w, divisor, c, counts)
			}
		}
	}
}

// TestRoundings rounds values about every border of the 16-bit types: ties, and the
// float64 next to them, which a rounding by way of float32 would take for ties.
func TestRoundings(t *testing.T) {
	r := source(52)
	for _, out := range []DType{tensor.BF16, tensor.F16} {
		v := magnitudes[out]()
		var src []float64
		for range 20000 {
			i := r.IntN(len(v) - 1)
			tie := (v[i] + v[i+1]) / 2
			for _, x := range []float64{v[i], tie, math.Nextafter(tie, 0), math.Nextafter(tie, math.Inf(1)), tie * (1 + 0x1p-30), tie * (1 - 0x1p-26)} {
				src = append(src, x, -x)
			}
		}
		var raw []byte
		for _, x := range src {
			raw = append(raw, encoded(tensor.F64, x)...)
		}
		got := make([]byte, len(src)*2)
		for i := 0; i < len(src); i += 16 { // a kernel gives up only what it must
			k := min(len(src), i+16)
			NewWeightedSum(out, []DType{tensor.F64}).Sum(got[2*i:2*k], [][]byte{raw[8*i : 8*k]}, []float64{1}, 1)
		}
		for i, x := range src {
			if want, _ := nearest(out, x); code(out, got, i) != want {
				t.Fatalf("%v to %v is %#x, want %#x", x, out, code(out, got, i), want)
			}
		}
	}
}
