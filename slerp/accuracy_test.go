package slerp

import (
	"math"
	"math/big"
	"testing"

	"slerpmerge/internal/tensor"
)

// TestAccuracy measures how far blended elements are from the exact s0*a +
// s1*b, in units of the last place of the output (ulp), for terms that do not
// cancel and results that are normal numbers. The last rounding costs 0.5. What goes
// before it, per unit of a result v in [1, 2), with u = 2^-24 in float32 and
// 2^-53 in float64: the coefficients rounded, v*u (not in float64); the
// products, v*u; the sum, u (half an ulp). Together less than 5u, which is
// 5*2^-24 / 2^-7 = 4e-5 ulp of BF16 and 5*2^-24 / 2^-10 = 3.1e-4 ulp of F16.
// So F16, of 16-bit parents, may miss the 0.5001 that the others keep.
func TestAccuracy(t *testing.T) {
	for _, c := range []struct {
		out, in tensor.DType
		bound   float64
	}{
		{tensor.BF16, tensor.BF16, 0.5 + 5*0x1p-17},
		{tensor.BF16, tensor.F16, 0.5 + 5*0x1p-17},
		{tensor.BF16, tensor.F32, 0.5 + 3*0x1p-46},
		{tensor.F16, tensor.F16, 0.5 + 5*0x1p-14},
		{tensor.F16, tensor.BF16, 0.5 + 5*0x1p-14},
		{tensor.F16, tensor.F32, 0.5 + 3*0x1p-43},
		{tensor.F32, tensor.F32, 0.5 + 3*0x1p-30},
		{tensor.F32, tensor.BF16, 0.5 + 3*0x1p-30},
	} {
		got := worst(c.out, c.in)
		t.Logf("%v to %v: %.7f ulp, bound %.7f", c.in, c.out, got, c.bound)
		if got > c.bound {
			t.Errorf("%v to %v: %.9f ulp, bound %.9f", c.in, c.out, got, c.bound)
		}
		// A sample that never comes near a tie shows nothing.
		if got < 0.499 {
			t.Errorf("%v to %v: only %v ulp: the sample is too small", c.in, c.out, got)
		}
	}
}

// worst is the greatest error, in ulp, over a random sample.
func worst(out, in tensor.DType) (most float64) {
	const n = 2000
	r := source(12)
	k := NewBlender(out, in, in)
	dst, a, b := make([]byte, n*out.Size()), make([]byte, n*in.Size()), make([]byte, n*in.Size())
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }
	for range 25 {
		for i := range n {
			x, _ := nearest(in, 0.5+r.Float64())
			y, _ := nearest(in, 0.5+r.Float64())
			putCode(in, a, i, x)
			putCode(in, b, i, y)
		}
		s0, s1 := r.Float64(), r.Float64()
		k.Blend(dst, a, b, s0, s1)
		s0big, s1big := num(s0), num(s1)
		for i := range n {
			x, y := num(value(in, code(in, a, i))), num(value(in, code(in, b, i)))
			exact := x.Add(x.Mul(x, s0big), y.Mul(y, s1big))
			diff, _ := num(0).Sub(num(value(out, code(out, dst, i))), exact).Float64()
			ulp := math.Ldexp(1, exact.MantExp(nil)-1-layouts[out].mant)
			most = max(most, math.Abs(diff)/ulp)
		}
	}
	return most
}
