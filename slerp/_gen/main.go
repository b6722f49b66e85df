// Command _gen writes the assembly of package slerp and its Go stubs. It is a
// module of its own, so that avo stays out of the product's go.mod.
//
// Every kernel takes pointers without alignment and a number of elements that
// is a multiple of 16, not 0. The functions in kernels_amd64.go see to the
// rest. A kernel that writes rounded results returns 0 if all is well; else
// the caller does the work again in Go, so no kernel bothers about NaN.
package main

import (
	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// step is the number of elements that a turn of every loop takes.
const step = 16

// ahead is how many bytes before their use operands are asked for: a fetch
// beyond the end does no harm, is never a fault. The processor's own prefetching
// stops at pages. On Zen 3, out of cache, 1024 brought BF16 from 11.8 to 16.9 GB/s
// (measure) and from 17.3 to 21.8 (blend); 512 and 2048 did no better. On Sapphire
// Rapids, two threads, 2048 does better than 1024 by a twentieth (11.7 and 12.5
// GB for each second of processor time, without it 8.3 and 9.9), 512 worse.
const ahead = 2048

func main() {
	ConstraintExpr("amd64,!noasm,gc")
	measureBF16()
	measureF16()
	measureF32()
	blendBF16()
	blendF16()
	joinBF16()
	joinF16()
	blendF32()
	blendF32ToBF16()
	blendF32ToF16()
	widenBF16()
	widenF16()
	narrowBF16()
	narrowF16()
	products()
	grams()
	weightedSums()
	Generate()
}

// pointer loads a pointer argument.
func pointer(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

// A stream is an operand and its bytes per element.
type stream struct {
	p    reg.GPVirtual
	size int
}

// loop runs body on step elements of the streams after another.
func loop(body func(), streams ...stream) { loopTurns(step, body, streams, streams) }

// loopTurns runs body on so many elements of the streams after another, and asks for
// those to be fetched.
func loopTurns(turn int, body func(), fetched, streams []stream) {
	n := Load(Param("n"), GP64())
	Label("loop")
	for _, s := range fetched {
		PREFETCHT0(at(s.p, ahead))
	}
	body()
	for _, s := range streams {
		ADDQ(operand.Imm(uint64(s.size*turn)), s.p)
	}
	SUBQ(operand.Imm(uint64(turn)), n)
	JNZ(operand.LabelRef("loop"))
}

// at is the address of p plus a number of bytes.
func at(p reg.GPVirtual, offset int) operand.Mem {
	return operand.Mem{Base: p, Disp: offset}
}

// all32 is a vector with v in every 32-bit place, all64 in every 64-bit place.
func all32(name string, v uint32) reg.VecVirtual {
	y := YMM()
	VPBROADCASTD(constant(name, operand.U32(v)), y)
	return y
}

func all64(name string, v uint64) reg.VecVirtual {
	y := YMM()
	VPBROADCASTQ(constant(name, operand.U64(v)), y)
	return y
}

var constants = map[string]operand.Mem{}

// constant is a read-only datum that functions share by name.
func constant(name string, v operand.Constant) operand.Mem {
	m, ok := constants[name]
	if !ok {
		m = ConstData(name, v)
		constants[name] = m
	}
	return m
}

func zero() reg.VecVirtual {
	y := YMM()
	VPXOR(y, y, y)
	return y
}

// every32 is v in all 32-bit places of a vector in memory, for an operand that
// has no register.
func every32(name string, v uint32) operand.Mem {
	m, ok := constants[name]
	if !ok {
		m = GLOBL(name, attr.RODATA|attr.NOPTR)
		for i := range 16 {
			DATA(4*i, operand.U32(v))
		}
		constants[name] = m
	}
	return m
}

// param is a parameter in memory.
func param(name string) operand.Mem {
	p, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	return p.Addr
}

// scalars64 are the coefficients, broadcast.
func scalars64() (s0, s1 reg.VecVirtual) {
	s0, s1 = YMM(), YMM()
	VBROADCASTSD(param("s0"), s0)
	VBROADCASTSD(param("s1"), s1)
	return s0, s1
}
