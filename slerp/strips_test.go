package slerp

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"slerpmerge/internal/tensor"
)

// sweepShapes are those of 0 to 4 dimensions, empty ones, and sizes about a strip.
var sweepShapes = [][]uint64{{}, {0}, {1}, {7}, {3, 0}, {0, 3}, {1, 1}, {strip - 1}, {2*strip + 9}, {5, 37}, {64, 8}, {200, 1}, {1, 200}, {3, strip + 1},
	{2, 3, 11}, {4, 3, 16}, {2, 0, 5}, {2, 1, 3, 5}, {3, 2, 2, 64}}

// A sample is the operands of a tensor, for tests.
type sample struct {
	Operands
	x      [][]byte
	base   int // -1: none
	values [][]float64
}

// v returns element i of operand k.
func (s *sample) v(k, i int) float64 {
	if s.values == nil {
		s.values = make([][]float64, len(s.x))
		for k, d := range s.In {
			for i := range len(s.x[k]) / d.Size() {
				s.values[k] = append(s.values[k], value(d, code(d, s.x[k], i)))
			}
		}
	}
	return s.values[k][i]
}

// others returns the operands but the base, in order.
func (s *sample) others() (list []int) {
	for k := range s.In {
		if k != s.base {
			list = append(list, k)
		}
	}
	return list
}

// newSample makes n operands of random types. If m is weights they are near each
// other, and equal here and there.
func newSample(r *rand.Rand, shape []uint64, n, base int, m mix) *sample {
	s := &sample{Operands: Operands{Tensor: "t", Shape: shape, Out: allTypes[r.IntN(len(allTypes))]}, base: base}
	d := allTypes[r.IntN(len(allTypes))]
	for range n {
		if r.IntN(2) == 0 {
			d = allTypes[r.IntN(len(allTypes))]
		}
		s.In = append(s.In, d)
	}
	elems := int(s.Elems())
	center := random(r, tensor.F64, elems, weights)
	scale := []float64{0.01, 1e-4}[r.IntN(2)]
	for _, d := range s.In {
		p := random(r, d, elems, m)
		if m == weights {
			for i := range elems {
				v := value(tensor.F64, code(tensor.F64, center, i))
				if r.IntN(4) != 0 {
					v += r.NormFloat64() * scale
				}
				c, _ := nearest(d, v)
				putCode(d, p, i, c)
			}
		}
		s.x = append(s.x, p)
	}
	return s
}

// steps makes operands of small whole numbers, each divided by 256. The base's is that of its index, and others
// differ by products of two numbers up to most.
func steps(r *rand.Rand, d DType, shape []uint64, n, base, most int) *sample {
	s := &sample{Operands: Operands{Tensor: "t", Shape: shape, Out: d}, base: base}
	for k := range n {
		v := make([]float64, s.Elems())
		for i := range v {
			v[i] = float64(i % 256)
			if k != base {
				v[i] += float64(r.IntN(most+1) * r.IntN(most+1))
			}
			v[i] /= 256
		}
		s.In, s.x, s.values = append(s.In, d), append(s.x, encoded(d, v...)), append(s.values, v)
	}
	return s
}

// tallied is the Counts of an output whose exact elements are want.
func (s *sample) tallied(want []float64) (c Counts) {
	for i, w := range want {
		all := true
		for k := range s.In {
			all = all && finite(s.v(k, i))
		}
		_, over := nearest(s.Out, w)
		switch {
		case !all:
			c.NonFinite++
		case over || !finite(w):
			c.Overflow++
		}
	}
	return c
}

// hold runs a sweep in several ways and compares the output with want, of whose
// elements each is known within its slack.
func (s *sample) hold(t *testing.T, r *rand.Rand, begin func() Sweep, want []float64, slack func(i int) float64) Sweep {
	t.Helper()
	name := fmt.Sprintf("%v of %v to %v, base %d", s.Shape, s.In, s.Out, s.base)
	var first []byte
	var sweep Sweep
	chunks := []int64{8, 1 << 30, 8 * (1 + r.Int64N(300)), strip}
	if s.Elems() > 1e5 {
		chunks = []int64{8 * (1000 + r.Int64N(1000)), 1 << 30}
	}
	for _, chunk := range chunks {
		sweep = begin()
		dst, counts := sweepAll(sweep, s.Operands, s.x, chunk, r)
		if first == nil {
			first = dst
			if c := s.tallied(want); c != counts && (slack == nil || c.NonFinite != counts.NonFinite) {
				t.Fatalf("%s: %+v, want %+v", name, counts, c)
			}
		}
		if !bytes.Equal(dst, first) {
			t.Fatalf("%s: chunks of %d give another result", name, chunk)
		}
	}
	for i, w := range want {
		c, e := code(s.Out, first, i), 0.0
		if slack != nil && finite(w) {
			e = min(slack(i), math.MaxFloat64)
		}
		low, _ := nearest(s.Out, w-e)
		if c == low {
			continue
		}
		high, _ := nearest(s.Out, w+e)
		got := value(s.Out, c)
		if w != w && c != nanCodes[s.Out] || w == w && !(value(s.Out, low) <= got && got <= value(s.Out, high)) {
			var in []float64
			for k := range s.In {
				in = append(in, s.v(k, i))
			}
			t.Fatalf("%s: element %d of %v is %v, want %v", name, i, in, got, w)
		}
	}
	return sweep
}

// The greatest magnitude is found at any place, and what is not finite is above all.
func TestGreatest(t *testing.T) {
	for n := range 9 {
		for at := range n {
			p := make([]float64, n)
			for i := range p {
				p[i] = float64(i%3) - 1
			}
			for _, v := range []float64{-2, math.MaxFloat64, math.Inf(-1), math.NaN()} {
				p[at] = v
				if got := greatest(p); got != math.Float64bits(v)<<1 {
					t.Errorf("%v: %x", p, got)
				}
			}
		}
	}
	if greatest(nil) != 0 {
		t.Error("of nothing")
	}
}
