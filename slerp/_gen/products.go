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
		widen64(s, false)
		widen64(s, true)
	}
	for _, exact := range []bool{true, false} {
		triangle(2, exact)
		triangle(3, exact)
		for k := 4; k <= 7; k++ {
			row(k, exact)
		}
	}
}

// widen64 widens elements to float64; with minus it subtracts those of a base.
func widen64(s source, minus bool) {
	name, signature := "widen"+s.name+"ToF64", "func(dst *float64, src *byte, n int)"
	doc := name + " widens " + s.name + " to F64."
	if minus {
		name, signature = "minus"+s.name, "func(dst *float64, src *byte, base *float64, n int)"
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
		for i, m := range s.spread(ymm, at(src, 0), room) {
			x := s.load(ymm, m)
			if minus {
				VSUBPD(at(base, 32*i), x, x)
			}
			VMOVUPD(x, at(dst, 32*i))
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

// multiply adds the products of the first rows of k vectors with themselves and all
// that follow them. It holds these rows, and one other vector at a time.
func multiply(k, rows int, sum []reg.VecVirtual, add func(x operand.Op, y, acc reg.VecVirtual), load func(i int) reg.VecVirtual) {
	var row []reg.VecVirtual
	for j := range k {
		x := load(j)
		if j < rows {
			row = append(row, x)
		}
		from := 0
		for i, y := range row {
			add(x, y, sum[from+j-i])
			from += k - i
		}
	}
}

// apart is the number of bytes from one operand's strip to the next: productStrip
// elements in Go.
const apart = 256 * 8

// tile is a kernel that adds to a number of sums, whose lanes 0 to 3 and 4 to 7 have a
// register each. body does one half of eight elements, which lies so many bytes
// from the beginning.
func tile(kind string, sums int, exact bool, doc string, body func(x, y reg.GPVirtual, off int, sum []reg.VecVirtual)) {
	name, how := kind+"Fused", "Products are fused with the sum."
	if !exact {
		name, how = kind+"Rounded", "Products are rounded."
	}
	TEXT(name, NOSPLIT, "func(l *[8]float64, x, y *float64, n int)")
	Doc(name+" "+doc, how, "Strips of operands lie one after another. n is a multiple of 8, not 0.")
	Pragma("noescape")
	l, x, y := pointer("l"), pointer("x"), pointer("y")
	n := Load(Param("n"), GP64())
	var sum [2][]reg.VecVirtual
	for i := range sums {
		for half := range sum {
			sum[half] = append(sum[half], ymm.double(at(l, 64*i+32*half)))
		}
	}
	Label("loop")
	for half := range sum {
		body(x, y, 32*half, sum[half])
	}
	ADDQ(operand.Imm(64), x)
	ADDQ(operand.Imm(64), y)
	SUBQ(operand.Imm(8), n)
	JNZ(label("loop"))
	for i := range sums {
		for half := range sum {
			VMOVUPD(sum[half][i], at(l, 64*i+32*half))
		}
	}
	VZEROUPPER()
	RET()
}

// row multiplies one operand with k.
func row(k int, exact bool) {
	add := ymm.adder(exact)
	doc := fmt.Sprintf("adds the products of operand x with %d operands from y on to %d times 8 lanes.", k, k)
	tile(fmt.Sprintf("row%d", k), k, exact, doc, func(x, y reg.GPVirtual, off int, sum []reg.VecVirtual) {
		one := ymm.double(at(x, off))
		for i := range sum {
			add(at(y, apart*i+off), one, sum[i])
		}
	})
}

// triangle multiplies k operands with themselves and with each other.
func triangle(k int, exact bool) {
	add, sums := ymm.adder(exact), k*(k+1)/2
	doc := fmt.Sprintf("adds the products of all pairs of %d operands from x on to %d times 8 lanes, in row order. y is not used.", k, sums)
	tile(fmt.Sprintf("triangle%d", k), sums, exact, doc, func(x, _ reg.GPVirtual, off int, sum []reg.VecVirtual) {
		multiply(k, k, sum, add, func(i int) reg.VecVirtual { return ymm.double(at(x, apart*i+off)) })
	})
}
