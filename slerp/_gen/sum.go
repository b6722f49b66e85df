package main

import (
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sum adds weighted operands of one type to float64 sums, and divides. Products
// are rounded.
func sum(s source) {
	name := "sum" + s.name
	TEXT(name, NOSPLIT, "func(y *float64, x **byte, w *float64, operands, n int, divisor float64)")
	Doc(name+" is y = (y + w[0]*x[0] + w[1]*x[1] + ...) / divisor of "+s.name+" operands.", "n is a multiple of 16, not 0; so many operands there are, not 0.")
	Pragma("noescape")
	y, x, w, operands := pointer("y"), pointer("x"), pointer("w"), pointer("operands")
	n := Load(Param("n"), GP64())
	var stack operand.Mem
	if s.size == 2 {
		stack, _ = scratch()
	}
	divisor := YMM()
	VBROADCASTSD(param("divisor"), divisor)
	divided, one := GP64(), GP64()
	MOVQ(param("divisor"), divided)
	MOVQ(operand.U64(0x3ff0_0000_0000_0000), one)
	offset, k := GP64(), GP64()
	XORQ(offset, offset)
	Label("loop")
	var acc [4]reg.VecVirtual
	for i := range acc {
		acc[i] = double64(at(y, 32*i))
	}
	XORQ(k, k)
	Label("operand")
	p, weight := GP64(), YMM()
	MOVQ(operand.Mem{Base: x, Index: k, Scale: 8}, p)
	VBROADCASTSD(operand.Mem{Base: w, Index: k, Scale: 8}, weight)
	ADDQ(offset, p)
	PREFETCHT0(at(p, ahead))
	for i, m := range s.spread(at(p, 0), stack) {
		t := s.quad(m)
		VMULPD(weight, t, t)
		VADDPD(t, acc[i], acc[i])
	}
	INCQ(k)
	CMPQ(k, operands)
	JNE(operand.LabelRef("operand"))
	CMPQ(divided, one)
	JE(operand.LabelRef("whole"))
	for i := range acc {
		VDIVPD(divisor, acc[i], acc[i])
	}
	Label("whole")
	for i := range acc {
		VMOVUPD(acc[i], at(y, 32*i))
	}
	ADDQ(operand.Imm(uint64(s.size*step)), offset)
	ADDQ(operand.Imm(8*step), y)
	SUBQ(operand.Imm(step), n)
	JNZ(operand.LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func narrow64(name, doc string) (dst, src reg.GPVirtual) {
	TEXT(name, NOSPLIT, "func(dst *byte, src *float64, n int) (bad uint32)")
	Doc(doc, "n is a multiple of 16, not 0. bad is 0 if every result is right and finite.")
	Pragma("noescape")
	return pointer("dst"), pointer("src")
}

// eight rounds eight F64 elements, each half passed through shape, to float32.
func eight(m operand.Mem, shape func(reg.VecVirtual)) reg.VecVirtual {
	var out [2]reg.VecVirtual
	for i := range out {
		d := double64(m.Offset(32 * i))
		shape(d)
		out[i] = XMM()
		VCVTPD2PSY(d, out[i])
	}
	y := YMM()
	VINSERTF128(operand.Imm(1), out[1], out[0].AsY(), y)
	return y
}

func narrowF64ToF32() {
	dst, src := narrow64("narrowF64ToF32", "narrowF64ToF32 rounds F64 to F32.")
	w := newWatch()
	loop(func() {
		for i := range 2 {
			y := eight(at(src, 64*i), func(reg.VecVirtual) {})
			VMOVUPS(y, at(dst, 32*i))
			w.see(y)
		}
	}, stream{dst, 4}, stream{src, 8})
	w.verdict(limF32)
}

func narrowF64ToBF16() {
	dst, src := narrow64("narrowF64ToBF16", "narrowF64ToBF16 rounds F64 to BF16, once. It leaves subnormal results to the caller.")
	cut := all64("cut", 1<<29-1)
	w, r := newWatch(), newRounder()
	w.one, w.least = all32("one", 1), YMM()
	VPCMPEQD(w.least, w.least, w.least)
	loop(func() {
		var out [2]reg.VecVirtual
		for i := range out {
			out[i] = eight(at(src, 64*i), roundOdd(cut))
			w.see(out[i])
			r.round(out[i])
		}
		pack(out[0], out[1], at(dst, 0))
	}, stream{dst, 2}, stream{src, 8})
	w.verdict(limBF16)
}

func narrowF64ToF16() {
	dst, src := narrow64("narrowF64ToF16", "narrowF64ToF16 rounds F64 to F16, once.")
	cut := all64("cut", 1<<29-1)
	w := newWatch()
	loop(func() {
		for i := range 2 {
			y := eight(at(src, 64*i), roundOdd(cut))
			w.see(y)
			VCVTPS2PH(operand.Imm(0), y, at(dst, 16*i))
		}
	}, stream{dst, 2}, stream{src, 8})
	w.verdict(limF16)
}

func sumKernels() {
	for _, s := range sources {
		sum(s)
	}
	sum(source{"F64", 8, func(m, _ operand.Mem) [4]operand.Mem { return every(m, 32) }, double64})
	narrowF64ToF32()
	narrowF64ToBF16()
	narrowF64ToF16()
}
