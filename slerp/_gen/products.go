package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Products of any number of operands: tiles, which make as many sums as the registers
// hold, of strips of elements that were widened before.

func products() {
	for _, s := range sources {
		widen64(ymm, s, false)
		widen64(ymm, s, true)
	}
	for _, exact := range []bool{true, false} {
		triangle(ymm, 2, exact)
		triangle(ymm, 3, exact)
		for k := 4; k <= 7; k++ {
			row(ymm, k, exact)
		}
	}
}

// widen64 widens elements to float64; with minus it subtracts those of a base.
func widen64(v vector, s source, minus bool) {
	name, signature := "widen"+s.name+"ToF64"+v.suffix, "func(dst *float64, src *byte, n int)"
	doc := name + " widens " + s.name + " to F64."
	if minus {
		name, signature = "minus"+s.name+v.suffix, "func(dst *float64, src *byte, base *float64, n int)"
		doc = name + " widens " + s.name + " to F64 and subtracts the base."
	}
	TEXT(name, NOSPLIT, signature)
	Doc(doc, "n is a multiple of 16, not 0.")
	Pragma("noescape")
	dst, src := pointer("dst"), pointer("src")
	streams := []stream{{src, s.size}, {dst, 8}}
	var base reg.GPVirtual
	if minus {
		base = pointer("base")
		streams = append(streams, stream{base, 8})
	}
	room, _ := scratch()
	loopTurns(step, func() {
		for i, m := range s.spread(v, at(src, 0), room) {
			x := s.load(v, m)
			if minus {
				VSUBPD(at(base, v.bytes*i), x, x)
			}
			VMOVUPD(x, at(dst, v.bytes*i))
		}
	}, streams[:1], streams)
	VZEROUPPER()
	RET()
}

// adder adds the product of x and y to acc. Products that are not exact must be
// rounded before they are added.
func (v vector) adder(exact bool) func(x operand.Op, y, acc reg.VecVirtual) {
	if exact {
		return func(x operand.Op, y, acc reg.VecVirtual) { VFMADD231PD(x, y, acc) }
	}
	return func(x operand.Op, y, acc reg.VecVirtual) {
		p := v.reg()
		VMULPD(x, y, p)
		VADDPD(p, acc, acc)
	}
}

// apart is the number of bytes from one operand's strip to the next: productStrip
// elements in Go.
const apart = 256 * 8

// tile is a kernel that adds to a number of sums, each of which has a register or
// two for its 8 lanes. body does a part of eight elements.
func tile(v vector, kind string, sums int, exact bool, doc string, body func(x, y reg.GPVirtual, part int, sum [][]reg.VecVirtual)) {
	name, how := kind+"Fused"+v.suffix, "Products are fused with the sum."
	if !exact {
		name, how = kind+"Rounded"+v.suffix, "Products are rounded."
	}
	TEXT(name, NOSPLIT, "func(l *[8]float64, x, y *float64, n int)")
	Doc(name+" "+doc, how, "Strips of operands lie one after another. n is a multiple of 8, not 0.")
	Pragma("noescape")
	l, x, y := pointer("l"), pointer("x"), pointer("y")
	n := Load(Param("n"), GP64())
	sum := make([][]reg.VecVirtual, sums)
	for i := range sum {
		for _, m := range every(at(l, 64*i), v.bytes, 64) {
			sum[i] = append(sum[i], v.double(m))
		}
	}
	Label("loop")
	for part := range 64 / v.bytes {
		body(x, y, part, sum)
	}
	ADDQ(bytes(64), x)
	ADDQ(bytes(64), y)
	SUBQ(operand.Imm(8), n)
	JNZ(label("loop"))
	for i, lanes := range sum {
		for part, m := range every(at(l, 64*i), v.bytes, 64) {
			VMOVUPD(lanes[part], m)
		}
	}
	VZEROUPPER()
	RET()
}

// row multiplies one operand with k.
func row(v vector, k int, exact bool) {
	add := v.adder(exact)
	doc := fmt.Sprintf("adds the products of operand x with %d operands from y on to %d times 8 lanes.", k, k)
	tile(v, fmt.Sprintf("row%d", k), k, exact, doc, func(x, y reg.GPVirtual, part int, sum [][]reg.VecVirtual) {
		off := v.bytes * part
		one := v.double(at(x, off))
		for i := range k {
			add(at(y, apart*i+off), one, sum[i][part])
		}
	})
}

// triangle multiplies k operands with themselves and with each other.
func triangle(v vector, k int, exact bool) {
	sums := k * (k + 1) / 2
	doc := fmt.Sprintf("adds the products of all pairs of %d operands from x on to %d times 8 lanes, in row order. y is not used.", k, sums)
	tile(v, fmt.Sprintf("triangle%d", k), sums, exact, doc, func(x, _ reg.GPVirtual, part int, sum [][]reg.VecVirtual) {
		pairs(v, k, k < 7, exact, sum, part, func(i int) operand.Mem { return at(x, apart*i+v.bytes*part) })
	})
}

// pairs adds the products of all pairs of k vectors. If there are registers, it holds
// them there.
func pairs(v vector, k int, held, exact bool, sum [][]reg.VecVirtual, part int, place func(i int) operand.Mem) {
	add := v.adder(exact)
	x := make([]reg.VecVirtual, k)
	if held {
		for i := range x {
			x[i] = v.double(place(i))
		}
	}
	s := 0
	for i := range x {
		one := x[i]
		if !held {
			one = v.double(place(i))
		}
		add(one, one, sum[s][part])
		s++
		for j := i + 1; j < k; j++ {
			if held {
				add(x[j], one, sum[s][part])
			} else {
				add(place(j), one, sum[s][part])
			}
			s++
		}
	}
}
