//go:build amd64 && !noasm && gc

package slerp

import "slerpmerge/internal/tensor"

// Kernels between float64 and other types, and of weighted sums. They are chosen where
// they are called, not kept as values, so that buffers can stay on the stack.

// widen64 is decode64, of which it subtracts the base if that is not nil, for types
// that have a kernel. It reports whether it did. A NaN may have another payload.
func (set kernelSet) widen64(d DType, dst []float64, src []byte, base []float64) bool {
	if set == noKernels || d != tensor.BF16 && d != tensor.F16 && d != tensor.F32 {
		return false
	}
	size := d.Size()
	for len(dst) >= step {
		n := min(len(dst)&^(step-1), piece)
		if base == nil {
			widenPiece(d, &dst[0], &src[0], n)
		} else {
			subtractPiece(d, &dst[0], &src[0], &base[0], n)
			base = base[n:]
		}
		dst, src = dst[n:], src[n*size:]
	}
	if len(dst) > 0 {
		var x [4 * step]byte
		var y, b [step]float64
		copy(x[:], src[:len(dst)*size])
		copy(b[:], base)
		subtractPiece(d, &y[0], &x[0], &b[0], step)
		copy(dst, y[:])
	}
	return true
}

func widenPiece(d DType, dst *float64, src *byte, n int) {
	switch d {
	case tensor.BF16:
		widenBF16ToF64(dst, src, n)
	case tensor.F16:
		widenF16ToF64(dst, src, n)
	case tensor.F32:
		widenF32ToF64(dst, src, n)
	}
}

func subtractPiece(d DType, dst *float64, src *byte, base *float64, n int) {
	switch d {
	case tensor.BF16:
		minusBF16(dst, src, base, n)
	case tensor.F16:
		minusF16(dst, src, base, n)
	case tensor.F32:
		minusF32(dst, src, base, n)
	}
}

// narrow64 is encode64 for types that have a kernel. It reports false, having written
// anything, if there is none or if some result is not finite.
func (set kernelSet) narrow64(d DType, dst []byte, src []float64) bool {
	if set == noKernels || d != tensor.BF16 && d != tensor.F16 && d != tensor.F32 {
		return false
	}
	size := d.Size()
	for len(src) >= step {
		n := min(len(src)&^(step-1), piece)
		if narrowPiece(d, &dst[0], &src[0], n) != 0 {
			return false
		}
		dst, src = dst[n*size:], src[n:]
	}
	if len(src) == 0 {
		return true
	}
	var x [step]float64
	var y [4 * step]byte
	copy(x[:], src)
	bad := narrowPiece(d, &y[0], &x[0], step)
	copy(dst[:len(src)*size], y[:])
	return bad == 0
}

func narrowPiece(d DType, dst *byte, src *float64, n int) (bad uint32) {
	switch d {
	case tensor.BF16:
		return narrowF64ToBF16(dst, src, n)
	case tensor.F16:
		return narrowF64ToF16(dst, src, n)
	}
	return narrowF64ToF32(dst, src, n)
}

// mixStep is the number of elements that the kernels of mix take at a time.
const mixStep = 32

// mix fills dst with a strip of the weighted sum, operands and output all of one
// type, from element at on. It reports false, having written anything, if there is no
// kernel or if some result is not finite.
func (k *WeightedSum) mix(dst []byte, x [][]byte, at int, w []float64, divisor float64) bool {
	if k.set == noKernels || !k.alike || k.out != tensor.BF16 && k.out != tensor.F16 && k.out != tensor.F32 {
		return false
	}
	// The payload of a NaN among the weights could wrap around as a BF16 is rounded, unseen.
	sensible := finite(divisor)
	for _, v := range w {
		sensible = sensible && finite(v)
	}
	if !sensible {
		return false
	}
	size := k.out.Size()
	n := len(dst) / size
	whole := n &^ (mixStep - 1)
	p := k.addresses(x)
	if whole > 0 && k.mixPiece(&dst[0], p, at*size, w, whole, divisor) != 0 {
		return false
	}
	if whole == n {
		return true
	}
	k.copyRest(p, x, (at+whole)*size, (at+n)*size, size*mixStep)
	var to [4 * mixStep]byte
	bad := k.mixPiece(&to[0], p, 0, w, mixStep, divisor)
	copy(dst[whole*size:], to[:])
	return bad == 0
}

func (k *WeightedSum) mixPiece(dst *byte, x []*byte, offset int, w []float64, n int, divisor float64) (bad uint32) {
	switch {
	case k.set == avx512 && k.out == tensor.BF16:
		return mixBF16Z(dst, &x[0], offset, &w[0], len(x), n, divisor)
	case k.set == avx512 && k.out == tensor.F16:
		return mixF16Z(dst, &x[0], offset, &w[0], len(x), n, divisor)
	case k.out == tensor.BF16:
		return mixBF16(dst, &x[0], offset, &w[0], len(x), n, divisor)
	case k.out == tensor.F16:
		return mixF16(dst, &x[0], offset, &w[0], len(x), n, divisor)
	}
	return mixF32(dst, &x[0], offset, &w[0], len(x), n, divisor)
}

// add is y = (y + w[0]*x[0] + w[1]*x[1] + ...) / divisor, of operands of one
// type from element at on. It reports whether there is a kernel.
func (k *WeightedSum) add(d DType, y []float64, x [][]byte, at int, w []float64, divisor float64) bool {
	if k.set == noKernels || d.Size() == 1 {
		return false
	}
	size := d.Size()
	whole := len(y) &^ (step - 1)
	p := k.addresses(x)
	if whole > 0 {
		addPiece(d, &y[0], p, at*size, w, whole, divisor)
	}
	if whole == len(y) {
		return true
	}
	k.copyRest(p, x, (at+whole)*size, (at+len(y))*size, size*step)
	var last [step]float64
	copy(last[:], y[whole:])
	addPiece(d, &last[0], p, 0, w, step, divisor)
	copy(y[whole:], last[:])
	return true
}

func addPiece(d DType, y *float64, x []*byte, offset int, w []float64, n int, divisor float64) {
	switch d {
	case tensor.BF16:
		sumBF16(y, &x[0], offset, &w[0], len(x), n, divisor)
	case tensor.F16:
		sumF16(y, &x[0], offset, &w[0], len(x), n, divisor)
	case tensor.F32:
		sumF32(y, &x[0], offset, &w[0], len(x), n, divisor)
	case tensor.F64:
		sumF64(y, &x[0], offset, &w[0], len(x), n, divisor)
	}
}

// addresses are those of the operands' first bytes.
func (k *WeightedSum) addresses(x [][]byte) []*byte {
	k.p = k.p[:0]
	for i := range x {
		k.p = append(k.p, &x[i][0])
	}
	return k.p
}

// copyRest copies bytes of the operands to buffers of room bytes, and puts their
// addresses into p. What lies behind in a buffer does not matter.
func (k *WeightedSum) copyRest(p []*byte, x [][]byte, from, to, room int) {
	if k.rest == nil {
		k.rest = make([]byte, len(k.in)*8*step)
	}
	for i := range x {
		part := k.rest[i*room:][:room]
		copy(part, x[i][from:to])
		clear(part[to-from:])
		p[i] = &part[0]
	}
}
