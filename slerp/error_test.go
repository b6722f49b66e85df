package slerp

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"slerpmerge/internal/tensor"
)

// With -elements 1e9 TestError tries so many elements in all, and with -v it
// prints what it found as a table.
var tries = flag.Float64("elements", 2e6, "elements that TestError tries")

// A kind is a way to draw a pair of elements.
type kind struct {
	name string
	draw func(r *rand.Rand, d tensor.DType, s0, s1 float64) (x, y float64)
}

// kinds are drawn as float64 and rounded to the types of the operands.
var kinds = []kind{
	{"strangers", func(r *rand.Rand, d tensor.DType, _, _ float64) (x, y float64) {
		return 0.05 * r.NormFloat64(), 0.05 * r.NormFloat64()
	}},
	{"siblings", func(r *rand.Rand, d tensor.DType, _, _ float64) (x, y float64) {
		x = 0.05 * r.NormFloat64()
		return x, x + 0.002*r.NormFloat64()
	}},
	{"cancelling", func(r *rand.Rand, d tensor.DType, s0, s1 float64) (x, y float64) {
		x = r.NormFloat64()
		return x, -x * s0 / s1 * (1 + float64(r.IntN(5)-2)*math.Ldexp(1, -layouts[d].mant))
	}},
	// Around the greatest values of the type, many of which cancel.
	{"greatest", func(r *rand.Rand, d tensor.DType, s0, s1 float64) (x, y float64) {
		top := math.Ldexp(1, 1<<(layouts[d].exp-1)-r.IntN(3))
		x = top * (2*r.Float64() - 1)
		if r.IntN(2) == 0 {
			return x, top * (2*r.Float64() - 1)
		}
		return x, -x * s0 / s1 * (1 + 0.01*r.NormFloat64())
	}},
	// Around the least ones.
	{"least", func(r *rand.Rand, d tensor.DType, s0, s1 float64) (x, y float64) {
		low := math.Ldexp(1, 3-1<<(layouts[d].exp-1)-r.IntN(layouts[d].mant+3))
		return low * r.NormFloat64(), low * r.NormFloat64()
	}},
	{"any size", func(r *rand.Rand, d tensor.DType, s0, s1 float64) (x, y float64) {
		most := float64(int(1)<<(layouts[d].exp-1)) - 3
		x, y = math.Exp2(most*(2*r.Float64()-1)), math.Exp2(most*(2*r.Float64()-1))
		if r.IntN(2) == 0 {
			y = -y
		}
		return x, y
	}},
}

// someCoefficients are what a tensor pair may have.
func someCoefficients(r *rand.Rand) (s0, s1 float64) {
	ts := []float64{0.5, 0.5, r.Float64(), r.Float64(), 1e-3, 1 - 1e-3, 1e-17, 1 - 0x1p-53, 1e-40, 0x1p-130, 1e-300, 1.5, -0.25, 20}
	t := ts[r.IntN(len(ts))]
	if r.IntN(4) == 0 {
		return 1 - t, t
	}
	c := Interpolate(sums(1, 1, 2*r.Float64()-1), t)
	return c.S0, c.S1
}

// TestError holds what Blend makes of pairs of every kind to the exact
// s0*x + s1*y, in units of the last place of the output (ulp), and the kernels
// to the definition.
//
// The last rounding costs 0.5. In float32, sums that keep at least 1/K of
// their terms are off by (2K+1) * 2^-24 of themselves at most: the
// coefficients and the products have an error of 2^-24 of the terms each, the
// sum 2^-24 of itself. That is 513 * 2^-16 ulp of BF16 (K = 256) and
// 65 * 2^-13 ulp of F16 (K = 32). The others, and all where F32 or F64 is read
// or written, are within 1.5 ulp of float64 before they are rounded, to float32
// first if there is one.
func TestError(t *testing.T) {
	type row struct {
		out, a, b tensor.DType
		bound     float64
	}
	rows := []row{
		{tensor.BF16, tensor.BF16, tensor.BF16, 0.51}, {tensor.F16, tensor.F16, tensor.F16, 0.51},
		{tensor.BF16, tensor.BF16, tensor.F16, 0.51}, {tensor.F16, tensor.BF16, tensor.F16, 0.51},
		{tensor.F16, tensor.BF16, tensor.BF16, 0.51}, {tensor.BF16, tensor.F16, tensor.F16, 0.51},
		{tensor.F8E4M3, tensor.F8E4M3, tensor.F8E4M3, 0.51}, {tensor.F8E5M2, tensor.F8E5M2, tensor.F8E5M2, 0.51},
		{tensor.F8E4M3, tensor.BF16, tensor.BF16, 0.51}, {tensor.BF16, tensor.F8E5M2, tensor.F8E4M3, 0.51},
		{tensor.F32, tensor.F32, tensor.F32, 0.5001}, {tensor.BF16, tensor.F32, tensor.F32, 0.5001}, {tensor.F16, tensor.F32, tensor.F32, 0.5001},
		{tensor.F8E5M2, tensor.F32, tensor.F32, 0.5001}, {tensor.F32, tensor.BF16, tensor.BF16, 0.5001},
		{tensor.F32, tensor.F16, tensor.BF16, 0.5001}, {tensor.BF16, tensor.F32, tensor.BF16, 0.5001},
		{tensor.F64, tensor.F64, tensor.F64, 1.5}, {tensor.BF16, tensor.F64, tensor.F64, 0.5001}, {tensor.F32, tensor.F64, tensor.F32, 0.5001},
		{tensor.F64, tensor.F32, tensor.F32, 1.5}, {tensor.F64, tensor.F64, tensor.BF16, 1.5},
	}
	for i, c := range rows {
		t.Run(fmt.Sprintf("%v,%v,%v", c.a, c.b, c.out), func(t *testing.T) {
			t.Parallel()
			n := int(*tries) / len(rows) / len(kinds)
			if max(c.a.Size(), c.b.Size(), c.out.Size()) == 8 { // which math/big takes a hundred times as long for
				n /= 10
			}
			for j, k := range kinds {
				e := measureError(t, source(uint64(100*i+j+20)), k, c.out, c.a, c.b, n)
				t.Logf("%-10s %10d elements, %10.4g ulp without mending, %8.6f ulp, %8.4f%% made again",
					k.name, e.tried, e.before, e.worst, 100*float64(e.redone)/float64(max(1, e.normal)))
				if e.worst > c.bound {
					t.Errorf("%s: %.6f ulp, bound %v", k.name, e.worst, c.bound)
				}
				// A sample that never comes near a tie shows nothing.
				if e.worst < 0.48 && e.tried > 2000 {
					t.Errorf("%s: only %v ulp: the sample is too small", k.name, e.worst)
				}
			}
		})
	}
}

// An errorCount is the outcome of a sample: the elements whose results are
// finite and the greatest errors; of those with coefficients that are normal
// numbers in float32, how many were made again in float64.
type errorCount struct {
	tried         int
	normal        int
	redone        int
	worst, before float64 // before: without the mending of terms that cancel
}

func measureError(t *testing.T, r *rand.Rand, k kind, out, da, db tensor.DType, n int) (e errorCount) {
	const run = 1000
	b := NewBlender(out, da, db)
	x, y := make([]float64, run), make([]float64, run)
	pa, pb := make([]byte, run*da.Size()), make([]byte, run*db.Size())
	got, old, fast := make([]byte, run*out.Size()), make([]byte, run*out.Size()), make([]byte, run*out.Size())
	z, was := make([]float64, run), make([]float64, run)
	narrow := max(da.Size(), db.Size(), out.Size()) <= 2
	of := da // the type of least range
	for _, d := range []tensor.DType{db, out} {
		if layouts[d].exp < layouts[of].exp {
			of = d
		}
	}
	for ; n > 0; n -= run {
		s0, s1 := someCoefficients(r)
		for i := range x {
			x[i], y[i] = k.draw(r, of, s0, s1)
		}
		encode64(da, pa, x)
		encode64(db, pb, y)
		detected.decode64(da, x, pa)
		detected.decode64(db, y, pb)
		b.Blend(fast, pa, pb, s0, s1)
		for i := range x {
			if z[i] = weighed(x[i], y[i], s0, s1); narrow {
				z[i] = float64(mixed(out, float32(x[i]), float32(y[i]), s0, s1))
			}
			if was[i] = float64(s0*x[i]) + float64(s1*y[i]); narrow {
				was[i] = float64(float32(float32(s0)*float32(x[i])) + float32(float32(s1)*float32(y[i])))
			}
		}
		encode64(out, got, z)
		if !bytes.Equal(got, fast) {
			t.Fatalf("%v, %v to %v with %v, %v: not as defined", da, db, out, s0, s1)
		}
		encode64(out, old, was)
		detected.decode64(out, z, got)
		detected.decode64(out, was, old)
		for i := range x {
			if !finite(x[i]) || !finite(y[i]) {
				continue
			}
			far := distance
			if da == tensor.F64 || db == tensor.F64 || out == tensor.F64 {
				far = distanceBig
			}
			if d := far(out, x[i], y[i], s0, s1, z[i]); d >= 0 {
				e.tried++
				e.worst = max(e.worst, d)
				e.before = max(e.before, far(out, x[i], y[i], s0, s1, was[i]))
				if !isNormal32(s0) || !isNormal32(s1) {
					continue
				}
				e.normal++
				if narrow && again(out, float32(x[i]), float32(y[i]), s0, s1) {
					e.redone++
				}
			}
		}
	}
	return e
}

// again reports whether an element of narrow types is made in float64.
func again(out tensor.DType, x, y float32, s0, s1 float64) bool {
	p, q := float32(s0)*x, float32(s1)*y
	r := math.Abs(float64(p + q))
	return !finite(r) || r < (math.Abs(float64(p))+math.Abs(float64(q)))*float64(nearness(out))
}

// place is the value of the last place of a result near v, and what follows
// the greatest value, which stands for an infinity.
func place(out tensor.DType, exp int) (ulp, end float64) {
	l := layouts[out]
	bias := 1<<(l.exp-1) - 1
	if out == tensor.F8E4M3 {
		return math.Ldexp(1, max(exp, 1-bias)-l.mant), 480
	}
	return math.Ldexp(1, max(exp, 1-bias)-l.mant), math.Ldexp(1, bias+1)
}

// distance is how far z is from s0*x + s1*y in ulp, to 30 digits of the greater
// term, which is enough for values of 32 bits. It is -1 where the exact value is
// beyond the type, and z is as it must be.
func distance(out tensor.DType, x, y, s0, s1, z float64) float64 {
	p, q := s0*x, s1*y
	pe, qe := math.FMA(s0, x, -p), math.FMA(s1, y, -q)
	sum, se := twoSum(p, q)
	v := sum + (se + (pe + qe))
	_, exp := math.Frexp(v)
	ulp, end := place(out, exp-1)
	if math.Abs(v) >= end-ulp {
		if e4m3 := out == tensor.F8E4M3; e4m3 && math.Abs(z) == 448 || !e4m3 && math.Abs(z) >= end-ulp {
			return -1
		}
	}
	switch {
	case z != z:
		return math.Inf(1)
	case math.IsInf(z, 0):
		z = math.Copysign(end, z)
	}
	diff, de := twoSum(sum, -z)
	return math.Abs(diff+(de+(se+(pe+qe)))) / ulp
}

// twoSum is x + y and its error.
func twoSum(x, y float64) (sum, err float64) {
	sum = x + y
	b := sum - x
	return sum, (x - (sum - b)) + (y - b)
}

// distanceBig is distance for any values.
func distanceBig(out tensor.DType, x, y, s0, s1, z float64) float64 {
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(4500).SetFloat64(x) }
	v := num(0).Add(num(0).Mul(num(s0), num(x)), num(0).Mul(num(s1), num(y)))
	l := layouts[out]
	bias := 1<<(l.exp-1) - 1
	exp := max(v.MantExp(nil)-1, 1-bias)
	if exp > bias || exp == bias && num(0).Abs(v).Cmp(num(math.Ldexp(2-math.Ldexp(1, -l.mant), bias))) >= 0 {
		if math.Abs(z) >= math.Ldexp(2-math.Ldexp(1, -l.mant), bias) {
			return -1
		}
	}
	switch {
	case z != z:
		return math.Inf(1)
	case math.IsInf(z, 0):
		v.Sub(v, num(0).SetMantExp(num(math.Copysign(1, z)), bias+1))
	default:
		v.Sub(v, num(z))
	}
	d, _ := v.SetMantExp(v, l.mant-exp).Float64()
	return math.Abs(d)
}
