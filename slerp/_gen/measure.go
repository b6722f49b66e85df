package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sums are the accumulators of a·a, b·b and a·b: low holds lanes 0 to 3 and
// high 4 to 7 or, for BF16, low the even lanes and high the odd ones.
type sums struct {
	low, high [3]reg.VecVirtual
}

func measure(name, doc string) (l, a, b reg.GPVirtual) {
	TEXT(name, NOSPLIT, "func(l *float64, a, b *byte, n int)")
	Doc(doc, "l is the 24 lanes: 8 of a*a, 8 of b*b, 8 of a*b. n is a multiple of 16, not 0.")
	Pragma("noescape")
	return pointer("l"), pointer("a"), pointer("b")
}

func load(l reg.GPVirtual) (s sums) {
	for i := range 3 {
		s.low[i], s.high[i] = YMM(), YMM()
		VMOVUPD(at(l, 64*i), s.low[i])
		VMOVUPD(at(l, 64*i+32), s.high[i])
	}
	return s
}

func (s sums) store(l reg.GPVirtual) {
	for i := range 3 {
		VMOVUPD(s.low[i], at(l, 64*i))
		VMOVUPD(s.high[i], at(l, 64*i+32))
	}
	VZEROUPPER()
	RET()
}

// evenOdd turns lanes 0..3 and 4..7 into even and odd ones; inOrder turns them
// back.
func (s sums) evenOdd() {
	for i := range 3 {
		t := YMM()
		VUNPCKLPD(s.high[i], s.low[i], t)         // 0 4 2 6
		VUNPCKHPD(s.high[i], s.low[i], s.high[i]) // 1 5 3 7
		VPERMPD(operand.Imm(0b11_01_10_00), t, s.low[i])
		VPERMPD(operand.Imm(0b11_01_10_00), s.high[i], s.high[i])
	}
}

// add adds the products of four elements of each side.
func add(acc [3]reg.VecVirtual, x, y reg.VecVirtual) {
	VFMADD231PD(x, x, acc[0])
	VFMADD231PD(y, y, acc[1])
	VFMADD231PD(x, y, acc[2])
}

func measureBF16() {
	l, a, b := measure("measureBF16", "measureBF16 adds the products of BF16 elements to the lanes.")
	s := load(l)
	s.evenOdd()
	upper := all32("upperHalf", 0xffff_0000)
	x, y := scratch()
	loop(func() {
		spread(at(a, 0), upper, x)
		spread(at(b, 0), upper, y)
		for off := 0; off < 32; off += 16 {
			add(s.low, single64(x.Offset(off)), single64(y.Offset(off)))
			add(s.high, single64(x.Offset(off+32)), single64(y.Offset(off+32)))
		}
	}, stream{a, 2}, stream{b, 2})
	s.inOrder()
	s.store(l)
}

// scratch is twice 64 bytes on the stack, aligned so that no access crosses a
// cache line.
func scratch() (x, y operand.Mem) {
	p := GP64()
	LEAQ(AllocLocal(192), p)
	ADDQ(operand.Imm(63), p)
	ANDQ(operand.I32(-64), p)
	return at(p, 0), at(p, 64)
}

// spread widens sixteen BF16 elements to float32 on the stack, the even ones
// before the odd ones: a BF16 is the upper half of a float32. The way over
// the stack pays because Zen widens to float64 twice as fast from memory.
func spread(m operand.Mem, upper reg.VecVirtual, to operand.Mem) {
	even, odd := YMM(), YMM()
	VMOVDQU(m, odd)
	VPSLLD(operand.Imm(16), odd, even)
	VPAND(odd, upper, odd)
	VMOVDQU(even, to)
	VMOVDQU(odd, to.Offset(32))
}

func (s sums) inOrder() {
	for i := range 3 {
		t := YMM()
		VUNPCKLPD(s.high[i], s.low[i], t)         // 0 1 4 5
		VUNPCKHPD(s.high[i], s.low[i], s.high[i]) // 2 3 6 7
		VPERM2F128(operand.Imm(0x20), s.high[i], t, s.low[i])
		VPERM2F128(operand.Imm(0x31), s.high[i], t, s.high[i])
	}
}

func measureF16() {
	l, a, b := measure("measureF16", "measureF16 adds the products of F16 elements to the lanes.")
	s := load(l)
	x, y := scratch()
	loop(func() {
		for off := 0; off < step; off += 8 {
			half32(at(a, 2*off), x.Offset(4*off))
			half32(at(b, 2*off), y.Offset(4*off))
			add(s.low, single64(x.Offset(4*off)), single64(y.Offset(4*off)))
			add(s.high, single64(x.Offset(4*off+16)), single64(y.Offset(4*off+16)))
		}
	}, stream{a, 2}, stream{b, 2})
	s.store(l)
}

// half32 widens eight F16 elements to float32 on the stack.
func half32(m, to operand.Mem) {
	x := YMM()
	VCVTPH2PS(m, x)
	VMOVUPS(x, to)
}

func measureF32() {
	l, a, b := measure("measureF32", "measureF32 adds the products of F32 elements to the lanes.")
	s := load(l)
	loop(func() {
		for off := 0; off < step; off += 8 {
			xl, xh := single64(at(a, 4*off)), single64(at(a, 4*off+16))
			yl, yh := single64(at(b, 4*off)), single64(at(b, 4*off+16))
			add(s.low, xl, yl)
			add(s.high, xh, yh)
		}
	}, stream{a, 4}, stream{b, 4})
	s.store(l)
}

// single64 widens four F32 elements.
func single64(m operand.Mem) reg.VecVirtual {
	y := YMM()
	VCVTPS2PD(m, y)
	return y
}
