package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	hugeBF16 = 0x7b00      // 2^119, from which on |p|+|q| can overflow and |r| not be far below |p|
	limBF16  = 0x7f7f_8000 // the least float32 that rounds to infinity in BF16
	limF16   = 0x477f_f000 // the same in F16: 65520
	limF32   = 0x7f80_0000
	leastF32 = 0x0080_0000 // the least normal float32

	wider           = 0x4010_0000 // the float32 2.25
	notGreaterEqual = 0x19        // a predicate of VCMPPS: also true of NaN
)

func blend32(name, doc string) (dst, a, b reg.GPVirtual) {
	return blend(name, "func(dst, a, b *byte, n int, s0, s1 float64, near float32) (bad uint32)", doc,
		"Where the terms cancel, an element is made in float64.")
}

func blend(name, signature string, doc ...string) (dst, a, b reg.GPVirtual) {
	TEXT(name, NOSPLIT, signature)
	Doc(append(doc, "n is a multiple of 16, not 0. bad is 0 if every result is right.")...)
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

// A rounder rounds float32 codes to BF16, to nearest even, in the upper half.
type rounder struct{ below, one operand.Op }

func newRounder() rounder {
	return rounder{every32("belowHalf32", 0x7fff), every32("one32", 1)}
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

// A float32 blend takes sixteen elements a turn, in two vectors of results.
// half and whole load a half or all of one vector, as float32.
type mix struct {
	a, b        reg.GPVirtual
	s0, s1      reg.VecVirtual // as float32
	near        reg.VecVirtual // times wider
	abs         operand.Op
	r           [2]reg.VecVirtual
	whole, half func(p reg.GPVirtual, vector, half int) reg.VecVirtual
}

// newMix loads what does not change. The float32 coefficients are rounded
// here from the float64 ones.
func newMix(a, b reg.GPVirtual, abs operand.Op) *mix {
	m := &mix{a: a, b: b, near: YMM(), abs: abs}
	m.s0, m.s1 = single("s0"), single("s1")
	VBROADCASTSS(param("near"), m.near)
	VMULPS(every32("wider", wider), m.near, m.near)
	return m
}

// turn makes r = p + q with p = s0*x and q = s1*y, each operation rounded. It
// goes by redo where |r| < 2.25*near*|p| for an element, which is so wherever
// |r| < near*(|p|+|q|), as |q| is |r|+|p| at most and near is 1/32 at most, unless
// that sum overflows: a kernel must leave results from 2^119 on to Go. If near is
// infinite, the difference is negative or an invalid operation, which
// has a negative sign here.
func (m *mix) turn() {
	var below [2]reg.VecVirtual
	for i := range m.r {
		x, y := m.whole(m.a, i, 0), m.whole(m.b, i, 0)
		m.r[i], below[i] = YMM(), YMM()
		VMULPS(x, m.s0, x)
		VMULPS(y, m.s1, y)
		VADDPS(y, x, m.r[i])
		VANDPS(m.abs, x, x)
		VANDPS(m.abs, m.r[i], below[i])
		VFNMADD231PS(m.near, x, below[i])
	}
	bits := GP32()
	VORPS(below[0], below[1], below[0])
	VMOVMSKPS(below[0], bits)
	TESTL(bits, bits)
	JNZ(operand.LabelRef("redo"))
	Label("redone")
}

// redo makes the results of terms that cancel again in float64, and goes back.
// It stands after the end of the function: seldom does it run. One of |p+q| and
// |p-q| is |p|+|q|, and the other is not more than it.
func (m *mix) redo() {
	Label("redo")
	for i := range m.r {
		done := fmt.Sprintf("redone%d", i)
		x, y, mask, bits := m.whole(m.a, i, 0), m.whole(m.b, i, 0), YMM(), GP32()
		VMULPS(x, m.s0, x)
		VMULPS(y, m.s1, y)
		VSUBPS(y, x, x)
		VANDPS(m.abs, x, x)
		VBROADCASTSS(param("near"), y)
		VMULPS(y, x, x)
		VANDPS(m.abs, m.r[i], y)
		VCMPPS(operand.Imm(notGreaterEqual), x, y, mask)
		VMOVMSKPS(mask, bits)
		TESTL(bits, bits)
		JZ(operand.LabelRef(done))
		var out [2]reg.VecVirtual
		for h := range out {
			x, y, s := YMM(), YMM(), YMM()
			VCVTPS2PD(m.half(m.a, i, h), x)
			VCVTPS2PD(m.half(m.b, i, h), y)
			w := YMM()
			VBROADCASTSD(param("s1"), s)
			VMULPD(s, y, w)
			VFNMADD213PD(w, s, y)
			VBROADCASTSD(param("s0"), s)
			VFMADD213PD(w, s, x)
			VSUBPD(y, x, x)
			out[h] = XMM()
			VCVTPD2PSY(x, out[h])
		}
		again := YMM()
		VINSERTF128(operand.Imm(1), out[1], out[0].AsY(), again)
		VBLENDVPS(mask, again, m.r[i], m.r[i])
		Label(done)
	}
	JMP(operand.LabelRef("redone"))
}

// single is a coefficient as float32, in every place.
func single(name string) reg.VecVirtual {
	x, y := XMM(), YMM()
	VCVTSD2SS(param(name), zero().AsX(), x)
	VBROADCASTSS(x, y)
	return y
}

func blendBF16() {
	dst, a, b := blend32("blendBF16", "blendBF16 is dst = s0*a + s1*b in float32, BF16 to BF16.")
	m := newMix(a, b, every32("magnitude32", 0x7fff_ffff))
	upper, most := all32("upperHalf", 0xffff_0000), zero()
	r := newRounder()
	// The vectors are the even elements and the odd ones.
	m.whole = func(p reg.GPVirtual, odd, _ int) reg.VecVirtual {
		x := YMM()
		if odd == 1 {
			VPAND(at(p, 0), upper, x)
			return x
		}
		VMOVDQU(at(p, 0), x)
		VPSLLD(operand.Imm(16), x, x)
		return x
	}
	m.half = func(p reg.GPVirtual, odd, h int) reg.VecVirtual {
		x := XMM()
		if odd == 1 {
			VPAND(at(p, 16*h), upper.AsX(), x)
			return x
		}
		VMOVDQU(at(p, 16*h), x)
		VPSLLD(operand.Imm(16), x, x)
		return x
	}
	loop(func() {
		m.turn()
		even, odd := m.r[0], m.r[1]
		r.round(even)
		r.round(odd)
		VPSRLD(operand.Imm(16), even, even)
		VPBLENDW(operand.Imm(0b10101010), odd, even, even)
		VMOVDQU(even, at(dst, 0))
		VPAND(every32("magnitudes", 0x7fff_7fff), even, even)
		VPMAXUW(even, most, most)
	}, stream{a, 2}, stream{b, 2}, stream{dst, 2})
	bad := YMM()
	VPCMPGTW(all32("beyonds", (hugeBF16-1)<<16|(hugeBF16-1)), most, bad)
	report(bad)
	VZEROUPPER()
	RET()
	m.redo()
}

func blendF16() {
	dst, a, b := blend32("blendF16", "blendF16 is dst = s0*a + s1*b in float32, F16 to F16.")
	w := newWatch()
	m := newMix(a, b, w.abs)
	m.whole = func(p reg.GPVirtual, i, _ int) reg.VecVirtual {
		x := YMM()
		VCVTPH2PS(at(p, 16*i), x)
		return x
	}
	m.half = func(p reg.GPVirtual, i, h int) reg.VecVirtual {
		x := XMM()
		VCVTPH2PS(at(p, 16*i+8*h), x)
		return x
	}
	loop(func() {
		m.turn()
		for i, y := range m.r {
			w.see(y)
			VCVTPS2PH(operand.Imm(0), y, at(dst, 16*i))
		}
	}, stream{a, 2}, stream{b, 2}, stream{dst, 2})
	w.verdict(limF16)
	m.redo()
}

// joined has F32 operands, which are widened elements.
func (m *mix) joined() {
	m.whole = func(p reg.GPVirtual, i, _ int) reg.VecVirtual {
		x := YMM()
		VMOVUPS(at(p, 32*i), x)
		return x
	}
	m.half = func(p reg.GPVirtual, i, h int) reg.VecVirtual {
		x := XMM()
		VMOVUPS(at(p, 32*i+16*h), x)
		return x
	}
}

func joinBF16() {
	dst, a, b := blend32("joinBF16", "joinBF16 is dst = s0*a + s1*b in float32, F32 to BF16.")
	w, r := newWatch(), newRounder()
	m := newMix(a, b, w.abs)
	m.joined()
	loop(func() {
		m.turn()
		for _, y := range m.r {
			w.see(y)
			r.round(y)
		}
		pack(m.r[0], m.r[1], at(dst, 0))
	}, stream{a, 4}, stream{b, 4}, stream{dst, 2})
	w.verdict(hugeBF16 << 16)
	m.redo()
}

func joinF16() {
	dst, a, b := blend32("joinF16", "joinF16 is dst = s0*a + s1*b in float32, F32 to F16.")
	w := newWatch()
	m := newMix(a, b, w.abs)
	m.joined()
	loop(func() {
		m.turn()
		for i, y := range m.r {
			w.see(y)
			VCVTPS2PH(operand.Imm(0), y, at(dst, 16*i))
		}
	}, stream{a, 4}, stream{b, 4}, stream{dst, 2})
	w.verdict(limF16)
	m.redo()
}
