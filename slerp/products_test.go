package slerp

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
)

// productsOf is what Products promises, in floats of 53 bits with any exponent.
func productsOf(in []DType, base int, chunks [][]byte) []Gram {
	var x [][]float64
	var b []float64
	for k, d := range in {
		v := make([]float64, len(chunks[k])/d.Size())
		for i := range v {
			v[i] = value(d, code(d, chunks[k], i))
		}
		if k == base {
			b = v
		} else {
			x = append(x, v)
		}
	}
	var grams []Gram
	for i := range x {
		for j := i + 1; j < len(x); j++ {
			grams = append(grams, Gram{innerOf(x[i], x[i], b), innerOf(x[j], x[j], b), innerOf(x[i], x[j], b)})
		}
	}
	return grams
}

// innerOf is the sum of the products of x-b and y-b, or of x and y if b is nil.
func innerOf(x, y, b []float64) Wide {
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(53).SetFloat64(x) }
	add := func(x, y *big.Float) *big.Float { return num(0).Add(x, y) }
	// difference is not finite, or it has a value that may be beyond float64.
	difference := func(x []float64, i int) (float64, *big.Float) {
		if b == nil {
			if !finite(x[i]) {
				return x[i], nil
			}
			return float64(num(x[i]).Sign()), num(x[i])
		}
		if !finite(x[i]) || !finite(b[i]) {
			return x[i] - b[i], nil
		}
		d := num(0).Sub(num(x[i]), num(b[i]))
		return float64(d.Sign()), d
	}
	var e [8]*big.Float
	for i := range e {
		e[i] = num(0)
	}
	beyond, all := 0.0, true
	for i := range x {
		sx, dx := difference(x, i)
		sy, dy := difference(y, i)
		if dx == nil || dy == nil {
			beyond, all = beyond+sx*sy, false
			continue
		}
		e[i%8] = add(e[i%8], num(0).Mul(dx, dy))
	}
	if !all {
		return NewWide(beyond)
	}
	sum := add(add(add(e[0], e[4]), add(e[2], e[6])), add(add(e[1], e[5]), add(e[3], e[7])))
	mant := num(0)
	exp := sum.MantExp(mant)
	f, _ := mant.Float64()
	return wide(f, exp)
}

// someTensors are n elements of count tensors of one type or of several. Some
// are others but for a few last bits.
func someTensors(r *rand.Rand, count, n int, m mix) (in []DType, chunks [][]byte) {
	d, mixed := allTypes[r.IntN(len(allTypes))], r.IntN(3) == 0
	for k := range count {
		if mixed {
			d = allTypes[r.IntN(len(allTypes))]
		}
		p := random(r, d, n, m)
		if k > 0 && in[k-1] == d && r.IntN(3) == 0 {
			copy(p, opposed(r, d, chunks[k-1]))
			if r.IntN(2) == 0 {
				copy(p, opposed(r, d, p))
			}
		}
		in, chunks = append(in, d), append(chunks, somewhere(p, r.IntN(9)))
	}
	return in, chunks
}

func sameGrams(x, y []Gram) bool { return slices.EqualFunc(x, y, same) }

// TestProducts holds any number of tensors to the oracle, with and without a
// base, at all tails and at places without alignment.
func TestProducts(t *testing.T) {
	t.Parallel()
	r := source(40)
	for n := range 71 {
		for range 4 {
			count := 1 + r.IntN(9)
			in, chunks := someTensors(r, count, n, mix(r.IntN(int(numMixes))))
			base := r.IntN(2*count) - count
			p := NewProducts(in, max(base, -1))
			p.Add(chunks)
			got, want := p.Grams(nil), productsOf(in, max(base, -1), chunks)
			if !sameGrams(got, want) {
				t.Fatalf("%d elements of %v, base %d: %x, want %x", n, in, base, got, want)
			}
		}
	}
}

// TestProductsArePairs: without a base each pair has the sums of InnerProducts,
// over strips and however the block is chunked.
func TestProductsArePairs(t *testing.T) {
	r := source(41)
	const n = 3*strip + 21
	for count := 2; count <= 9; count++ {
		for range 4 {
			in, chunks := someTensors(r, count, n, weights)
			if r.IntN(4) == 0 { // a value near the ends, late
				putCode(in[1], chunks[1], n-9, nanCodes[in[1]]-1)
			}
			var want []Gram
			for i := range in {
				for j := i + 1; j < count; j++ {
					m := NewInnerProducts(in[i], in[j])
					m.Add(chunks[i], chunks[j])
					want = append(want, m.Gram())
				}
			}
			p := NewProducts(in, -1)
			for range 3 {
				p.Reset()
				for from := 0; from < n; {
					to := min(n, from+8*(1+r.IntN(200)))
					var part [][]byte
					for k, d := range in {
						part = append(part, chunks[k][from*d.Size():to*d.Size()])
					}
					p.Add(part)
					p.Grams(nil)
					from = to
				}
				if got := p.Grams(nil); !sameGrams(got, want) {
					t.Fatalf("%v: %x, want %x", in, got, want)
				}
			}
		}
	}
}

// TestDifferences counts by hand.
func TestDifferences(t *testing.T) {
	const most = math.MaxFloat64
	inf, nan := math.Inf(1), math.NaN()
	up := 1 + 0x1p-30 // its square needs 61 bits
	for _, c := range []struct {
		name       string
		in         DType
		base       []float64
		a, b       []float64
		aa, bb, ab Wide
	}{
		{"base in the middle", tensor.BF16, []float64{1, 2}, []float64{3, 2}, []float64{0, 5}, NewWide(4), NewWide(10), NewWide(-2)},
		{"equal to the base", tensor.F16, []float64{1, 2}, []float64{1, 2}, []float64{2, 2}, NewWide(0), NewWide(1), NewWide(0)},
		{"a difference is rounded", tensor.F32, []float64{-0x1p-60}, []float64{1}, []float64{1}, NewWide(1), NewWide(1), NewWide(1)},
		// In one lane: -(1+2^-29), then the square of 1+2^-30, less 2^-60 if it is rounded.
		{"a product is rounded", tensor.F64, make([]float64, 9), []float64{-(1 + 0x1p-29), 0, 0, 0, 0, 0, 0, 0, up}, []float64{1, 0, 0, 0, 0, 0, 0, 0, up},
			NewWide((1 + 0x1p-28) + 1 + 0x1p-29), NewWide(2 + 0x1p-29), NewWide(0)},
		{"a difference beyond float64", tensor.F64, []float64{-most}, []float64{most}, []float64{0}, Product(most, most).Times(NewWide(4)), Product(most, most), Product(most, most).Times(NewWide(2))},
		{"the least difference", tensor.F64, []float64{0x1p-1074}, []float64{0}, []float64{0x1p-1022}, Product(0x1p-1074, 0x1p-1074),
			Product(0x1p-1022-0x1p-1074, 0x1p-1022-0x1p-1074), Product(-0x1p-1074, 0x1p-1022-0x1p-1074)},
		{"a base that is not finite", tensor.BF16, []float64{inf}, []float64{1}, []float64{inf}, NewWide(inf), NewWide(nan), NewWide(nan)},
	} {
		p := NewProducts([]DType{c.in, c.in, c.in}, 1)
		p.Add([][]byte{encoded(c.in, c.a...), encoded(c.in, c.base...), encoded(c.in, c.b...)})
		if got := p.Grams(nil); !sameGrams(got, []Gram{{c.aa, c.bb, c.ab}}) {
			t.Errorf("%s: %v, want %v", c.name, got, Gram{c.aa, c.bb, c.ab})
		}
	}
}
