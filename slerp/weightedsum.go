package slerp

import "math"

// A WeightedSum computes dst = (w[0]*x[0] + w[1]*x[1] + ...) / divisor, of one
// tensor or more, with one rounding to the output type. The arithmetic is float64:
// the products are rounded, added in order, and the sum is divided. It has a
// fixed scratch of 16 KiB and serves one goroutine at a time.
type WeightedSum struct {
	set   kernelSet
	out   DType
	in    []DType
	alike bool // all types are the same
	limit float64
	p     []*byte // for kernels: the operands' addresses,
	rest  []byte  // and what they can't take at once
	x, y  []float64
}

// NewWeightedSum makes a WeightedSum for an output and inputs of the given types,
// which must have arithmetic (DType.Blends).
func NewWeightedSum(out DType, in []DType) *WeightedSum { return detected.newWeightedSum(out, in) }

func (set kernelSet) newWeightedSum(out DType, in []DType) *WeightedSum {
	check(append([]DType{out}, in...)...)
	k := &WeightedSum{set: set, out: out, in: in, alike: true, limit: limit(out), x: make([]float64, strip), y: make([]float64, strip)}
	for _, d := range in {
		k.alike = k.alike && d == out
	}
	return k
}

// Sum fills dst, which must not overlap the inputs. All hold the same number
// of elements, any number; there is one weight for each input. It counts
// overflows: elements that are finite in all inputs and, as stored in dst,
// infinite, NaN or saturated.
func (k *WeightedSum) Sum(dst []byte, x [][]byte, w []float64, divisor float64) (c Counts) {
	n := elems(k.out, dst)
	mustMatch(len(k.in), len(x))
	mustMatch(len(k.in), len(w))
	for i := range x {
		mustMatch(n, elems(k.in[i], x[i]))
	}
	defer func() { clear(k.p) }() // the memory may be unmapped and become the heap's
	for at := 0; at < n; at += strip {
		y := k.y[:min(strip, n-at)]
		part := dst[at*k.out.Size():][:len(y)*k.out.Size()]
		if k.mix(part, x, at, w, divisor) {
			continue
		}
		k.sum(y, x, at, w, divisor)
		if k.set.narrow64(k.out, part, y) {
			continue
		}
		round64(k.out, part, y)
		for j := range y {
			switch {
			case !overflows(y[j], k.limit):
			case k.finite(x, at+j):
				c.Overflow++
			default:
				c.NonFinite++
			}
		}
	}
	return c
}

// sum fills y with sums of the elements from index at on.
func (k *WeightedSum) sum(y []float64, x [][]byte, at int, w []float64, divisor float64) {
	y[0] = math.Copysign(0, -1) // which, unlike 0, does not turn a sum of -0 into 0
	for j := 1; j < len(y); j *= 2 {
		copy(y[j:], y[:j])
	}
	for i := 0; i < len(x); {
		// Operands of one type are added together.
		d, from := k.in[i], i
		for i < len(x) && k.in[i] == d {
			i++
		}
		by := 1.0
		if i == len(x) {
			by = divisor
		}
		if k.add(d, y, x[from:i], at, w[from:i], by) {
			continue
		}
		v := k.x[:len(y)]
		for j, p := range x[from:i] {
			k.set.decode64(d, v, p[at*d.Size():][:len(v)*d.Size()])
			for e := range v {
				y[e] += float64(w[from+j] * v[e])
			}
		}
		if by != 1 {
			for e := range y {
				y[e] /= by
			}
		}
	}
}

// finite reports whether element i is finite in all inputs.
func (k *WeightedSum) finite(x [][]byte, i int) bool {
	var v [1]float64
	for n, d := range k.in {
		k.set.decode64(d, v[:], x[n][i*d.Size():][:d.Size()])
		if !finite(v[0]) {
			return false
		}
	}
	return true
}
