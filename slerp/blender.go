package slerp

import (
	"math"

	"slerpmerge/internal/tensor"
)

// piece is the number of elements that a kernel gets at a time: few enough that
// doing a piece again costs little, and that the scheduler never waits long.
const piece = 4096

// A Blender computes dst = s0*a + s1*b with one rounding to the output type.
// It has a fixed scratch of at most 24 KiB and serves one goroutine at a time.
type Blender struct {
	set        kernelSet
	out, a, b  DType
	limit      float64
	wide       bool    // the arithmetic is float64
	near       float32 // nearness of the output type
	fused      blendFunc
	joined     joinFunc
	fa, fb, fy []float32
	da, db, dy []float64
}

// A blendFunc blends one piece whose inputs have one type, a joinFunc one
// strip after widening. They report false, having written anything, if some
// result needs the definition's care: not finite, or too small.
type (
	blendFunc func(dst, a, b []byte, s0, s1 float64, near float32) bool
	joinFunc  func(dst []byte, a, b []float32, s0, s1 float64, near float32) bool
)

// NewBlender makes a Blender for an output and two inputs of the given types,
// which must have arithmetic (DType.Blends).
func NewBlender(out, a, b DType) *Blender { return detected.newBlender(out, a, b) }

func (set kernelSet) newBlender(out, a, b DType) *Blender {
	check(out, a, b)
	k := &Blender{set: set, out: out, a: a, b: b, limit: limit(out), near: nearness(out)}
	k.wide = isWide(out) || isWide(a) || isWide(b)
	if a == b {
		k.fused = set.blendKernel(out, a)
	}
	if a != tensor.F64 && b != tensor.F64 {
		k.fa, k.fb = make([]float32, strip), make([]float32, strip)
		k.joined = set.joinKernel(out, k.wide)
	}
	if k.wide {
		k.da, k.db, k.dy = make([]float64, strip), make([]float64, strip), make([]float64, strip)
	} else {
		k.fy = make([]float32, strip)
	}
	return k
}

// Blend fills dst, which must not overlap a or b. All three hold the same
// number of elements, any number. It counts overflows: elements that are
// finite in a and b and, as stored in dst, infinite, NaN or saturated.
func (k *Blender) Blend(dst, a, b []byte, s0, s1 float64) Counts {
	n := elems(k.out, dst)
	mustMatch(n, elems(k.a, a))
	mustMatch(n, elems(k.b, b))
	near := k.near
	if !isNormal32(s0) || !isNormal32(s1) {
		near = float32(math.Inf(1)) // weigh every element
	}
	var c Counts
	sizeOut, sizeA, sizeB := k.out.Size(), k.a.Size(), k.b.Size()
	for n > 0 {
		m := min(n, piece)
		to, x, y := dst[:m*sizeOut], a[:m*sizeA], b[:m*sizeB]
		if k.fused == nil || !k.fused(to, x, y, s0, s1, near) {
			for m := m; m > 0; m -= strip {
				j := min(m, strip)
				c.Add(k.strip(to[:j*sizeOut], x[:j*sizeA], y[:j*sizeB], s0, s1, near))
				to, x, y = to[j*sizeOut:], x[j*sizeA:], y[j*sizeB:]
			}
		}
		dst, a, b, n = dst[m*sizeOut:], a[m*sizeA:], b[m*sizeB:], n-m
	}
	return c
}

// strip is Blend for up to a strip of elements.
func (k *Blender) strip(dst, a, b []byte, s0, s1 float64, near float32) Counts {
	n := len(dst) / k.out.Size()
	// Where the fused kernel has given up, the joined one would, too.
	if k.fused == nil && k.joined != nil {
		fa, fb := k.fa[:n], k.fb[:n]
		k.set.widen32(k.a, fa, a)
		k.set.widen32(k.b, fb, b)
		if k.joined(dst, fa, fb, s0, s1, near) {
			return Counts{}
		}
	}
	if k.wide {
		return k.strip64(dst, a, b, s0, s1)
	}
	return k.strip32(dst, a, b, s0, s1, near)
}

func (k *Blender) strip32(dst, a, b []byte, s0, s1 float64, near float32) (c Counts) {
	n := len(dst) / k.out.Size()
	fa, fb, fy := k.fa[:n], k.fb[:n], k.fy[:n]
	k.set.widen32(k.a, fa, a)
	k.set.widen32(k.b, fb, b)
	blend32(fy, fa, fb, s0, s1, near)
	encode32(k.out, dst, fy)
	for i, y := range fy {
		if overflows(float64(y), k.limit) && finite(float64(fa[i])) && finite(float64(fb[i])) {
			c.Overflow++
		}
	}
	return c
}

func (k *Blender) strip64(dst, a, b []byte, s0, s1 float64) (c Counts) {
	n := len(dst) / k.out.Size()
	da, db, dy := k.da[:n], k.db[:n], k.dy[:n]
	k.set.decode64(k.a, da, a)
	k.set.decode64(k.b, db, b)
	blend64(dy, da, db, s0, s1)
	k.set.encode64(k.out, dst, dy)
	for i, y := range dy {
		if overflows(y, k.limit) && finite(da[i]) && finite(db[i]) {
			c.Overflow++
		}
	}
	return c
}
