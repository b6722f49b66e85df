package slerp

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"slerpmerge/internal/tensor"
)

// somewhere copies p to an address that is odd in its own way.
func somewhere(p []byte, offset int) []byte {
	q := make([]byte, len(p)+offset)
	copy(q[offset:], p)
	return q[offset:]
}

func same(x, y Gram) bool {
	eq := func(x, y Wide) bool {
		return x == y || x.frac != x.frac && math.Float64bits(x.frac) == nanCodes[tensor.F64] && y.frac != y.frac
	}
	return eq(x.AA, y.AA) && eq(x.BB, y.BB) && eq(x.AB, y.AB)
}

// TestMeasure holds every mix of types to the oracle, at all tails and at
// places without alignment.
func TestMeasure(t *testing.T) {
	r := source(4)
	for _, da := range allTypes {
		for _, db := range allTypes {
			for m := range numMixes {
				for n := range 66 {
					a, b := random(r, da, n, m), random(r, db, n, m)
					if da == db && n%3 == 0 {
						b = opposed(r, da, a)
					}
					products := NewInnerProducts(da, db)
					products.Add(somewhere(a, n%7), somewhere(b, n%5))
					if got, want := products.Gram(), measured(da, db, a, b); !same(got, want) {
						t.Fatalf("%v, %v, %d elements, mix %d: %x, want %x", da, db, n, m, got, want)
					}
				}
			}
		}
	}
}

// TestMeasureChunks: the sums of a block do not depend on how it is chunked,
// reading them changes nothing, and Reset starts afresh.
func TestMeasureChunks(t *testing.T) {
	r := source(5)
	const n = 3*piece + 77
	for _, d := range [][2]tensor.DType{{tensor.BF16, tensor.BF16}, {tensor.F16, tensor.F16}, {tensor.F32, tensor.F32},
		{tensor.F16, tensor.BF16}, {tensor.F32, tensor.F8E5M2}, {tensor.F64, tensor.BF16}} {
		a, b := random(r, d[0], n, weights), random(r, d[1], n, weights)
		want := measured(d[0], d[1], a, b)
		products := NewInnerProducts(d[0], d[1])
		for range 20 {
			products.Reset()
			for from := 0; from < n; {
				to := min(n, from+8*(1+r.IntN(900)))
				products.Add(a[from*d[0].Size():to*d[0].Size()], b[from*d[1].Size():to*d[1].Size()])
				products.Gram()
				from = to
			}
			if got := products.Gram(); got != want {
				t.Fatalf("%v: %x, want %x", d, got, want)
			}
		}
	}
}

// TestLaneOrder fails for any other lane or any other fold: the first element
// is 2^60 times as heavy as the units that share sums with it, each of which
// is lost or kept by order alone.
func TestLaneOrder(t *testing.T) {
	// 2^30 squared is 2^60; of ones beside it, 2^8 make one ulp. In a lane with
	// the heavy element 200 ones come one at a time and are lost. In another
	// lane they come together, and half an ulp or more of them is kept.
	for lane := range 8 {
		a := make([]byte, 8*201*2)
		for i := range 8 * 201 {
			c, _ := nearest(tensor.BF16, 0)
			switch {
			case i == lane:
				c, _ = nearest(tensor.BF16, 0x1p30)
			case i%8 == lane || i%8 == (lane+4)%8:
				c, _ = nearest(tensor.BF16, 1)
			}
			putCode(tensor.BF16, a, i, c)
		}
		products := NewInnerProducts(tensor.BF16, tensor.BF16)
		products.Add(a, a)
		// The other lane's 201 ones round 2^60 up by one ulp of 256.
		if got := products.Gram().AA.Float64(); got != 0x1p60+256 {
			t.Errorf("heavy in lane %d: %v, want 2^60 + 256", lane, got)
		}
	}
	// The fold: -2^60 in one lane meets 2^60 in another at a level that its
	// place gives; a one in a third is lost if it gets in between.
	for _, c := range []struct {
		plus, minus, one int
		want             float64
	}{
		{0, 4, 1, 1}, {0, 4, 2, 1}, {1, 5, 0, 1}, {2, 6, 0, 1}, {3, 7, 0, 1}, // first level
		{0, 2, 4, 0}, {0, 2, 6, 0}, {0, 2, 1, 1}, {1, 3, 5, 0}, {1, 3, 0, 1}, // second
		{0, 1, 2, 0}, {0, 1, 3, 0}, {0, 3, 7, 0}, {5, 6, 1, 0}, // third
	} {
		var l [8]float64
		l[c.plus], l[c.minus], l[c.one] = 0x1p60, -0x1p60, 1
		if got := fold(&l); got != c.want {
			t.Errorf("fold of %v = %v, want %v", l, got, c.want)
		}
	}
}

// TestNoFusing: F64 products are rounded before they are added. 1+2^-30
// squared is 1+2^-29+2^-60; the last term survives only in a fused sum.
func TestNoFusing(t *testing.T) {
	a, b := make([]byte, 9*8), make([]byte, 9*8)
	putCode(tensor.F64, a, 0, math.Float64bits(-(1 + 0x1p-29)))
	putCode(tensor.F64, b, 0, math.Float64bits(1))
	for _, p := range [][]byte{a, b} {
		putCode(tensor.F64, p, 8, math.Float64bits(1+0x1p-30))
	}
	products := NewInnerProducts(tensor.F64, tensor.F64)
	products.Add(a, b)
	if got := products.Gram().AB.Float64(); got != 0 {
		t.Errorf("a·b = %x, want 0", got)
	}
}

var scales = [][2]float64{{0.5, 0.5}, {0.6130, 0.4871}, {1, 0}, {-0.3, 1.7}, {0x1.279a74590331cp-1, 0x1.279a74590331cp-1},
	{1e-20, 3e-5}, {1e-45, 1e-42}, {1e30, -1e30}, {3, 7}, {0, 0}, {math.Inf(1), 0.5}, {math.NaN(), 1}, {1e300, 1},
	// As float32 this NaN's code is all ones, which rounding by addition wraps.
	{math.Float64frombits(1<<63 - 1), 0.5}}

// TestBlend holds every mix of types to the oracle, at all tails, at places
// without alignment, with weights from reasonable to absurd.
func TestBlend(t *testing.T) {
	r := source(6)
	for _, out := range allTypes {
		for _, da := range allTypes {
			for _, db := range allTypes {
				k := NewBlender(out, da, db)
				for n := range 66 {
					s := scales[r.IntN(len(scales))]
					m := mix(n) % numMixes
					checkBlend(t, k, randomPair(r, da, db, n, m), s, n)
				}
			}
		}
	}
}

// TestBlendLong goes through pieces and strips, most of them without a reason
// to leave the kernels and some with.
func TestBlendLong(t *testing.T) {
	r := source(7)
	for _, out := range allTypes {
		for _, da := range allTypes {
			db := da
			if r.IntN(2) == 0 {
				db = allTypes[r.IntN(len(allTypes))]
			}
			k := NewBlender(out, da, db)
			for i, n := range []int{piece + strip + 33, 2*piece + 16} {
				pair := randomPair(r, da, db, n, weights)
				if i == 1 {
					putCode(da, pair[0], piece+7, nanCodes[da]|1)
				}
				checkBlend(t, k, pair, scales[i], n)
			}
		}
	}
}

func randomPair(r *rand.Rand, da, db tensor.DType, n int, m mix) [2][]byte {
	a, b := random(r, da, n, m), random(r, db, n, m)
	if da == db && r.IntN(4) == 0 {
		b = opposed(r, da, a)
	}
	return [2][]byte{a, b}
}

func checkBlend(t *testing.T, k *Blender, pair [2][]byte, s [2]float64, n int) {
	t.Helper()
	want, counts := blended(k.out, k.a, k.b, pair[0], pair[1], s[0], s[1])
	// Beyond the end lie marks that must stay.
	room := bytes.Repeat([]byte{0xa5}, len(want)+40+n%9)
	dst := room[n%9 : n%9+len(want)]
	got := k.Blend(dst, somewhere(pair[0], n%7), somewhere(pair[1], n%5), s[0], s[1])
	for i := range n {
		if g, w := code(k.out, dst, i), code(k.out, want, i); g != w {
			t.Fatalf("%v, %v to %v, element %d of %d: %v*%v + %v*%v is %#x, want %#x", k.a, k.b, k.out, i, n, s[0],
				value(k.a, code(k.a, pair[0], i)), s[1], value(k.b, code(k.b, pair[1], i)), g, w)
		}
	}
	if got != counts {
		t.Fatalf("%v, %v to %v, %d elements: counts %+v, want %+v", k.a, k.b, k.out, n, got, counts)
	}
	if bytes.Count(room, []byte{0xa5}) < 40+n%9 || !bytes.HasSuffix(room, bytes.Repeat([]byte{0xa5}, 40)) {
		t.Fatalf("%v, %v to %v, %d elements: wrote beyond dst", k.a, k.b, k.out, n)
	}
}

// TestBlendAllCodes blends every 16-bit code with its bit-wise opposite and
// with zero.
func TestBlendAllCodes(t *testing.T) {
	for _, d := range []tensor.DType{tensor.F16, tensor.BF16} {
		a, b := make([]byte, 1<<17), make([]byte, 1<<17)
		for i := range 1 << 16 {
			putCode(d, a, i, uint64(i))
			putCode(d, b, i, uint64(i)^0xffff)
		}
		k := NewBlender(d, d, d)
		for _, s := range scales {
			want, counts := blended(d, d, d, a, b, s[0], s[1])
			got := make([]byte, len(want))
			var c Counts
			for i := 0; i < len(a); i += 64 { // a kernel gives up only what it must
				c.Add(k.Blend(got[i:i+64], a[i:i+64], b[i:i+64], s[0], s[1]))
			}
			if !bytes.Equal(got, want) || c != counts {
				t.Errorf("%v with %v: bytes or counts (%+v, want %+v) differ", d, s, c, counts)
			}
		}
	}
}

// TestCounts counts by hand.
func TestCounts(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		out, in tensor.DType
		a, b    float64
		s0, s1  float64
		want    float64
		counts  Counts
	}{
		{tensor.F16, tensor.F16, 65504, 65504, 0.5, 0.5, 65504, Counts{}},
		{tensor.F16, tensor.F16, 65504, 65504, 0.75, 0.75, inf, Counts{Overflow: 1}},
		{tensor.F16, tensor.F16, inf, 1, 0.5, 0.5, inf, Counts{}},
		{tensor.F16, tensor.F32, 65519, 0, 1, 0, 65504, Counts{}},
		{tensor.F16, tensor.F32, 65520, 0, 1, 0, inf, Counts{Overflow: 1}},
		{tensor.F32, tensor.F64, -1e39, 0, 1, 0, -inf, Counts{Overflow: 1}},
		{tensor.F8E4M3, tensor.F32, 464, 0, 1, 0, 448, Counts{}},
		{tensor.F8E4M3, tensor.F32, 465, 0, 1, 0, 448, Counts{Overflow: 1}},
		{tensor.F8E4M3, tensor.F32, inf, 0, 1, 1, math.NaN(), Counts{}},
		{tensor.F8E5M2, tensor.F32, 61440, 0, 1, 0, inf, Counts{Overflow: 1}},
		// Finite parents whose products overflow, and cancel.
		{tensor.BF16, tensor.BF16, 0x1p127, 0x1p127, 4, -4, 0, Counts{}},
		{tensor.F32, tensor.F32, 0x1p127, -0x1p127, 4, 4.5, -0x1p126, Counts{}},
		{tensor.F64, tensor.F64, 0x1p1023, 0x1p1023, 4, -4.5, -0x1p1022, Counts{}},
		{tensor.F64, tensor.F64, 0x1p1023, -0x1p1023, -4, 4, -inf, Counts{Overflow: 1}},
	} {
		a, b, dst := make([]byte, c.in.Size()), make([]byte, c.in.Size()), make([]byte, c.out.Size())
		x, _ := nearest(c.in, c.a)
		y, _ := nearest(c.in, c.b)
		putCode(c.in, a, 0, x)
		putCode(c.in, b, 0, y)
		counts := NewBlender(c.out, c.in, c.in).Blend(dst, a, b, c.s0, c.s1)
		got := value(c.out, code(c.out, dst, 0))
		if counts != c.counts || got != c.want && (got == got || c.want == c.want) {
			t.Errorf("%+v: got %v, %+v", c, got, counts)
		}
	}
}

// TestLimits puts the least value that overflows, and the greatest that does
// not, where nothing else in the piece does.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		out   tensor.DType
		least float64 // the middle between the largest value and what would follow
		next  bool    // the middle itself, a tie, does not overflow
	}{
		{tensor.F16, 65520, false}, {tensor.BF16, 0x1.ffp127, false}, {tensor.F32, 0x1.ffffffp127, false},
		{tensor.F8E4M3, 464, true}, {tensor.F8E5M2, 61440, false},
	} {
		for _, in := range allTypes[:2] {
			if in == c.out {
				continue
			}
			for _, sign := range []float64{1, -1} {
				least, _ := nearest(in, c.least)
				if c.next {
					least++
				}
				for over := range uint64(2) {
					a, dst := make([]byte, 40*in.Size()), make([]byte, 40*c.out.Size())
					x, _ := nearest(in, sign*value(in, least-1+over))
					putCode(in, a, 5, x)
					want := Counts{Overflow: int64(over)}
					if got := NewConverter(c.out, in).Convert(dst, a); got != want {
						t.Errorf("converting %v to %v: %+v, want %+v", value(in, x), c.out, got, want)
					}
					if got := NewBlender(c.out, in, in).Blend(dst, a, make([]byte, len(a)), 1, 1); got != want {
						t.Errorf("blending %v to %v: %+v, want %+v", value(in, x), c.out, got, want)
					}
				}
			}
		}
	}
}

// FuzzKernels compares the package, with whatever kernels it has, with the
// oracle on any bytes, types, weights and offsets.
func FuzzKernels(f *testing.F) {
	r := source(8)
	for i := range 12 {
		d := allTypes[i%len(allTypes)]
		pair := randomPair(r, d, d, 40+i, mix(i)%numMixes)
		f.Add(append(pair[0], pair[1]...), uint8(i%6), uint8(i%6), uint8((i+i/6)%6), 0.3, 0.8, uint8(i))
	}
	f.Fuzz(func(t *testing.T, p []byte, ia, ib, io uint8, s0, s1 float64, offset uint8) {
		da, db, out := allTypes[ia%6], allTypes[ib%6], allTypes[io%6]
		n := min(len(p)/(da.Size()+db.Size()), 5000)
		a, b := p[:n*da.Size()], p[len(p)-n*db.Size():]
		products := NewInnerProducts(da, db)
		products.Add(somewhere(a, int(offset%8)), somewhere(b, int(offset>>3%8)))
		if got, want := products.Gram(), measured(da, db, a, b); !same(got, want) {
			t.Fatalf("measuring %v, %v: %x, want %x", da, db, got, want)
		}
		checkBlend(t, NewBlender(out, da, db), [2][]byte{a, b}, [2]float64{s0, s1}, n)
		n = min(n, 200) // the oracle of the rest is slow
		a, b = a[:n*da.Size()], b[:n*db.Size()]
		three, x := []DType{da, db, da}, [][]byte{a, somewhere(b, int(offset%8)), a}
		differences := NewProducts(three, int(offset%4)-1)
		differences.Add(x)
		if got, want := differences.Grams(nil), productsOf(three, differences.base, x); !sameGrams(got, want) {
			t.Fatalf("products of %v, base %d: %x, want %x", three, differences.base, got, want)
		}
		dst := make([]byte, n*out.Size())
		want, counts := weightedBytes(out, three, x, []float64{s0, s1, 0.5}, 3)
		if c := NewWeightedSum(out, three).Sum(dst, x, []float64{s0, s1, 0.5}, 3); !bytes.Equal(dst, want) || c != counts {
			t.Fatalf("sum of %v to %v with %v, %v: % x, %+v, want % x, %+v", three, out, s0, s1, dst, c, want, counts)
		}
		NewConverter(out, da).Convert(dst, somewhere(a, int(offset%8)))
		for i := range n {
			c := code(da, a, i)
			want, _ := nearest(out, value(da, c))
			if out == da {
				want = c
			}
			if got := code(out, dst, i); got != want {
				t.Fatalf("%v %#x is %v %#x, want %#x", da, c, out, got, want)
			}
		}
	})
}
