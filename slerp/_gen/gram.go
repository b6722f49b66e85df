package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products of a few operands of one type as they are stored. With AVX-512 the lanes of a
// sum are one register, so the sums of 6 operands have registers; of 8, those of
// the first rows. With AVX2 half of the lanes are one.

func grams() {
	for _, s := range sources {
		for k := 3; k <= 4; k++ {
			halved(s, k, k, 0)
		}
		for k := 5; k <= 6; k++ {
			halved(s, k, 2, 0)
			halved(s, k, 2, 1)
		}
		for k := 2; k <= 4; k++ {
			halved(s, k, k, 1)
		}
		for k := 3; k <= 6; k++ {
			fused(s, k, k, 0)
		}
		for k := 2; k <= 6; k++ {
			fused(s, k, k, 1)
		}
		for k := 7; k <= 8; k++ {
			fused(s, k, 4, 0)
			fused(s, k, 3, 1)
		}
	}
}

// gram begins a function and returns the pointers to the lanes, to the
// operands and to the scratch, and the number of sums.
func gram(v vector, s source, k, rows, bases int, doc ...string) (l, room reg.GPVirtual, streams []stream, sums int) {
	name := fmt.Sprintf("gram%d%s", k, s.name)
	what := fmt.Sprintf(" adds the products of all pairs of %d %s operands", k, s.name)
	if rows < k {
		name = fmt.Sprintf("top%dOf%d%s", rows, k, s.name)
		what = fmt.Sprintf(" adds the products of the first %d of %d %s operands with themselves and all that follow them", rows, k, s.name)
	}
	for i := range rows {
		sums += k - i
	}
	if bases > 0 {
		name += "Based"
		what += " less a base, the last operand,"
	}
	name += v.suffix
	TEXT(name, NOSPLIT, "func(l *[8]float64, x **byte, offset int, scratch *float64, n int) (inexact uint32)")
	Doc(append([]string{name + what + fmt.Sprintf(" to %d times 8 lanes, in row order.", sums),
		"Operands begin at an offset in bytes. The scratch has 64 bytes for each. n is a multiple of 16, not 0."}, doc...)...)
	Pragma("noescape")
	l, x, offset, room := pointer("l"), pointer("x"), pointer("offset"), pointer("scratch")
	for i := range k + bases {
		p := GP64()
		MOVQ(at(x, 8*i), p)
		ADDQ(offset, p)
		streams = append(streams, stream{p, s.size})
	}
	return l, room, streams, sums
}

// fused multiplies k operands with themselves and with each other, or their
// differences from a base, which is the last operand then.
//
// Differences of 16-bit types are made in float32, where they are nearly always exact:
// then rounding them upwards and downwards gives the same, and products are
// exact in float64. If a difference is not exact, the lanes are left as they were.
func fused(s source, k, rows, bases int) {
	single := bases > 0 && s.size == 2
	doc := "inexact is 0."
	if single {
		doc = "If inexact is not 0, a difference was not exact in float32, and the lanes are as before."
	}
	l, room, streams, sums := gram(zmm, s, k, rows, bases, doc)
	var inexact reg.VecVirtual
	if single {
		inexact = zmm.zero()
	}
	add := zmm.adder(bases == 0 || single)
	var sum []reg.VecVirtual
	for i := range sums {
		sum = append(sum, zmm.double(at(l, 64*i)))
	}
	loopTurns(step, func() {
		var wide [2][]operand.Mem // of each operand, elements 0 to 7 and 8 to 15
		var base reg.VecVirtual
		if single {
			base = s.widen(zmm, at(streams[k].p, 0))
		}
		for i, o := range streams {
			if single && i == k {
				break
			}
			to := at(room, 64*i)
			places := every(to, 32, 64)
			if single {
				x, down := s.widen(zmm, at(o.p, 0)), ZMM()
				VSUBPS_RD_SAE(base, x, down)
				VSUBPS_RU_SAE(base, x, x)
				VPTERNLOGD(imm8(0xf6), down, x, inexact) // inexact | x ^ down
				VMOVUPS(x, to)
			} else {
				places = s.spread(zmm, at(o.p, 0), to)
			}
			for part, m := range places {
				wide[part] = append(wide[part], m)
			}
		}
		for _, places := range wide {
			if bases > 0 && !single {
				base = zmm.single(places[k])
			}
			multiply(k, rows, sum, add, func(i int) reg.VecVirtual {
				x := zmm.single(places[i])
				if bases > 0 && !single {
					VSUBPD(base, x, x)
				}
				return x
			})
		}
	}, streams, streams)
	mask := GP32()
	XORL(mask, mask)
	if single {
		// A difference that is 0 has two signs, which do not count.
		differ := K()
		VPTESTMD(every32("magnitude32", 0x7fff_ffff), inexact, differ)
		KMOVW(differ, mask)
		TESTL(mask, mask)
		JNZ(label("end"))
	}
	for i, lanes := range sum {
		VMOVUPD(lanes, at(l, 64*i))
	}
	Label("end")
	Store(mask, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// halved does the same with AVX2, in two turns with half of the lanes each: the first
// four or, of BF16, the even ones. Products of differences are rounded.
func halved(s source, k, rows, bases int) {
	l, room, streams, sums := gram(ymm, s, k, rows, bases, "inexact is 0.")
	add := ymm.adder(bases == 0)
	sum := make([]reg.VecVirtual, sums)
	for half := range 2 {
		if half == 1 { // back to the beginning
			n := Load(Param("n"), GP64())
			SHLQ(imm8(uint8(s.size/2)), n)
			for _, o := range streams {
				SUBQ(n, o.p)
			}
		}
		for i := range sum {
			sum[i] = loadHalf(s, at(l, 64*i), half)
		}
		n := Load(Param("n"), GP64())
		loop := fmt.Sprintf("loop%d", half)
		Label(loop)
		for i, o := range streams {
			PREFETCHT0(at(o.p, ahead))
			s.halve(o.p, half, at(room, 32*i))
		}
		for quad := range 2 {
			load := func(i int) reg.VecVirtual { return s.quad(streams[i].p, half, quad, at(room, 32*i)) }
			var base reg.VecVirtual
			if bases > 0 {
				base = load(k)
			}
			multiply(k, rows, sum, add, func(i int) reg.VecVirtual {
				x := load(i)
				if bases > 0 {
					VSUBPD(base, x, x)
				}
				return x
			})
		}
		for _, o := range streams {
			ADDQ(operand.Imm(uint64(s.size*step)), o.p)
		}
		SUBQ(operand.Imm(step), n)
		JNZ(label(loop))
		for i := range sum {
			storeHalf(s, sum[i], at(l, 64*i), half)
		}
	}
	mask := GP32()
	XORL(mask, mask)
	Store(mask, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// halve widens half of sixteen elements to float32, if quad does not do it.
func (s source) halve(p reg.GPVirtual, half int, to operand.Mem) {
	if s.name != "BF16" {
		return
	}
	x := YMM()
	VMOVDQU(at(p, 0), x)
	if half == 0 {
		VPSLLD(imm8(16), x, x)
	} else {
		VPAND(every32("upperHalves", 0xffff_0000), x, x)
	}
	VMOVDQU(x, to)
}

// quad gives four elements as float64: the first or second four of a half.
func (s source) quad(p reg.GPVirtual, half, quad int, halved operand.Mem) reg.VecVirtual {
	switch s.name {
	case "BF16":
		return ymm.single(halved.Offset(16 * quad))
	case "F16":
		x, y := XMM(), YMM()
		VCVTPH2PS(at(p, 16*quad+8*half), x)
		VCVTPS2PD(x, y)
		return y
	}
	return ymm.single(at(p, 32*quad+16*half))
}

// loadHalf loads four lanes, storeHalf stores them.
func loadHalf(s source, m operand.Mem, half int) reg.VecVirtual {
	if s.name != "BF16" {
		return ymm.double(m.Offset(32 * half))
	}
	x := ymm.double(m) // 0 1 2 3
	if half == 0 {
		VUNPCKLPD(m.Offset(32), x, x) // 0 4 2 6
	} else {
		VUNPCKHPD(m.Offset(32), x, x) // 1 5 3 7
	}
	VPERMPD(imm8(0b11_01_10_00), x, x)
	return x
}

func storeHalf(s source, x reg.VecVirtual, m operand.Mem, half int) {
	if s.name != "BF16" {
		VMOVUPD(x, m.Offset(32*half))
		return
	}
	others := imm8([]uint8{0b1010, 0b0101}[half])
	for i, order := range []uint8{0b01_01_00_00, 0b11_11_10_10} {
		y := YMM()
		VPERMPD(imm8(order), x, y)
		VBLENDPD(others, m.Offset(32*i), y, y)
		VMOVUPD(y, m.Offset(32*i))
	}
}
