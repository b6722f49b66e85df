package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A vector is the kind of registers that a kernel uses: ymm with AVX2, zmm with AVX-512.
type vector struct {
	suffix string // of the names of kernels
	bytes  int
}

var (
	ymm = vector{"", 32}
	zmm = vector{"Z", 64}
)

func (v vector) reg() reg.VecVirtual {
	if v == zmm {
		return ZMM()
	}
	return YMM()
}

func (v vector) zero() reg.VecVirtual {
	x := v.reg()
	if v == zmm {
		VPXORD(x, x, x)
	} else {
		VPXOR(x, x, x)
	}
	return x
}

// all32 and all64 are a number in every place.
func (v vector) all32(name string, n uint32) reg.VecVirtual {
	x := v.reg()
	VPBROADCASTD(constant(name, operand.U32(n)), x)
	return x
}

func (v vector) all64(name string, n uint64) reg.VecVirtual {
	x := v.reg()
	VPBROADCASTQ(constant(name, operand.U64(n)), x)
	return x
}

// double loads F64 elements, single widens F32 elements.
func (v vector) double(m operand.Mem) reg.VecVirtual {
	x := v.reg()
	VMOVUPD(m, x)
	return x
}

func (v vector) single(m operand.Mem) reg.VecVirtual {
	x := v.reg()
	VCVTPS2PD(m, x)
	return x
}

func (v vector) and(x operand.Op, y, to reg.VecVirtual) {
	if v == zmm {
		VPANDD(x, y, to)
	} else {
		VPAND(x, y, to)
	}
}

func (v vector) load(m operand.Mem, x reg.VecVirtual) {
	if v == zmm {
		VMOVDQU32(m, x)
	} else {
		VMOVDQU(m, x)
	}
}

func (v vector) store(x reg.VecVirtual, m operand.Mem) {
	if v == zmm {
		VMOVDQU32(x, m)
	} else {
		VMOVDQU(x, m)
	}
}

// A source is an element type whose elements kernels widen to float64.
type source struct {
	name string
	size int
	// widen gives a vector of elements at m as float32.
	widen func(v vector, m operand.Mem) reg.VecVirtual
	// load gives half a vector of float32, or a vector of float64, as float64.
	load func(v vector, m operand.Mem) reg.VecVirtual
}

var (
	bf16 = source{"BF16", 2, func(v vector, m operand.Mem) reg.VecVirtual {
		x := v.reg()
		VPMOVZXWD(m, x)
		VPSLLD(imm8(16), x, x)
		return x
	}, vector.single}
	f16 = source{"F16", 2, func(v vector, m operand.Mem) reg.VecVirtual {
		x := v.reg()
		VCVTPH2PS(m, x)
		return x
	}, vector.single}
	f32 = source{"F32", 4, nil, vector.single}
	f64 = source{"F64", 8, nil, vector.double}
)

// spread gives sixteen elements at m as operands of load; it may use 64 bytes of scratch.
// The way over the scratch pays because processors widen to float64 twice
// as fast from memory.
func (s source) spread(v vector, m, scratch operand.Mem) []operand.Mem {
	switch s.size {
	case 8:
		return every(m, v.bytes, 128)
	case 4:
		return every(m, v.bytes/2, 64)
	}
	for i := 0; i < 64; i += v.bytes {
		VMOVUPS(s.widen(v, m.Offset(i/2)), scratch.Offset(i))
	}
	return every(scratch, v.bytes/2, 64)
}

// sources are the types of at most 32 bits.
var sources = []source{bf16, f16, f32}

// every is the places that many bytes apart up to an end.
func every(m operand.Mem, bytes, end int) (p []operand.Mem) {
	for i := 0; i < end; i += bytes {
		p = append(p, m.Offset(i))
	}
	return p
}

// every64 is n in all 64-bit places of a vector in memory.
func every64(name string, n uint64) operand.Mem {
	m, ok := constants[name]
	if !ok {
		m = GLOBL(name, attr.RODATA|attr.NOPTR)
		for i := range 8 {
			DATA(8*i, operand.U64(n))
		}
		constants[name] = m
	}
	return m
}

// imm8 and label are operands of instructions.
func imm8(n uint8) operand.Op                { return operand.Imm(uint64(n)) }
func label(name string) operand.Op           { return operand.LabelRef(name) }
func element(p, k reg.GPVirtual) operand.Mem { return operand.Mem{Base: p, Index: k, Scale: 8} }
