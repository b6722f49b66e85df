package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// Weighted sums of any number of operands, in float64. Products are rounded.

func weightedSums() {
	for _, s := range append(sources, f64) {
		sum(s)
	}
	for _, s := range sources {
		mixed(ymm, s)
	}
	mixed(zmm, bf16) // of F32 it would be slower by a tenth
	mixed(zmm, f16)
	for _, s := range sources {
		narrow64(s)
	}
}

// A summand is the loop over operands within a turn of a sum.
type summand struct {
	x, w, offset, operands reg.GPVirtual
	divided, one           reg.GPVirtual
	fetch                  int // bytes of an operand for each turn
}

func newSummand(fetch int) summand {
	s := summand{fetch: fetch, x: pointer("x"), w: pointer("w"), offset: pointer("offset"), operands: pointer("operands"), divided: GP64(), one: GP64()}
	MOVQ(param("divisor"), s.divided)
	MOVQ(operand.U64(0x3ff0_0000_0000_0000), s.one)
	return s
}

// turn calls body with each operand's address and weight, and then divides if it
// must.
func (s summand) turn(v vector, body func(p reg.GPVirtual, weight reg.VecVirtual), acc []reg.VecVirtual) {
	k := GP64()
	XORQ(k, k)
	Label("operand")
	p, weight := GP64(), v.reg()
	MOVQ(element(s.x, k), p)
	VBROADCASTSD(element(s.w, k), weight)
	ADDQ(s.offset, p)
	for i := 0; i < s.fetch; i += 64 {
		PREFETCHT0(at(p, ahead+i))
	}
	body(p, weight)
	INCQ(k)
	CMPQ(k, s.operands)
	JNE(label("operand"))
	CMPQ(s.divided, s.one)
	JE(label("whole"))
	divisor := v.reg()
	VBROADCASTSD(param("divisor"), divisor)
	for _, x := range acc {
		VDIVPD(divisor, x, x)
	}
	Label("whole")
}

// add adds the weighted elements at m to acc.
func (s source) add(v vector, m []operand.Mem, weight reg.VecVirtual, acc []reg.VecVirtual) {
	for i := range m {
		t := s.load(v, m[i])
		VMULPD(weight, t, t)
		VADDPD(t, acc[i], acc[i])
	}
}

func sum(s source) {
	name := "sum" + s.name
	TEXT(name, NOSPLIT, "func(y *float64, x **byte, offset int, w *float64, operands, n int, divisor float64)")
	Doc(name+" is y = (y + w[0]*x[0] + w[1]*x[1] + ...) / divisor of "+s.name+" operands, which begin at an offset in bytes.",
		"n is a multiple of 16, not 0; operands is not 0.")
	Pragma("noescape")
	y, summand := pointer("y"), newSummand(step*s.size)
	var room operand.Mem
	if s.size == 2 {
		room, _ = scratch()
	}
	loop(func() {
		var acc []reg.VecVirtual
		for _, m := range every(at(y, 0), 32, 128) {
			acc = append(acc, ymm.double(m))
		}
		summand.turn(ymm, func(p reg.GPVirtual, weight reg.VecVirtual) {
			s.add(ymm, s.spread(ymm, at(p, 0), room), weight, acc)
		}, acc)
		for i, x := range acc {
			VMOVUPD(x, at(y, 32*i))
		}
	}, stream{y, 8}, stream{summand.offset, s.size})
	VZEROUPPER()
	RET()
}

// mixed is a weighted sum of operands that is rounded to their type.
func mixed(v vector, s source) {
	name, turn := "mix"+s.name+v.suffix, v.bytes/2
	TEXT(name, NOSPLIT, "func(dst *byte, x **byte, offset int, w *float64, operands, n int, divisor float64) (bad uint32)")
	Doc(name+" is dst = (w[0]*x[0] + w[1]*x[1] + ...) / divisor of "+s.name+" operands, which begin at an offset in bytes.",
		"Weights and divisor are finite.",
		fmt.Sprintf("n is a multiple of %d, not 0; operands is not 0. bad is 0 if every result is right and finite.", turn))
	Pragma("noescape")
	dst, summand := pointer("dst"), newSummand(turn*s.size)
	out := newNarrower(v, s)
	spread := func(p reg.GPVirtual) []operand.Mem { return every(at(p, 0), v.bytes/2, 2*v.bytes) }
	if s.size == 2 {
		room, _ := scratch()
		spread = func(p reg.GPVirtual) (m []operand.Mem) {
			for i := 0; i < v.bytes; i += 32 {
				m = append(m, s.spread(v, at(p, i), room.Offset(2*i))...)
			}
			return m
		}
		if s.name == "BF16" {
			// The even elements before the odd ones: a BF16 is the upper half of a float32.
			upper := v.all32("upperHalf", 0xffff_0000)
			out.split = true
			spread = func(p reg.GPVirtual) []operand.Mem {
				even, odd := v.reg(), v.reg()
				v.load(at(p, 0), odd)
				VPSLLD(imm8(16), odd, even)
				v.and(upper, odd, odd)
				v.store(even, room)
				v.store(odd, room.Offset(v.bytes))
				return every(room, v.bytes/2, 2*v.bytes)
			}
		}
	}
	negZero := every64("negZero", 1<<63)
	loopTurns(turn, func() {
		PREFETCHT0(at(dst, ahead))
		var acc []reg.VecVirtual
		for range 4 {
			acc = append(acc, v.double(negZero)) // which, unlike 0, does not turn a sum of -0 into 0
		}
		summand.turn(v, func(p reg.GPVirtual, weight reg.VecVirtual) { s.add(v, spread(p), weight, acc) }, acc)
		out.narrow(acc, dst)
	}, nil, []stream{{dst, s.size}, {summand.offset, s.size}})
	out.verdict()
}

// narrow64 rounds F64 elements.
func narrow64(s source) {
	name := "narrowF64To" + s.name
	TEXT(name, NOSPLIT, "func(dst *byte, src *float64, n int) (bad uint32)")
	Doc(name+" rounds F64 to "+s.name+", once.", "n is a multiple of 16, not 0. bad is 0 if every result is right and finite.")
	Pragma("noescape")
	dst, src := pointer("dst"), pointer("src")
	out := newNarrower(ymm, s)
	loop(func() {
		var x []reg.VecVirtual
		for _, m := range every(at(src, 0), 32, 128) {
			x = append(x, ymm.double(m))
		}
		out.narrow(x, dst)
	}, stream{dst, s.size}, stream{src, 8})
	out.verdict()
}

// A narrower rounds four vectors of float64 to elements of a type, and remembers the
// greatest magnitude of the results as a code, of which those of NaN are the greatest.
type narrower struct {
	v         vector
	to        source
	split     bool // the even elements come before the odd ones
	abs, most reg.VecVirtual
	cut       reg.VecVirtual
	below     operand.Op
}

func newNarrower(v vector, to source) *narrower {
	o := &narrower{v: v, to: to, most: v.zero(), abs: v.all32("magnitude", 0x7fff_ffff)}
	switch to.name {
	case "BF16":
		// 11 bits remain, the last of them set if the others were not 0. They fit
		// a float32 that is subnormal, too, unless BF16 has 0 there.
		o.cut = v.all64("cut42", 1<<42-1)
	case "F16":
		o.cut = v.all64("cut", 1<<29-1)
	}
	return o
}

// narrow rounds x and stores it at p.
func (o *narrower) narrow(x []reg.VecVirtual, p reg.GPVirtual) {
	v := o.v
	var y [2]reg.VecVirtual
	for i := range y {
		y[i] = o.single(x[2*i], x[2*i+1])
		o.see(y[i])
	}
	switch o.to.name {
	case "BF16":
		o.round(y[0])
		o.round(y[1])
		o.pack(y, p)
	case "F16":
		VCVTPS2PH(imm8(0), y[0], at(p, 0))
		VCVTPS2PH(imm8(0), y[1], at(p, v.bytes/2))
	default:
		VMOVUPS(y[0], at(p, 0))
		VMOVUPS(y[1], at(p, v.bytes))
	}
}

// single rounds to float32: to odd, if that is to be rounded again.
func (o *narrower) single(low, high reg.VecVirtual) reg.VecVirtual {
	var half [2]reg.VecVirtual
	for i, x := range []reg.VecVirtual{low, high} {
		if o.cut != nil {
			o.odd(x)
		}
		if o.v == zmm {
			half[i] = YMM()
			VCVTPD2PS(x, half[i])
		} else {
			half[i] = XMM()
			VCVTPD2PSY(x, half[i])
		}
	}
	y := o.v.reg()
	if o.v == zmm {
		VINSERTF64X4(imm8(1), half[1], half[0].AsZ(), y)
	} else {
		VINSERTF128(imm8(1), half[1], half[0].AsY(), y)
	}
	return y
}

// odd cuts the last bits of x off and sets the last bit that remains if any of
// them is lost: adding ones to what is cut carries if it is not 0.
func (o *narrower) odd(x reg.VecVirtual) {
	if o.v == ymm {
		roundOdd(o.cut)(x)
		return
	}
	t := ZMM()
	VPANDQ(o.cut, x, t)
	VPADDQ(o.cut, t, t)
	VPTERNLOGQ(imm8(0x54), o.cut, t, x) // (x | t) &^ cut
}

func (o *narrower) see(y reg.VecVirtual) {
	t := o.v.reg()
	o.v.and(o.abs, y, t)
	VPMAXUD(t, o.most, o.most)
}

// round rounds float32 codes to BF16, to nearest even, in the upper half.
func (o *narrower) round(y reg.VecVirtual) {
	if o.v == ymm {
		newRounder().round(y)
		return
	}
	last := K()
	VPTESTMD(every32("bit16", 1<<16), y, last)
	VPADDD(every32("belowHalf32", 0x7fff), y, y)
	VPADDD(every32("one32", 1), y, last, y)
}

// pack stores the upper halves.
func (o *narrower) pack(y [2]reg.VecVirtual, p reg.GPVirtual) {
	switch {
	case !o.split:
		pack(y[0], y[1], at(p, 0))
	case o.v == ymm:
		VPSRLD(imm8(16), y[0], y[0])
		VPBLENDW(imm8(0b10101010), y[1], y[0], y[0])
		VMOVDQU(y[0], at(p, 0))
	default:
		VPSRLD(imm8(16), y[0], y[0])
		VPTERNLOGD(imm8(0xf8), o.upper(), y[1], y[0]) // low | y1 & upper
		VMOVDQU32(y[0], at(p, 0))
	}
}

func (o *narrower) upper() operand.Op { return every32("upperHalves", 0xffff_0000) }

// verdict returns whether the greatest magnitude has reached the type's limit.
func (o *narrower) verdict() {
	limit := map[string]uint32{"BF16": limBF16, "F16": limF16, "F32": limF32}[o.to.name]
	last := o.v.all32(fmt.Sprintf("beyond%X", limit-1), limit-1)
	if o.v == zmm {
		beyond, mask := K(), GP32()
		VPCMPUD(imm8(6), last, o.most, beyond) // greater
		KMOVW(beyond, mask)
		Store(mask, ReturnIndex(0))
	} else {
		beyond := YMM()
		VPCMPGTD(last, o.most, beyond)
		report(beyond)
	}
	VZEROUPPER()
	RET()
}
