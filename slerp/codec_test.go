package slerp

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/x448/float16"

	"slerpmerge/internal/tensor"
)

// convert is Convert on codes.
func convert(out, in tensor.DType, codes []uint64) ([]uint64, Counts) {
	src, dst := make([]byte, len(codes)*in.Size()), make([]byte, len(codes)*out.Size())
	for i, c := range codes {
		putCode(in, src, i, c)
	}
	n := NewConverter(out, in).Convert(dst, src)
	got := make([]uint64, len(codes))
	for i := range got {
		got[i] = code(out, dst, i)
	}
	return got, n
}

// TestDecodeAll widens every code of the 8-bit and 16-bit types.
func TestDecodeAll(t *testing.T) {
	for _, d := range allTypes[2:] {
		all := make([]uint64, 1<<d.Bits())
		for c := range all {
			all[c] = uint64(c)
		}
		for _, out := range allTypes[:2] {
			// Sixteen at a time: a kernel gives up a piece that has a NaN, and
			// is to be seen on all others.
			for i := 0; i < len(all); i += 16 {
				got, n := convert(out, d, all[i:i+16])
				if n != (Counts{}) {
					t.Fatalf("%v to %v: widening counts %v", d, out, n)
				}
				for j, c := range got {
					if want, _ := nearest(out, value(d, all[i+j])); c != want {
						t.Fatalf("%v %#x is %v %#x, want %#x", d, all[i+j], out, c, want)
					}
				}
			}
		}
	}
}

// TestHalfAgrees holds F16 to x448/float16, which defines it: all codes in,
// and out at, beside and between all values.
func TestHalfAgrees(t *testing.T) {
	var in []uint64
	for c := range uint64(1 << 16) {
		f := float16.Frombits(uint16(c))
		want := uint64(math.Float32bits(f.Float32()))
		if f.IsNaN() {
			want = 0x7fc00000
		}
		if got, _ := convert(tensor.F32, tensor.F16, []uint64{c}); got[0] != want {
			t.Fatalf("F16 %#x is F32 %#x, want %#x", c, got[0], want)
		}
		if !f.IsNaN() {
			// The value, half way up, and around both.
			in = append(in, want, want+1, want-1, want+0xfff, want+0x1000, want+0x1001)
		}
	}
	got, _ := convert(tensor.F16, tensor.F32, in)
	for i, c := range in {
		f := float16.Fromfloat32(math.Float32frombits(uint32(c)))
		want := uint64(f.Bits())
		if f.IsNaN() {
			want = 0x7e00
		}
		if got[i] != want {
			t.Fatalf("F32 %#x is F16 %#x, want %#x", c, got[i], want)
		}
	}
}

// TestEncodeAll rounds to every value of the small types, half way to the
// next, and to both sides of each: in float64, where one rounding differs from
// two, and in float32.
func TestEncodeAll(t *testing.T) {
	for _, out := range allTypes[2:] {
		v := magnitudes[out]()
		var xs []float64
		for i, x := range v[:len(v)-1] {
			half := (x + v[i+1]) / 2
			for _, y := range []float64{x, half} {
				xs = append(xs, y, math.Nextafter(y, math.Inf(1)), math.Nextafter(y, -1))
				xs = append(xs, float64(math.Nextafter32(float32(y), float32(math.Inf(1)))),
					float64(math.Nextafter32(float32(y), -1)))
			}
		}
		xs = append(xs, v[len(v)-1], 2*v[len(v)-1], math.MaxFloat32, 0x1.ffffffp127, 0x1p128, math.MaxFloat64, math.Inf(1),
			0x1p-149, 0x1p-150, 0x1.8p-150, 0x1p-1074)
		for _, in := range allTypes[:2] {
			for _, sign := range []float64{1, -1} {
				checkEncode(t, out, in, xs, sign)
			}
		}
	}
}

func checkEncode(t *testing.T, out, in tensor.DType, xs []float64, sign float64) {
	t.Helper()
	const group = 32 // so that what a kernel gives up is not all
	for i := 0; i < len(xs); i += group {
		var codes []uint64
		var want []uint64
		var counts Counts
		for _, x := range xs[i:min(i+group, len(xs))] {
			c, _ := nearest(in, sign*x)
			w, over := nearest(out, value(in, c))
			codes, want = append(codes, c), append(want, w)
			if x := value(in, c); over && finite(x) {
				counts.Overflow++
			} else if x != 0 && value(out, w) == 0 {
				counts.Underflow++
			}
		}
		got, n := convert(out, in, codes)
		for j := range got {
			if got[j] != want[j] {
				t.Fatalf("%v %v is %v %#x, want %#x", in, value(in, codes[j]), out, got[j], want[j])
			}
		}
		if n != counts {
			t.Fatalf("%v to %v from %v: counts %+v, want %+v", in, out, xs[i], n, counts)
		}
	}
}

// TestEncodeSingle rounds F64 to F32 as math/big does.
func TestEncodeSingle(t *testing.T) {
	r := source(2)
	xs := []float64{0x1.ffffffp127, math.Nextafter(0x1.ffffffp127, 0), 0x1p-150, math.Nextafter(0x1p-150, 1), 0x1p-149, 0}
	for range 20000 {
		xs = append(xs, math.Float64frombits(r.Uint64()), math.Ldexp(r.Float64(), r.IntN(60)-150))
	}
	for _, x := range xs {
		c, _ := nearest(tensor.F64, x)
		got, n := convert(tensor.F32, tensor.F64, []uint64{c})
		if x != x {
			if got[0] != 0x7fc00000 || n != (Counts{}) {
				t.Fatalf("NaN is %#x, %v", got[0], n)
			}
			continue
		}
		want, _ := new(big.Float).SetFloat64(x).Float32()
		counts := Counts{}
		if math.IsInf(float64(want), 0) && !math.IsInf(x, 0) {
			counts.Overflow = 1
		}
		if want == 0 && x != 0 {
			counts.Underflow = 1
		}
		if got[0] != uint64(math.Float32bits(want)) || n != counts {
			t.Fatalf("F64 %x is F32 %#x, %v, want %#x, %v", x, got[0], n, math.Float32bits(want), counts)
		}
	}
}

// TestConvertEachWay holds every pair of types to the oracle, counts included.
func TestConvertEachWay(t *testing.T) {
	r := source(3)
	for _, out := range allTypes {
		for _, in := range allTypes {
			t.Run(fmt.Sprintf("%v to %v", in, out), func(t *testing.T) {
				for m := range numMixes {
					for _, n := range []int{0, 1, 15, 16, 17, 1000, piece + strip + 5} {
						src := random(r, in, n, m)
						got := make([]byte, n*out.Size())
						counts := NewConverter(out, in).Convert(got, src)
						var want Counts
						for i := range n {
							c := code(in, src, i)
							x := value(in, c)
							w, over := nearest(out, x)
							if in == out {
								w, over = c, false
							}
							if code(out, got, i) != w {
								t.Fatalf("element %d of %d: %#x (%v) is %#x, want %#x", i, n, c, x, code(out, got, i), w)
							}
							if over {
								want.Overflow++
							} else if x != 0 && value(out, w) == 0 {
								want.Underflow++
							}
						}
						if counts != want {
							t.Fatalf("%d elements: counts %+v, want %+v", n, counts, want)
						}
					}
				}
			})
		}
	}
}

// TestPayloadsStay: the same type is a copy, NaN and all; types without
// arithmetic may be copied, too.
func TestPayloadsStay(t *testing.T) {
	got, _ := convert(tensor.F32, tensor.F32, []uint64{0xffa00001, 0x7fffffff})
	if got[0] != 0xffa00001 || got[1] != 0x7fffffff {
		t.Errorf("copied NaN became %#x", got)
	}
	if got, _ = convert(tensor.I32, tensor.I32, []uint64{0xdeadbeef}); got[0] != 0xdeadbeef {
		t.Errorf("copied I32 became %#x", got[0])
	}
}

func TestCallersMistakesPanic(t *testing.T) {
	for name, f := range map[string]func(){
		"type":            func() { NewInnerProducts(tensor.I64, tensor.F32) },
		"output type":     func() { NewBlender(tensor.BOOL, tensor.F32, tensor.F32) },
		"conversion":      func() { NewConverter(tensor.F32, tensor.U8) },
		"half an element": func() { NewInnerProducts(tensor.F32, tensor.F32).Add(make([]byte, 6), make([]byte, 6)) },
		"lengths":         func() { NewInnerProducts(tensor.F32, tensor.BF16).Add(make([]byte, 4), make([]byte, 4)) },
		"dst": func() {
			NewBlender(tensor.F16, tensor.F16, tensor.F16).Blend(make([]byte, 2), make([]byte, 4), make([]byte, 4), 1, 1)
		},
		"copy": func() { NewConverter(tensor.F16, tensor.F16).Convert(make([]byte, 2), make([]byte, 4)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
