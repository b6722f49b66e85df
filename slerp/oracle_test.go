package slerp

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"

	"slerpmerge/internal/tensor"
)

// The oracle: every type by formula, every rounding by looking for the
// neighbours, one element at a time, sharing no code with the package.

var allTypes = []tensor.DType{tensor.F64, tensor.F32, tensor.F16, tensor.BF16, tensor.F8E4M3, tensor.F8E5M2}

// layouts gives the bits of exponent and mantissa. The bias is that of IEEE
// 754 in all of them: 2^(exp-1) - 1.
var layouts = map[tensor.DType]struct{ exp, mant int }{
	tensor.F64: {11, 52}, tensor.F32: {8, 23}, tensor.F16: {5, 10}, tensor.BF16: {8, 7},
	tensor.F8E4M3: {4, 3}, tensor.F8E5M2: {5, 2},
}

// The NaN codes that the package comment promises.
var nanCodes = map[tensor.DType]uint64{
	tensor.F64: 0x7ff8000000000000, tensor.F32: 0x7fc00000, tensor.F16: 0x7e00, tensor.BF16: 0x7fc0,
	tensor.F8E4M3: 0x7f, tensor.F8E5M2: 0x7e,
}

func code(d tensor.DType, p []byte, i int) uint64 {
	switch d.Size() {
	case 1:
		return uint64(p[i])
	case 2:
		return uint64(binary.LittleEndian.Uint16(p[2*i:]))
	case 4:
		return uint64(binary.LittleEndian.Uint32(p[4*i:]))
	}
	return binary.LittleEndian.Uint64(p[8*i:])
}

func putCode(d tensor.DType, p []byte, i int, c uint64) {
	for j := range d.Size() {
		p[i*d.Size()+j] = byte(c >> (8 * j))
	}
}

// value is what a code means.
func value(d tensor.DType, c uint64) float64 {
	l := layouts[d]
	exp, frac := int(c>>l.mant)&(1<<l.exp-1), c&(1<<l.mant-1)
	sign := 1.0
	if c>>(l.exp+l.mant)&1 == 1 {
		sign = -1
	}
	top := exp == 1<<l.exp-1
	switch {
	case d == tensor.F8E4M3 && top && frac == 7, d != tensor.F8E4M3 && top && frac != 0:
		return math.NaN()
	case d != tensor.F8E4M3 && top:
		return math.Inf(int(sign))
	case exp == 0:
		return math.Copysign(math.Ldexp(float64(frac), 2-1<<(l.exp-1)-l.mant), sign)
	}
	return sign * math.Ldexp(float64(frac|1<<l.mant), exp+1-1<<(l.exp-1)-l.mant)
}

// magnitudes are the finite values of a small type from 0 up, by code, and the
// one that would follow.
var magnitudes = map[tensor.DType]func() []float64{}

func init() {
	for _, d := range allTypes[2:] {
		magnitudes[d] = sync.OnceValue(func() []float64 {
			var v []float64
			for c := uint64(0); finite(value(d, c)); c++ {
				v = append(v, value(d, c))
			}
			n := len(v)
			return append(v, 2*v[n-1]-v[n-2])
		})
	}
}

// nearest is the code that x rounds to, and whether a finite x fell off the
// upper end.
func nearest(d tensor.DType, x float64) (c uint64, over bool) {
	if x != x || math.IsInf(x, 0) && d == tensor.F8E4M3 {
		return nanCodes[d], false
	}
	switch d {
	case tensor.F64:
		return math.Float64bits(x), false
	case tensor.F32:
		y := float32(x)
		return uint64(math.Float32bits(y)), math.IsInf(float64(y), 0) && !math.IsInf(x, 0)
	}
	v := magnitudes[d]()
	lo, hi := 0, len(v)-1 // v[lo] <= |x| < v[hi], if anywhere
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; v[mid] <= math.Abs(x) {
			lo = mid
		} else {
			hi = mid
		}
	}
	half := (v[lo] + v[hi]) / 2
	if math.Abs(x) > half || math.Abs(x) == half && lo%2 == 1 {
		lo++
	}
	over = lo == len(v)-1 && !math.IsInf(x, 0)
	if over && d == tensor.F8E4M3 {
		lo--
	}
	c = uint64(lo)
	if math.Signbit(x) {
		c |= 1 << (8*d.Size() - 1)
	}
	return c, over
}

// blended is element by element what Blend promises.
func blended(out, da, db tensor.DType, a, b []byte, s0, s1 float64) ([]byte, Counts) {
	n := len(a) / da.Size()
	dst := make([]byte, n*out.Size())
	var c Counts
	wide := out.Size() > 2 || da.Size() > 2 || db.Size() > 2
	for i := range n {
		x, y := value(da, code(da, a, i)), value(db, code(db, b, i))
		z := weighed(x, y, s0, s1)
		if !wide {
			z = float64(mixed(out, float32(x), float32(y), s0, s1))
		}
		bits, over := nearest(out, z)
		putCode(out, dst, i, bits)
		if finite(x) && finite(y) && (over || !finite(z)) {
			c.Overflow++
		}
	}
	return dst, c
}

// mixed is s0*x + s1*y in float32, or weighed where the terms cancel, where the
// sum is not finite, and where a coefficient is not 0 and not a normal float32.
func mixed(out tensor.DType, x, y float32, s0, s1 float64) float32 {
	share := float32(1.0 / 32)
	if out == tensor.BF16 {
		share = 1.0 / 256
	}
	p, q := float64(float32(s0)*x), float64(float32(s1)*y)
	r := float32(p + q) // of two float32, rounding twice is rounding once
	fine := math.Abs(float64(r)) >= float64(float32(math.Abs(p)+math.Abs(q))*share) && finite(float64(r))
	for _, s := range []float64{s0, s1} {
		size := math.Abs(float64(float32(s)))
		fine = fine && (s == 0 || size >= 0x1p-126 && size <= math.MaxFloat32)
	}
	if fine {
		return r
	}
	return float32(weighed(float64(x), float64(y), s0, s1))
}

// weighed is fma(s0, x, w) - fma(-s1, y, w), w = s1*y. Where that is not finite
// and the operands are, it is made again with an exponent that has no end.
func weighed(x, y, s0, s1 float64) float64 {
	w := s1 * y
	w = math.FMA(s0, x, w) - math.FMA(-s1, y, w)
	if finite(w) {
		return w
	}
	if !finite(x) || !finite(y) || !finite(s0) || !finite(s1) {
		return float64(s0*x) + float64(s1*y)
	}
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(x) }
	round := func(x *big.Float) *big.Float { return new(big.Float).SetPrec(53).Set(x) }
	q := num(0).Mul(num(s1), num(y))
	t := round(q)
	e := round(num(0).Sub(q, t))
	f := round(num(0).Add(num(0).Mul(num(s0), num(x)), t))
	z, _ := f.Add(f, e).Float64()
	return z
}

// sums are those of values that a float64 holds.
func sums(aa, bb, ab float64) Gram { return Gram{NewWide(aa), NewWide(bb), NewWide(ab)} }

// measured is the lane rule as the package comment has it: of float64, or where
// that would overflow or underflow, of floats with as many digits.
func measured(da, db tensor.DType, a, b []byte) Gram {
	type number = *big.Float
	num := func(x float64) number { return new(big.Float).SetPrec(53).SetFloat64(x) }
	var l [3][8]float64
	var exact [3][8]number
	var beyond [3]float64 // the sum of the terms that are not finite
	far, all := false, [3]bool{true, true, true}
	for i := range len(a) / da.Size() {
		x, y := value(da, code(da, a, i)), value(db, code(db, b, i))
		for j, p := range [3][2]float64{{x, x}, {y, y}, {x, y}} {
			l[j][i%8] += float64(p[0] * p[1])
			if !finite(p[0]) || !finite(p[1]) {
				beyond[j] += p[0] * p[1]
			}
			all[j] = all[j] && finite(p[0]) && finite(p[1])
			if !all[j] || da != tensor.F64 && db != tensor.F64 {
				continue
			}
			sum := exact[j][i%8]
			if sum == nil {
				sum = num(0)
				exact[j][i%8] = sum
			}
			product := num(0).Mul(num(p[0]), num(p[1]))
			far = far || product.Sign() != 0 && (product.MantExp(nil) < -900 || product.MantExp(nil) > 900)
			sum.Add(sum, product)
		}
	}
	var s [3]Wide
	for j, v := range l {
		s[j] = NewWide(((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])))
		if !all[j] {
			s[j] = NewWide(beyond[j])
			continue
		}
		if !far {
			continue
		}
		var e [8]number
		for i, x := range exact[j] {
			if e[i] = x; x == nil {
				e[i] = num(0)
			}
		}
		add := func(x, y number) number { return num(0).Add(x, y) }
		sum := add(add(add(e[0], e[4]), add(e[2], e[6])), add(add(e[1], e[5]), add(e[3], e[7])))
		mant := num(0)
		exp := sum.MantExp(mant)
		f, _ := mant.Float64()
		s[j] = wide(f, exp)
	}
	return Gram{s[0], s[1], s[2]}
}

// A mix is a kind of random elements.
type mix int

const (
	weights mix = iota // like a model's: normal, small
	sparse             // zeros, subnormal numbers and small weights
	wild               // any code at all: NaN, infinities, huge, tiny
	edges              // mostly the ends of the type's range, rarely NaN
	numMixes
)

func random(r *rand.Rand, d tensor.DType, n int, m mix) []byte {
	p := make([]byte, n*d.Size())
	for i := range n {
		c := r.Uint64()
		switch l := layouts[d]; {
		case m == weights, m == sparse && c&3 == 0:
			scale := 0.05
			if d.Size() == 1 {
				scale = 1
			}
			c, _ = nearest(d, r.NormFloat64()*scale)
		case m == sparse && c&4 == 0:
			c = c >> 63 << (l.exp + l.mant)
		case m == sparse:
			c = c>>20&(1<<l.mant-1) | c>>63<<(l.exp+l.mant)
		case m == edges && c&15 != 0:
			// From two exponents below the top code up to its first code.
			top := uint64(1<<l.exp-1) << l.mant
			c = (top - c>>8%(2<<l.mant)) | c>>63<<(l.exp+l.mant)
		}
		putCode(d, p, i, c)
	}
	return p
}

// opposed makes b cancel a where the types are equal, but for a bit in some.
func opposed(r *rand.Rand, d tensor.DType, a []byte) []byte {
	b := make([]byte, len(a))
	for i := range len(a) / d.Size() {
		c := code(d, a, i) ^ 1<<(8*d.Size()-1)
		if r.IntN(2) == 0 {
			c ^= 1
		}
		putCode(d, b, i, c)
	}
	return b
}

func source(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func TestOracleValues(t *testing.T) {
	// Values from the standards' tables, so that the oracle itself is held.
	for _, c := range []struct {
		d    tensor.DType
		code uint64
		want float64
	}{
		{tensor.F8E4M3, 0x7e, 448}, {tensor.F8E4M3, 0x01, 0x1p-9}, {tensor.F8E4M3, 0x08, 0x1p-6},
		{tensor.F8E5M2, 0x7b, 57344}, {tensor.F8E5M2, 0x01, 0x1p-16}, {tensor.F8E5M2, 0xfc, math.Inf(-1)},
		{tensor.F16, 0x7bff, 65504}, {tensor.F16, 0x0001, 0x1p-24}, {tensor.F16, 0x3555, 0.333251953125},
		{tensor.BF16, 0x3f80, 1}, {tensor.BF16, 0x0001, 0x1p-133}, {tensor.BF16, 0x7f7f, 0x1.fep127},
		{tensor.F32, 0x7f7fffff, math.MaxFloat32}, {tensor.F32, 1, 0x1p-149}, {tensor.F64, 1, 0x1p-1074},
	} {
		if got := value(c.d, c.code); got != c.want {
			t.Errorf("%v code %#x = %v, want %v", c.d, c.code, got, c.want)
		}
	}
}
