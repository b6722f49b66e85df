package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Blends of F32 operands, in float64.

func blend64(name, doc string) (dst, a, b reg.GPVirtual) {
	return blend(name, "func(dst, a, b *byte, n int, s0, s1 float64) (bad uint32)", doc)
}

// weigh64 is s0*x + s1*y with the error of the product s1*y made good. It ends
// in x.
func weigh64(x, y, s0, s1 reg.VecVirtual) reg.VecVirtual {
	w := YMM()
	VMULPD(s1, y, w)
	VFNMADD213PD(w, s1, y)
	VFMADD213PD(w, s0, x)
	VSUBPD(y, x, x)
	return x
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
	dst, a, b := blend64("blendF32", "blendF32 is dst = s0*a + s1*b in float64, F32 to F32.")
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
	dst, a, b := blend64("blendF32ToBF16",
		"blendF32ToBF16 is dst = s0*a + s1*b in float64, F32 to BF16, rounded once. It leaves subnormal results to the caller.")
	s0, s1 := scalars64()
	cut := all64("cut", 1<<29-1)
	w, r := newWatch(), newRounder()
	w.one, w.least = all32("one", 1), YMM()
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
	dst, a, b := blend64("blendF32ToF16",
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
