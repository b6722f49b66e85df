package slerp

import (
	"math"
	"math/big"
	"testing"

	"slerpmerge/internal/tensor"
)

// An axis lists the elements of each row or column of a shape.
func axis(shape []uint64, columns bool) (groups [][]int) {
	n := 1
	for _, d := range shape {
		n *= int(d)
	}
	if n == 0 {
		return nil
	}
	stride, length := 1, 1
	switch {
	case columns && len(shape) > 1:
		length = int(shape[0])
		stride = n / length
	case len(shape) > 0:
		length = int(shape[len(shape)-1])
	}
	for g := range n / length {
		var list []int
		for i := range length {
			if stride > 1 || columns && len(shape) > 1 {
				list = append(list, g+i*stride)
			} else {
				list = append(list, g*length+i)
			}
		}
		groups = append(groups, list)
	}
	return groups
}

// delta is an element of an operand, less the base's if there is one.
func (s *sample) delta(k, i int) float64 {
	if s.base < 0 {
		return s.v(k, i)
	}
	return s.v(k, i) - s.v(s.base, i)
}

// inner is an inner product of deltas, exact but for 300 bits; ok is false if
// something is not finite.
func (s *sample) inner(a, b int, list []int) (sum *big.Float, ok bool) {
	num := func(x float64) *big.Float { return new(big.Float).SetPrec(300).SetFloat64(x) }
	sum = num(0)
	for _, i := range list {
		x, y := s.delta(a, i), s.delta(b, i)
		if !finite(x) || !finite(y) {
			return nil, false
		}
		sum.Add(sum, num(0).Mul(num(x), num(y)))
	}
	return sum, true
}

// cosine is that of two deltas, whose lengths are at least floor, or their product is if
// product is true.
func (s *sample) cosine(a, b int, list []int, floor float64, product bool) (float64, bool) {
	aa, oka := s.inner(a, a, list)
	bb, okb := s.inner(b, b, list)
	if !oka || !okb {
		return 0, false
	}
	ab, _ := s.inner(a, b, list)
	low := big.NewFloat(floor)
	length := func(x *big.Float) *big.Float { return new(big.Float).SetPrec(300).Sqrt(x) }
	na, nb := length(aa), length(bb)
	if !product && na.Cmp(low) < 0 {
		na = low
	}
	if !product && nb.Cmp(low) < 0 {
		nb = low
	}
	both := new(big.Float).SetPrec(300).Mul(na, nb)
	if product && both.Cmp(low) < 0 {
		both = low
	}
	cos, _ := ab.Quo(ab, both).Float64()
	return math.Max(-1, math.Min(1, cos)), true
}

// nuslerpAt is nuslerp along an axis in float64, and how far off it may be.
func nuslerpAt(s *sample, t float64, columns bool) (want, slack []float64) {
	want, slack = make([]float64, s.Elems()), make([]float64, s.Elems())
	list := s.others()
	for _, group := range axis(s.Shape, columns) {
		cos, ok := s.cosine(list[0], list[1], group, 1e-7, false)
		c0, c1 := 1-t, t
		if theta := math.Acos(cos); 1-cos*cos > 1e-16 {
			c0, c1 = math.Sin((1-t)*theta)/math.Sin(theta), math.Sin(t*theta)/math.Sin(theta)
		}
		if !ok {
			c0, c1 = math.NaN(), math.NaN()
		}
		// The sine of an angle near pi has few digits.
		rough := 1e-7 + 1e-14/math.Max(1-cos*cos, 1e-30)
		for _, i := range group {
			x, y := s.v(list[0], i), s.v(list[1], i)
			want[i] = float64(c0*x) + float64(c1*y)
			slack[i] = (math.Abs(c0*x) + math.Abs(c1*y)) * rough
			if s.base >= 0 {
				b := s.v(s.base, i)
				want[i] += float64((1 - c0 - c1) * b)
				slack[i] += math.Abs(b) * rough * (1 + math.Abs(c0+c1))
			}
		}
	}
	return want, slack
}

func TestNuslerpAxes(t *testing.T) {
	r := source(144)
	for _, shape := range sweepShapes {
		for _, m := range []mix{weights, weights, sparse, wild} {
			for _, columns := range []bool{false, true} {
				n := 2 + r.IntN(2)
				base := -1
				if n == 3 {
					base = r.IntN(3)
				}
				s := newSample(r, shape, n, base, m)
				a := NuslerpAxes{Base: base, T: r.Float64(), Columns: columns}
				want, slack := nuslerpAt(s, a.T, columns)
				s.hold(t, r, func() Sweep { return a.Sweep(s.Operands) }, want, func(i int) float64 { return slack[i] })
			}
		}
	}
}

// Rows and columns are each turned by their own angle, a vector as a whole.
func TestNuslerpAxesValues(t *testing.T) {
	f64, half := tensor.F64, math.Sqrt(0.5)
	for _, c := range []struct {
		name    string
		shape   []uint64
		columns bool
		x       [][]float64
		base    int
		want    []float64
	}{
		{"rows", []uint64{2, 2}, false, [][]float64{{1, 0, 2, 2}, {0, 1, 4, 4}}, -1, []float64{half, half, 3, 3}},
		{"columns", []uint64{2, 2}, true, [][]float64{{1, 2, 0, 2}, {0, 4, 1, 4}}, -1, []float64{half, 3, half, 3}},
		{"opposite", []uint64{1, 2}, false, [][]float64{{1, 1}, {-3, -3}}, -1, []float64{-1, -1}},
		{"a vector by rows", []uint64{4}, false, [][]float64{{1, 1, 0, 0}, {0, 0, 1, 1}}, -1, []float64{half, half, half, half}},
		{"a vector by columns", []uint64{4}, true, [][]float64{{1, 1, 0, 0}, {0, 0, 1, 1}}, -1, []float64{half, half, half, half}},
		{"a scalar", []uint64{}, true, [][]float64{{1}, {3}}, -1, []float64{2}},
		{"a row of zeros", []uint64{2, 1}, false, [][]float64{{0, 1}, {1, 3}}, -1, []float64{half, 2}},
		{"a base", []uint64{1, 2}, false, [][]float64{{5, 5}, {6, 5}, {5, 6}}, 0, []float64{5 + half, 5 + half}},
		{"the base is the last", []uint64{1, 2}, false, [][]float64{{6, 5}, {5, 6}, {5, 5}}, 2, []float64{5 + half, 5 + half}},
		{"three axes, columns", []uint64{2, 1, 2}, true, [][]float64{{1, 2, 0, 2}, {0, 4, 1, 4}}, -1, []float64{half, 3, half, 3}},
		{"three axes, rows", []uint64{2, 1, 2}, false, [][]float64{{1, 0, 2, 2}, {0, 1, 4, 4}}, -1, []float64{half, half, 3, 3}},
		{"a NaN spoils its row", []uint64{2, 2}, false, [][]float64{{1, math.NaN(), 2, 2}, {0, 1, 4, 4}}, -1, []float64{math.NaN(), math.NaN(), 3, 3}},
	} {
		s := &sample{Operands: Operands{Shape: c.shape, Out: f64}, base: c.base}
		for _, v := range c.x {
			s.In, s.x = append(s.In, f64), append(s.x, encoded(f64, v...))
		}
		t.Run(c.name, func(t *testing.T) {
			a := NuslerpAxes{Base: c.base, T: 0.5, Columns: c.columns}
			s.hold(t, source(1), func() Sweep { return a.Sweep(s.Operands) }, c.want, func(int) float64 { return 1e-15 })
		})
	}
}

// A row has the sums of a tensor with the same elements, also beyond a block, and
// those of values near the ends.
func TestRowSums(t *testing.T) {
	r := source(145)
	for _, m := range []mix{weights, edges, wild} {
		for _, n := range []int{1, 7, 8, 100, strip + 3, BlockElems, 2*BlockElems + 5} {
			if n > 2000 && m != weights {
				n = 3000
			}
			x, y := random(r, tensor.F64, n, m), random(r, tensor.F64, n, m)
			var want Gram
			for from := 0; from < n; from += BlockElems {
				g := NewInnerProducts(tensor.F64, tensor.F64)
				to := min(n, from+BlockElems)
				g.Add(x[8*from:8*to], y[8*from:8*to])
				want = want.Plus(g.Gram())
			}
			a, b := make([]float64, n), make([]float64, n)
			detected.decode64(tensor.F64, a, x)
			detected.decode64(tensor.F64, b, y)
			sums := newRowSums(2, []DType{tensor.F64})
			for range 2 {
				sums.reset()
				for i := 0; i < n; {
					to := min(n, i+1+r.IntN(1000))
					sums.add([][]float64{a, b}, i, to)
					i = to
				}
				sums.finish()
				if got := (Gram{sums.product(0, 0), sums.product(1, 1), sums.product(1, 0)}); !same(got, want) {
					t.Errorf("%d elements, mix %d: %v, want %v", n, m, got, want)
				}
			}
		}
	}
}

// The blocks of rows and of columns are all elements once, in runs that are wide
// enough.
func TestAxesBlocks(t *testing.T) {
	bf := tensor.BF16
	for _, shape := range [][]uint64{{}, {5}, {3, 7}, {4096, 14336}, {1 << 21}, {3, 1 << 21}, {128256, 4096}, {8, 3, 1000}, {7, 100003}, {1 << 22, 1}} {
		for _, columns := range []bool{false, true} {
			o := Operands{Shape: shape, In: []DType{bf, bf}, Out: bf}
			w := NuslerpAxes{Base: -1, T: 0.5, Columns: columns}.Sweep(o)
			n := int64(0)
			for b := range w.Pass() {
				r := w.Region(b)
				n += r.Len * r.Count
				if last := r.From + (r.Count-1)*r.Stride + r.Len; last > o.Elems() {
					t.Fatalf("%v: block %d ends at %d", shape, b, last)
				}
				if columns && len(shape) > 1 && r.Len < min(2048, r.Stride)/2 {
					t.Errorf("%v: runs of %d", shape, r.Len)
				}
			}
			if n != o.Elems() {
				t.Errorf("%v, columns %v: %d elements", shape, columns, n)
			}
			if _, scratch := w.Memory(); scratch > 3<<20 {
				t.Errorf("%v: scratch %d", shape, scratch)
			}
		}
	}
}

func BenchmarkNuslerpAxes(b *testing.B) {
	bf := tensor.BF16
	for _, c := range []struct {
		name string
		in   []DType
		base int
	}{{"two", []DType{bf, bf}, -1}, {"base", []DType{bf, bf, bf}, 2}} {
		o := Operands{Shape: []uint64{16, 4096}, In: c.in, Out: bf}
		for _, columns := range []bool{false, true} {
			w := NuslerpAxes{Base: c.base, T: 0.3, Columns: columns}.Sweep(o)
			w.Pass()
			name := c.name + map[bool]string{true: "/columns", false: "/rows"}[columns]
			b.Run(name+"/mix", func(b *testing.B) { benchmarkMixer(b, w, o) })
			if !columns {
				b.Run(name+"/measure", func(b *testing.B) { benchmarkPass(b, w, o) })
				continue
			}
			b.Run(name+"/measure", func(b *testing.B) {
				one := o
				one.Shape = []uint64{1, 2048}
				chunks, bytes := sweepOperands(one)
				s := new(Scratch)
				throughput(b, bytes*16, func() {
					m := w.Meter(s, 0)
					for i := range int64(16) {
						m.Add(chunks, i*4096)
					}
				})
			})
		}
	}
}
