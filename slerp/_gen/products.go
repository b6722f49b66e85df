package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// A source is an element type whose elements kernels widen to float64.
type source struct {
	name string
	size int
	// spread gives sixteen elements at m as four operands of quad; it may use 64
	// bytes of scratch. The way over the stack pays because processors widen
	// to float64 twice as fast from memory.
	spread func(m, scratch operand.Mem) [4]operand.Mem
	quad   func(m operand.Mem) reg.VecVirtual
}

var sources = []source{
	{"BF16", 2, func(m, s operand.Mem) [4]operand.Mem {
		for i := range 2 {
			x := YMM()
			VPMOVZXWD(m.Offset(16*i), x)
			VPSLLD(operand.Imm(16), x, x)
			VMOVDQU(x, s.Offset(32*i))
		}
		return every(s, 16)
	}, single64},
	{"F16", 2, func(m, s operand.Mem) [4]operand.Mem {
		half32(m, s)
		half32(m.Offset(16), s.Offset(32))
		return every(s, 16)
	}, single64},
	{"F32", 4, func(m, _ operand.Mem) [4]operand.Mem { return every(m, 16) }, single64},
}

// every is four places that many bytes apart.
func every(m operand.Mem, bytes int) (p [4]operand.Mem) {
	for i := range p {
		p[i] = m.Offset(bytes * i)
	}
	return p
}

func double64(m operand.Mem) reg.VecVirtual {
	y := YMM()
	VMOVUPD(m, y)
	return y
}

// widen64 widens elements to float64; with minus it subtracts those of a base.
func widen64(s source, minus bool) {
	var base reg.GPVirtual
	if minus {
		name := "minus" + s.name
		TEXT(name, NOSPLIT, "func(dst *float64, src *byte, base *float64, n int)")
		Doc(name+" widens "+s.name+" to F64 and subtracts the base.", "n is a multiple of 16, not 0.")
		base = pointer("base")
	} else {
		name := "widen" + s.name + "ToF64"
		TEXT(name, NOSPLIT, "func(dst *float64, src *byte, n int)")
		Doc(name+" widens "+s.name+" to F64.", "n is a multiple of 16, not 0.")
	}
	Pragma("noescape")
	dst, src := pointer("dst"), pointer("src")
	stack, _ := scratch()
	n := Load(Param("n"), GP64())
	Label("loop")
	PREFETCHT0(at(src, ahead))
	for i, m := range s.spread(at(src, 0), stack) {
		x := s.quad(m)
		if minus {
			VSUBPD(at(base, 32*i), x, x)
		}
		VMOVUPD(x, at(dst, 32*i))
	}
	ADDQ(operand.Imm(uint64(s.size*step)), src)
	ADDQ(operand.Imm(8*step), dst)
	if minus {
		ADDQ(operand.Imm(8*step), base)
	}
	SUBQ(operand.Imm(step), n)
	JNZ(operand.LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// apart is the number of bytes from one operand's strip to the next: productStrip
// elements in Go.
const apart = 256 * 8

// A tile makes the sums of products of one operand with several, or of all pairs
// of a few: as many sums as the registers hold.
type tile struct {
	l   reg.GPVirtual
	sum [][2]reg.VecVirtual // lanes 0 to 3 and 4 to 7
	add func(x operand.Op, y, acc reg.VecVirtual)
}

// newTile begins a function. Products that are not exact must be rounded before
// they are added.
func newTile(kind string, sums int, exact bool, doc string) *tile {
	name, how := kind+"Fused", "Products are fused with the sum."
	if !exact {
		name, how = kind+"Rounded", "Products are rounded."
	}
	TEXT(name, NOSPLIT, "func(l *[8]float64, x, y *float64, n int)")
	Doc(name+" "+doc, how, "Strips of operands lie one after another. n is a multiple of 8, not 0.")
	Pragma("noescape")
	t := &tile{l: pointer("l")}
	for i := range sums {
		pair := [2]reg.VecVirtual{YMM(), YMM()}
		VMOVUPD(at(t.l, 64*i), pair[0])
		VMOVUPD(at(t.l, 64*i+32), pair[1])
		t.sum = append(t.sum, pair)
	}
	t.add = func(x operand.Op, y, acc reg.VecVirtual) { VFMADD231PD(x, y, acc) }
	if !exact {
		t.add = func(x operand.Op, y, acc reg.VecVirtual) {
			p := YMM()
			VMULPD(x, y, p)
			VADDPD(p, acc, acc)
		}
	}
	return t
}

// loop runs body for the halves of eight elements after another.
func (t *tile) loop(body func(half int), pointers ...reg.GPVirtual) {
	n := Load(Param("n"), GP64())
	Label("loop")
	body(0)
	body(1)
	for _, p := range pointers {
		ADDQ(operand.Imm(64), p)
	}
	SUBQ(operand.Imm(8), n)
	JNZ(operand.LabelRef("loop"))
	for i, pair := range t.sum {
		VMOVUPD(pair[0], at(t.l, 64*i))
		VMOVUPD(pair[1], at(t.l, 64*i+32))
	}
	VZEROUPPER()
	RET()
}

// row multiplies one operand with k.
func row(k int, exact bool) {
	t := newTile(fmt.Sprintf("row%d", k), k, exact, fmt.Sprintf("adds the products of operand x with %d operands from y on to %d times 8 lanes.", k, k))
	x, y := pointer("x"), pointer("y")
	t.loop(func(half int) {
		v := double64(at(x, 32*half))
		for i := range k {
			t.add(at(y, apart*i+32*half), v, t.sum[i][half])
		}
	}, x, y)
}

// triangle multiplies k operands with themselves and with each other.
func triangle(k int, exact bool) {
	sums := k * (k + 1) / 2
	t := newTile(fmt.Sprintf("triangle%d", k), sums, exact, fmt.Sprintf("adds the products of all pairs of %d operands from x on to %d times 8 lanes, in row order. y is not used.", k, sums))
	x := pointer("x")
	t.loop(func(half int) {
		v := make([]reg.VecVirtual, k)
		for i := range v {
			v[i] = double64(at(x, apart*i+32*half))
		}
		s := 0
		for i := range v {
			for j := i; j < k; j++ {
				t.add(v[i], v[j], t.sum[s][half])
				s++
			}
		}
	}, x)
}

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
