//go:build amd64 && !noasm && gc

package slerp

import (
	"bytes"
	"math"
	"testing"

	"slerpmerge/internal/tensor"
)

func skipWithoutAsm(t *testing.T) {
	if detected == noKernels {
		t.Skip("this processor does not run the kernels")
	}
}

// TestKernelsEqualDefinition compares bit for bit, for all types that kernels
// take part in, over pieces, tails and kinds of elements.
func TestKernelsEqualDefinition(t *testing.T) {
	t.Parallel()
	skipWithoutAsm(t)
	r := source(9)
	sizes := []int{2*piece + 1000, piece + 15, strip + 1}
	for n := range 66 {
		sizes = append(sizes, n)
	}
	for _, da := range allTypes[1:] {
		for _, db := range allTypes[1:] {
			for i, n := range sizes {
				pair := randomPair(r, da, db, n, mix(i)%numMixes)
				a, b := somewhere(pair[0], i%9), somewhere(pair[1], i%11)
				s := scales[r.IntN(len(scales))]
				fast := NewInnerProducts(da, db)
				fast.Add(a, b)
				slow := noKernels.newInnerProducts(da, db)
				slow.Add(a, b)
				if !same(fast.Gram(), slow.Gram()) {
					t.Fatalf("measuring %d of %v, %v: %x, defined as %x", n, da, db, fast.Gram(), slow.Gram())
				}
				for _, out := range allTypes[1:4] {
					got, want := make([]byte, n*out.Size()), make([]byte, n*out.Size())
					c := NewBlender(out, da, db).Blend(got, a, b, s[0], s[1])
					defined := noKernels.newBlender(out, da, db).Blend(want, a, b, s[0], s[1])
					if !bytes.Equal(got, want) || c != defined {
						t.Fatalf("blending %d of %v, %v to %v with %v: bytes or counts differ", n, da, db, out, s)
					}
					c = NewConverter(out, da).Convert(got, a)
					defined = noKernels.newConverter(out, da).Convert(want, a)
					if !bytes.Equal(got, want) || c != defined {
						t.Fatalf("converting %d of %v to %v: bytes or counts differ", n, da, out)
					}
				}
			}
		}
	}
}

// sets are the kernels that this processor runs.
func sets() (s []kernelSet) {
	for k := avx2; k <= detected; k++ {
		s = append(s, k)
	}
	return s
}

// TestSumKernelsEqualDefinition does so for products and sums of any number of tensors.
func TestSumKernelsEqualDefinition(t *testing.T) {
	t.Parallel()
	skipWithoutAsm(t)
	r := source(14)
	for i := range 2000 {
		set := sets()[r.IntN(len(sets()))]
		n, count := r.IntN(71), 1+r.IntN(9)
		switch {
		case i%20 == 0:
			n = r.IntN(2*strip + 100)
		case i%20 == 1:
			count = 10 + r.IntN(12)
		}
		in, x := someTensors(r, count, n, mix(r.IntN(int(numMixes))))
		base := max(-1, r.IntN(2*count)-count)
		fast, slow := set.newProducts(in, base), noKernels.newProducts(in, base)
		fast.Add(x)
		slow.Add(x)
		if !sameGrams(fast.Grams(nil), slow.Grams(nil)) {
			t.Fatalf("set %d: products of %d of %v, base %d: %x, defined as %x", set, n, in, base, fast.Grams(nil), slow.Grams(nil))
		}
		out := in[0]
		if i%3 == 0 {
			out = allTypes[r.IntN(len(allTypes))]
		}
		w, divisor := someSum(r, count)
		got, want := make([]byte, n*out.Size()), make([]byte, n*out.Size())
		c := set.newWeightedSum(out, in).Sum(got, x, w, divisor)
		defined := noKernels.newWeightedSum(out, in).Sum(want, x, w, divisor)
		if !bytes.Equal(got, want) || c != defined {
			t.Fatalf("set %d: sums of %d of %v to %v with %v over %v: bytes or counts differ", set, n, in, out, w, divisor)
		}
	}
}

// TestGramKernels compares every kernel of products with the definition: weights, any
// codes, parents that are near a base, with which differences are exact in
// float32, and some that are not.
func TestGramKernels(t *testing.T) {
	t.Parallel()
	skipWithoutAsm(t)
	r := source(15)
	for _, set := range sets() {
		for _, d := range allTypes[1:4] {
			for count := 2; count <= 9; count++ {
				for base := -1; base < 2; base++ {
					for k, n := range []int{gramPiece + 16*r.IntN(9), 2*gramPiece + 37, 16 + r.IntN(40), r.IntN(16)} {
						in, x := []DType{}, [][]byte{}
						first := random(r, d, n, mix(k)%numMixes)
						for i := range count {
							p := random(r, d, n, mix(k)%numMixes)
							if k < 2 && i > 0 {
								p = opposed(r, d, opposed(r, d, first))
							}
							in, x = append(in, d), append(x, somewhere(p, r.IntN(9)))
						}
						fast, slow := set.newProducts(in, base), noKernels.newProducts(in, base)
						for range 2 { // the lanes go on
							fast.Add(x)
							slow.Add(x)
						}
						if !sameGrams(fast.Grams(nil), slow.Grams(nil)) {
							t.Fatalf("set %d: %d of %d %v, base %d: %x, defined as %x", set, n, count, d, base, fast.Grams(nil), slow.Grams(nil))
						}
					}
				}
			}
		}
	}
}

// TestInexactDifferences: kernels that make differences in float32 do their work where these are
// exact, or not finite, and leave the lanes alone where one is not.
func TestInexactDifferences(t *testing.T) {
	skipWithoutAsm(t)
	if detected != avx512 {
		t.Skip("only kernels with AVX-512 make differences in float32")
	}
	const n = 64
	for _, c := range []struct {
		in    DType
		x, b  float64
		exact bool
	}{
		{tensor.BF16, 1, 0x1p-16, true}, {tensor.BF16, 1, 0x1p-24, true}, {tensor.BF16, 1, -0x1p-24, false}, {tensor.BF16, 1.5, 0x1p-25, false},
		{tensor.BF16, 0x1.fep127, -0x1.fep127, false}, {tensor.BF16, 0, 0, true}, {tensor.BF16, 3, 3, true}, {tensor.BF16, math.Inf(1), 1, true},
		{tensor.BF16, math.Inf(1), math.Inf(1), true}, {tensor.BF16, math.NaN(), 1, true}, {tensor.BF16, 0x1p-133, -0x1p-133, true},
		{tensor.F16, 1, 0x1p-24, true}, {tensor.F16, 65504, 0x1p-24, false},
	} {
		for count := 2; count <= 8; count++ {
			in, x := []DType{}, [][]byte{}
			for range count + 1 {
				in, x = append(in, c.in), append(x, random(source(16), c.in, n, weights))
			}
			for k := range x {
				v := c.b
				if k == count-1 {
					v = c.x
				}
				code, _ := nearest(c.in, v)
				putCode(c.in, x[k], n-1, code)
			}
			p := NewProducts(in, count)
			for i := range x {
				p.addresses[i] = &x[i][0]
			}
			done := p.addPiece(0, n)
			if done != c.exact {
				t.Errorf("%d %v, %v - %v: kept its work: %v", count, c.in, c.x, c.b, done)
			}
			for _, l := range p.lanes {
				if !done && l != [8]float64{} {
					t.Errorf("%d %v, %v - %v: %v in the lanes", count, c.in, c.x, c.b, l)
				}
			}
		}
	}
}

// TestKernelsAtLength compares kernels with the definition on as many elements
// as -elements says: weights of about one size, of strangers and of parents that
// cancel but for their last bits, and any codes that are finite.
func TestKernelsAtLength(t *testing.T) {
	t.Parallel()
	skipWithoutAsm(t)
	const n = 1 << 16
	r := source(13)
	pairs := []struct{ out, in tensor.DType }{{tensor.BF16, tensor.BF16}, {tensor.F16, tensor.F16}, {tensor.F16, tensor.BF16},
		{tensor.BF16, tensor.F16}, {tensor.F32, tensor.F32}, {tensor.BF16, tensor.F32}, {tensor.F16, tensor.F32}}
	codes := func(d tensor.DType, near bool) []byte {
		p := make([]byte, n*d.Size())
		l := layouts[d]
		for i := range n {
			c := r.Uint64()
			exp := c >> 40 % (1<<l.exp - 1)
			if near {
				exp = uint64(1<<(l.exp-1)-8) + c>>40&3
			}
			putCode(d, p, i, c&(1<<l.mant-1)|exp<<l.mant|c>>63<<(l.exp+l.mant))
		}
		return p
	}
	for left := int(*tries); left > 0; {
		for _, c := range pairs {
			fast, slow := NewBlender(c.out, c.in, c.in), noKernels.newBlender(c.out, c.in, c.in)
			got, want := make([]byte, n*c.out.Size()), make([]byte, n*c.out.Size())
			for k := range 4 {
				a, b := codes(c.in, k != 3), codes(c.in, k != 3)
				s0, s1 := someCoefficients(r)
				if k == 1 {
					b, s1 = opposed(r, c.in, a), s0
				}
				fast.Blend(got, a, b, s0, s1)
				slow.Blend(want, a, b, s0, s1)
				if !bytes.Equal(got, want) {
					t.Fatalf("%v to %v with %v, %v: not as defined", c.in, c.out, s0, s1)
				}
				left -= n
			}
		}
	}
}

// TestKernelsKeepTheirWork fails if a kernel gives up without need, which no
// other test would notice but by the clock, or keeps what it must give up.
func TestKernelsKeepTheirWork(t *testing.T) {
	t.Parallel()
	skipWithoutAsm(t)
	r := source(10)
	const n = 999
	for _, c := range []struct{ out, in tensor.DType }{{tensor.BF16, tensor.BF16}, {tensor.F16, tensor.F16},
		{tensor.F32, tensor.F32}, {tensor.BF16, tensor.F32}, {tensor.F16, tensor.F32}} {
		blend := detected.blendKernel(c.out, c.in)
		dst := make([]byte, n*c.out.Size())
		for _, m := range []mix{weights, sparse} {
			a, b := random(r, c.in, n, m), random(r, c.in, n, m)
			// Only F32 to BF16 gives up subnormal results.
			ok := c.in != tensor.F32 || c.out != tensor.BF16 || m == weights
			if blend(dst, a, b, 0.5, 0.5, nearness(c.out)) != ok {
				t.Errorf("blending %v to %v, mix %d: kept its work: %v", c.in, c.out, m, !ok)
			}
		}
		for _, i := range []int{0, n - 1} {
			a := random(r, c.in, n, weights)
			putCode(c.in, a, i, nanCodes[c.in])
			if blend(dst, a, a, 0.5, 0.5, nearness(c.out)) {
				t.Errorf("blending %v to %v: overlooked the NaN at %d", c.in, c.out, i)
			}
		}
	}
	for _, in := range allTypes[1:4] {
		for _, out := range allTypes[1:4] {
			kernel := detected.convertKernel(out, in)
			if (kernel != nil) != (in != out && (in == tensor.F32 || out == tensor.F32)) {
				t.Errorf("%v to %v: kernel exists: %v", in, out, kernel != nil)
			}
			if kernel == nil {
				continue
			}
			dst := make([]byte, n*out.Size())
			for _, m := range []mix{weights, sparse} {
				if _, ok := kernel(dst, random(r, in, n, m)); !ok {
					t.Errorf("converting %v to %v, mix %d: gave up", in, out, m)
				}
			}
		}
	}
	for _, out := range allTypes[1:4] {
		src := make([]float64, n)
		detected.decode64(tensor.F16, src, random(r, tensor.F16, n, sparse))
		dst := make([]byte, n*out.Size())
		if !detected.narrow64(out, dst, src) {
			t.Errorf("narrowing to %v: gave up", out)
		}
		for _, set := range sets() {
			for _, m := range []mix{weights, sparse} {
				x := random(r, out, n, m)
				k := set.newWeightedSum(out, []DType{out, out})
				if !k.mix(dst, [][]byte{x, x}, 0, []float64{0.3, 0.7}, 3) {
					t.Errorf("set %d: summing %v, mix %d: gave up", set, out, m)
				}
				putCode(out, x, n-1, nanCodes[out])
				if k.mix(dst, [][]byte{x, x}, 0, []float64{0.3, 0.7}, 3) {
					t.Errorf("set %d: summing %v: overlooked the NaN", set, out)
				}
			}
		}
		for _, i := range []int{0, n - 1} {
			was := src[i]
			if src[i] = limit(out); detected.narrow64(out, dst, src) {
				t.Errorf("narrowing to %v: overlooked the overflow at %d", out, i)
			}
			if src[i] = math.Float64frombits(0x7ff0_0000_0000_0001); detected.narrow64(out, dst, src) {
				t.Errorf("narrowing to %v: overlooked the NaN at %d", out, i)
			}
			src[i] = was
		}
	}
	for _, out := range []tensor.DType{tensor.F32, tensor.F16, tensor.BF16} {
		for _, wide := range []bool{true, false} {
			if (detected.joinKernel(out, wide) != nil) != (wide || out != tensor.F32) {
				t.Errorf("joining to %v, wide %v: kernel exists: %v", out, wide, detected.joinKernel(out, wide) != nil)
			}
		}
	}
}
