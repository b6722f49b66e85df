package slerp

import (
	"math"

	"slerpmerge/internal/tensor"
)

// A Converter changes the element type of one tensor, with one rounding. It
// has a fixed scratch of at most 8 KiB and serves one goroutine at a time.
type Converter struct {
	set           kernelSet
	out, in       DType
	limit, vanish float64
	fused         convertFunc
	narrow        narrowFunc
	single        []float32
	double        []float64
}

// A convertFunc converts one piece, a narrowFunc one strip after widening.
// They count underflows, and report false, having written anything, if some
// result is not finite.
type (
	convertFunc func(dst, src []byte) (underflow int64, ok bool)
	narrowFunc  func(dst []byte, src []float32) (underflow int64, ok bool)
)

// NewConverter makes a Converter between types that have arithmetic
// (DType.Blends), or from any type to itself.
func NewConverter(out, in DType) *Converter { return detected.newConverter(out, in) }

func (set kernelSet) newConverter(out, in DType) *Converter {
	k := &Converter{set: set, out: out, in: in}
	if out == in {
		return k
	}
	check(out, in)
	k.limit, k.vanish = limit(out), vanishing(out)
	k.fused, k.narrow = set.convertKernel(out, in), set.narrowKernel(out)
	if in == tensor.F64 {
		k.double = make([]float64, strip)
	} else {
		k.single = make([]float32, strip)
	}
	return k
}

// Convert fills dst with the elements of src, the same number of them, any
// number; the two must not overlap. To the same type it copies the bytes. It
// counts elements that overflow or, not zero before, become zero.
func (k *Converter) Convert(dst, src []byte) (c Counts) {
	if k.out == k.in {
		mustMatch(len(dst), len(src))
		copy(dst, src)
		return c
	}
	n := elems(k.out, dst)
	mustMatch(n, elems(k.in, src))
	sizeOut, sizeIn := k.out.Size(), k.in.Size()
	for n > 0 {
		m := min(n, piece)
		to, from := dst[:m*sizeOut], src[:m*sizeIn]
		if !k.fuse(to, from, &c) {
			for m := m; m > 0; m -= strip {
				j := min(m, strip)
				c.Add(k.strip(to[:j*sizeOut], from[:j*sizeIn]))
				to, from = to[j*sizeOut:], from[j*sizeIn:]
			}
		}
		dst, src, n = dst[m*sizeOut:], src[m*sizeIn:], n-m
	}
	return c
}

// fuse converts a piece in one go if a kernel can, and counts.
func (k *Converter) fuse(dst, src []byte, c *Counts) bool {
	if k.fused == nil {
		return false
	}
	underflow, ok := k.fused(dst, src)
	if ok {
		c.Underflow += underflow
	}
	return ok
}

// strip is Convert for up to a strip of elements.
func (k *Converter) strip(dst, src []byte) (c Counts) {
	n := len(dst) / k.out.Size()
	if k.in == tensor.F64 {
		xs := k.double[:n]
		k.set.decode64(k.in, xs, src)
		k.set.encode64(k.out, dst, xs)
		for _, x := range xs {
			c.count(x, k.limit, k.vanish)
		}
		return c
	}
	xs := k.single[:n]
	k.set.widen32(k.in, xs, src)
	if k.narrow != nil {
		if underflow, ok := k.narrow(dst, xs); ok {
			return Counts{Underflow: underflow}
		}
	}
	encode32(k.out, dst, xs)
	for _, x := range xs {
		c.count(float64(x), k.limit, k.vanish)
	}
	return c
}

// count counts x if the output type has no place for it.
func (c *Counts) count(x, limit, vanish float64) {
	switch {
	case overflows(x, limit) && finite(x):
		c.Overflow++
	case x != 0 && math.Abs(x) <= vanish:
		c.Underflow++
	}
}
