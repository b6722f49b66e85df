package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func widen(name, doc string) (dst, src reg.GPVirtual) {
	TEXT(name, NOSPLIT, "func(dst, src *byte, n int) (bad uint32)")
	Doc(doc, "n is a multiple of 16, not 0. bad is 0 if there is no NaN.")
	Pragma("noescape")
	return pointer("dst"), pointer("src")
}

func widenBF16() {
	dst, src := widen("widenBF16", "widenBF16 widens BF16 to F32.")
	w := newWatch()
	loop(func() {
		for off := 0; off < step; off += 8 {
			x := YMM()
			VPMOVZXWD(at(src, 2*off), x)
			VPSLLD(operand.Imm(16), x, x)
			VMOVDQU(x, at(dst, 4*off))
			w.see(x)
		}
	}, stream{dst, 4}, stream{src, 2})
	w.verdict(limF32 + 1)
}

func widenF16() {
	dst, src := widen("widenF16", "widenF16 widens F16 to F32.")
	w := newWatch()
	loop(func() {
		for off := 0; off < step; off += 8 {
			x := YMM()
			VCVTPH2PS(at(src, 2*off), x)
			VMOVUPS(x, at(dst, 4*off))
			w.see(x)
		}
	}, stream{dst, 4}, stream{src, 2})
	w.verdict(limF32 + 1)
}

// A tally counts values that are not 0 and round to it, as codes: those from 1
// to the last code that vanishes.
type tally struct{ abs, one, last, count reg.VecVirtual }

func (t tally) see(x reg.VecVirtual) {
	y, z := YMM(), YMM()
	VPAND(t.abs, x, y)
	VPSUBD(t.one, y, y)
	VPMINUD(t.last, y, z)
	VPCMPEQD(z, y, y)
	VPSUBD(y, t.count, t.count)
}

// total returns the sum of the counts.
func (t tally) total() {
	x, y := XMM(), XMM()
	VEXTRACTI128(operand.Imm(1), t.count, x)
	VPADDD(t.count.AsX(), x, x)
	VPSHUFD(operand.Imm(0b01_00_11_10), x, y)
	VPADDD(y, x, x)
	VPSHUFD(operand.Imm(0b10_11_00_01), x, y)
	VPADDD(y, x, x)
	n := GP32()
	VMOVD(x, n)
	Store(n, ReturnIndex(1))
}

func narrow(name, doc string) (dst, src reg.GPVirtual) {
	TEXT(name, NOSPLIT, "func(dst, src *byte, n int) (bad, underflow uint32)")
	Doc(doc, "n is a multiple of 16, not 0. bad is 0 if every result is finite. underflow counts values, not 0, that became 0.")
	Pragma("noescape")
	return pointer("dst"), pointer("src")
}

func narrowBF16() {
	dst, src := narrow("narrowBF16", "narrowBF16 rounds F32 to BF16.")
	w, r := newWatch(), newRounder()
	under := tally{w.abs, all32("one", 1), all32("vanishBF16", 0x8000-1), zero()} // 2^-134
	loop(func() {
		var out [2]reg.VecVirtual
		for i := range out {
			out[i] = YMM()
			VMOVDQU(at(src, 32*i), out[i])
			w.see(out[i])
			under.see(out[i])
			r.round(out[i])
		}
		pack(out[0], out[1], at(dst, 0))
	}, stream{dst, 2}, stream{src, 4})
	under.total()
	w.verdict(limBF16)
}

func narrowF16() {
	dst, src := narrow("narrowF16", "narrowF16 rounds F32 to F16.")
	w := newWatch()
	under := tally{w.abs, all32("one", 1), all32("vanishF16", 0x3300_0000-1), zero()} // 2^-25
	loop(func() {
		for i := range 2 {
			x := YMM()
			VMOVUPS(at(src, 32*i), x)
			w.see(x)
			under.see(x)
			VCVTPS2PH(operand.Imm(0), x, at(dst, 16*i))
		}
	}, stream{dst, 2}, stream{src, 4})
	under.total()
	w.verdict(limF16)
}
