package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	infBF16  = 0x7f80
	limBF16  = 0x7f7f_8000 // the least float32 that rounds to infinity in BF16
	limF16   = 0x477f_f000 // the same in F16: 65520
	limF32   = 0x7f80_0000
	leastF32 = 0x0080_0000 // the least normal float32
)

func blend(name, scalar, doc string) (dst, a, b reg.GPVirtual) {
	TEXT(name, NOSPLIT, "func(dst, a, b *byte, n int, s0, s1 "+scalar+") (bad uint32)")
	Doc(doc, "n is a multiple of 16, not 0. bad is 0 if every result is right.")
	Pragma("noescape")
	return pointer("dst"), pointer("a"), pointer("b")
}

// A watch remembers the greatest magnitude of the float32 results, as a code.
// NaN codes are the greatest of all. With least it remembers the smallest
// magnitude above 0, too, less 1 so that 0 becomes the greatest.
type watch struct {
	abs, most  reg.VecVirtual
	one, least reg.VecVirtual
}

func newWatch() *watch {
	return &watch{abs: all32("magnitude", 0x7fff_ffff), most: zero()}
}

func (w *watch) see(y reg.VecVirtual) {
	t := YMM()
	VPAND(w.abs, y, t)
	VPMAXUD(t, w.most, w.most)
	if w.least != nil {
		VPSUBD(w.one, t, t)
		VPMINUD(t, w.least, w.least)
	}
}

// verdict returns whether the greatest magnitude has reached limit or the
// smallest is that of a subnormal float32.
func (w *watch) verdict(limit uint32) {
	bad := YMM()
	VPCMPGTD(all32(fmt.Sprintf("beyond%X", limit-1), limit-1), w.most, bad)
	if w.least != nil {
		t := YMM()
		VPMINUD(all32("small", leastF32-2), w.least, t)
		VPCMPEQD(t, w.least, t)
		VPOR(t, bad, bad)
	}
	report(bad)
	VZEROUPPER()
	RET()
}

func report(bad reg.VecVirtual) {
	mask := GP32()
	VPMOVMSKB(bad, mask)
	Store(mask, ReturnIndex(0))
}

// weigh32 is s0*x + s1*y in float32, each operation rounded. It ends in x.
func weigh32(x, y, s0, s1 reg.VecVirtual) reg.VecVirtual {
	VMULPS(s0, x, x)
	VMULPS(s1, y, y)
	VADDPS(y, x, x)
	return x
}

func weigh64(x, y, s0, s1 reg.VecVirtual) reg.VecVirtual {
	VMULPD(s0, x, x)
	VMULPD(s1, y, y)
	VADDPD(y, x, x)
	return x
}

// A rounder rounds float32 codes to BF16, to nearest even, in the upper half.
type rounder struct{ below, one reg.VecVirtual }

func newRounder() rounder {
	return rounder{all32("belowHalf", 0x7fff), all32("one", 1)}
}

func (r rounder) round(y reg.VecVirtual) {
	last := YMM()
	VPSRLD(operand.Imm(16), y, last)
	VPAND(r.one, last, last)
	VPADDD(r.below, y, y)
	VPADDD(last, y, y)
}

// pack stores sixteen BF16 elements from the upper halves of low and high.
func pack(low, high reg.VecVirtual, m operand.Mem) {
	VPSRLD(operand.Imm(16), low, low)
	VPSRLD(operand.Imm(16), high, high)
	VPACKUSDW(high, low, low)
	VPERMQ(operand.Imm(0b11_01_10_00), low, low)
	VMOVDQU(low, m)
}

func blendBF16() {
	dst, a, b := blend("blendBF16", "float32", "blendBF16 is dst = s0*a + s1*b in float32, BF16 to BF16.")
	s0, s1 := scalars32()
	upper, abs := all32("upperHalf", 0xffff_0000), all32("magnitudes", 0x7fff_7fff)
	r, most := newRounder(), zero()
	split := func(m operand.Mem) (even, odd reg.VecVirtual) {
		even, odd = YMM(), YMM()
		VMOVDQU(m, odd)
		VPSLLD(operand.Imm(16), odd, even)
		VPAND(upper, odd, odd)
		return even, odd
	}
	loop(func() {
		xe, xo := split(at(a, 0))
		ye, yo := split(at(b, 0))
		even, odd := weigh32(xe, ye, s0, s1), weigh32(xo, yo, s0, s1)
		r.round(even)
		r.round(odd)
		VPSRLD(operand.Imm(16), even, even)
		VPBLENDW(operand.Imm(0b10101010), odd, even, even)
		VMOVDQU(even, at(dst, 0))
		VPAND(abs, even, even)
		VPMAXUW(even, most, most)
	}, stream{a, 2}, stream{b, 2}, stream{dst, 2})
	bad := YMM()
	VPCMPGTW(all32("beyonds", (infBF16-1)<<16|(infBF16-1)), most, bad)
	report(bad)
	VZEROUPPER()
	RET()
}

func blendF16() {
	dst, a, b := blend("blendF16", "float32", "blendF16 is dst = s0*a + s1*b in float32, F16 to F16.")
	s0, s1 := scalars32()
	w := newWatch()
	loop(func() {
		for off := 0; off < step; off += 8 {
			x, y := YMM(), YMM()
			VCVTPH2PS(at(a, 2*off), x)
			VCVTPH2PS(at(b, 2*off), y)
			x = weigh32(x, y, s0, s1)
			w.see(x)
			VCVTPS2PH(operand.Imm(0), x, at(dst, 2*off))
		}
	}, stream{a, 2}, stream{b, 2}, stream{dst, 2})
	w.verdict(limF16)
}

func joinBF16() {
	dst, a, b := blend("joinBF16", "float32", "joinBF16 is dst = s0*a + s1*b in float32, F32 to BF16.")
	s0, s1 := scalars32()
	w, r := newWatch(), newRounder()
	loop(func() {
		var out [2]reg.VecVirtual
		for i := range out {
			x, y := YMM(), YMM()
			VMULPS(at(a, 32*i), s0, x)
			VMULPS(at(b, 32*i), s1, y)
			VADDPS(y, x, x)
			w.see(x)
			r.round(x)
			out[i] = x
		}
		pack(out[0], out[1], at(dst, 0))
	}, stream{a, 4}, stream{b, 4}, stream{dst, 2})
	w.verdict(limBF16)
}

func joinF16() {
	dst, a, b := blend("joinF16", "float32", "joinF16 is dst = s0*a + s1*b in float32, F32 to F16.")
	s0, s1 := scalars32()
	w := newWatch()
	loop(func() {
		for i := range 2 {
			x, y := YMM(), YMM()
			VMULPS(at(a, 32*i), s0, x)
			VMULPS(at(b, 32*i), s1, y)
			VADDPS(y, x, x)
			w.see(x)
			VCVTPS2PH(operand.Imm(0), x, at(dst, 16*i))
		}
	}, stream{a, 4}, stream{b, 4}, stream{dst, 2})
	w.verdict(limF16)
}

// sum64 is s0*a + s1*b of eight F32 elements in float64, each half passed
// through shape, as float32.
func sum64(a, b operand.Mem, s0, s1 reg.VecVirtual, shape func(reg.VecVirtual)) reg.VecVirtual {
	var out [2]reg.VecVirtual
	for i := range out {
		d := weigh64(single64(a.Offset(16*i)), single64(b.Offset(16*i)), s0, s1)
		shape(d)
		out[i] = XMM()
		VCVTPD2PSY(d, out[i])
	}
	y := YMM()
	VINSERTF128(operand.Imm(1), out[1], out[0].AsY(), y)
	return y
}

func blendF32() {
	dst, a, b := blend("blendF32", "float64", "blendF32 is dst = s0*a + s1*b in float64, F32 to F32.")
	s0, s1 := scalars64()
	w := newWatch()
	loop(func() {
		for off := 0; off < step; off += 8 {
			y := sum64(at(a, 4*off), at(b, 4*off), s0, s1, func(reg.VecVirtual) {})
			VMOVUPS(y, at(dst, 4*off))
			w.see(y)
		}
	}, stream{a, 4}, stream{b, 4}, stream{dst, 4})
	w.verdict(limF32)
}

// roundOdd cuts a float64 to the 24 bits of a normal float32, setting the last
// of them if any bit is lost: adding ones to what is cut carries if it is not 0.
func roundOdd(cut reg.VecVirtual) func(d reg.VecVirtual) {
	return func(d reg.VecVirtual) {
		t := YMM()
		VPAND(cut, d, t)
		VPADDQ(cut, t, t)
		VPOR(t, d, d)
		VPANDN(d, cut, d)
	}
}

func blendF32ToBF16() {
	dst, a, b := blend("blendF32ToBF16", "float64",
		"blendF32ToBF16 is dst = s0*a + s1*b in float64, F32 to BF16, rounded once. It leaves subnormal results to the caller.")
	s0, s1 := scalars64()
	cut := all64("cut", 1<<29-1)
	w, r := newWatch(), newRounder()
	w.one, w.least = r.one, YMM()
	VPCMPEQD(w.least, w.least, w.least)
	loop(func() {
		var out [2]reg.VecVirtual
		for i := range out {
			out[i] = sum64(at(a, 32*i), at(b, 32*i), s0, s1, roundOdd(cut))
			w.see(out[i])
			r.round(out[i])
		}
		pack(out[0], out[1], at(dst, 0))
	}, stream{a, 4}, stream{b, 4}, stream{dst, 2})
	w.verdict(limBF16)
}

func blendF32ToF16() {
	dst, a, b := blend("blendF32ToF16", "float64",
		"blendF32ToF16 is dst = s0*a + s1*b in float64, F32 to F16, rounded once.")
	s0, s1 := scalars64()
	cut := all64("cut", 1<<29-1)
	w := newWatch()
	loop(func() {
		for i := range 2 {
			y := sum64(at(a, 32*i), at(b, 32*i), s0, s1, roundOdd(cut))
			w.see(y)
			VCVTPS2PH(operand.Imm(0), y, at(dst, 16*i))
		}
	}, stream{a, 4}, stream{b, 4}, stream{dst, 2})
	w.verdict(limF16)
}
