//go:build amd64 && !noasm && gc

package slerp

import "slerpmerge/internal/tensor"

// Kernels between float64 and other types, and of weighted sums.

// widen64 is decode64, of which it subtracts the base if that is not nil, for types
// that have a kernel. It reports whether it did. A NaN may have another payload.
func (set kernelSet) widen64(d DType, dst []float64, src []byte, base []float64) bool {
	var widen func(dst *float64, src *byte, n int)
	var minus func(dst *float64, src *byte, base *float64, n int)
	switch {
	case set == noKernels:
		return false
	case d == tensor.BF16:
		widen, minus = widenBF16ToF64, minusBF16
	case d == tensor.F16:
		widen, minus = widenF16ToF64, minusF16
	case d == tensor.F32:
		widen, minus = widenF32ToF64, minusF32
	default:
		return false
	}
	size := d.Size()
	for len(dst) >= step {
		n := min(len(dst)&^(step-1), piece)
		if base == nil {
			widen(&dst[0], &src[0], n)
		} else {
			minus(&dst[0], &src[0], &base[0], n)
			base = base[n:]
		}
		dst, src = dst[n:], src[n*size:]
	}
	if len(dst) > 0 {
		var x [4 * step]byte
		var y, b [step]float64
		copy(x[:], src[:len(dst)*size])
		copy(b[:], base)
		minus(&y[0], &x[0], &b[0], step)
		copy(dst, y[:])
	}
	return true
}

// narrow64 is encode64 for types that have a kernel. It reports false, having written
// anything, if there is none or if some result is not finite.
func (set kernelSet) narrow64(d DType, dst []byte, src []float64) bool {
	var kernel func(dst *byte, src *float64, n int) uint32
	switch {
	case set == noKernels:
		return false
	case d == tensor.BF16:
		kernel = narrowF64ToBF16
	case d == tensor.F16:
		kernel = narrowF64ToF16
	case d == tensor.F32:
		kernel = narrowF64ToF32
	default:
		return false
	}
	size := d.Size()
	for len(src) >= step {
		n := min(len(src)&^(step-1), piece)
		if kernel(&dst[0], &src[0], n) != 0 {
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
	bad := kernel(&y[0], &x[0], step)
	copy(dst[:len(src)*size], y[:])
	return bad == 0
}

// mixStep is the number of elements that the kernels of mix take at a time.
const mixStep = 32

// mix fills dst with a strip of the weighted sum, operands and output all of one
// type, from element at on. It reports false, having written anything, if there is no
// kernel or if some result is not finite.
func (k *WeightedSum) mix(dst []byte, x [][]byte, at int, w []float64, divisor float64) bool {
	var kernel func(dst *byte, x **byte, offset int, w *float64, operands, n int, divisor float64) uint32
	switch {
	case k.set == noKernels || !k.alike:
		return false
	case k.set == avx512 && k.out == tensor.BF16:
		kernel = mixBF16Z
	case k.set == avx512 && k.out == tensor.F16:
		kernel = mixF16Z
	case k.set == avx512 && k.out == tensor.F32:
		kernel = mixF32Z
	case k.out == tensor.BF16:
		kernel = mixBF16
	case k.out == tensor.F16:
		kernel = mixF16
	case k.out == tensor.F32:
		kernel = mixF32
	default:
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
	if whole > 0 && kernel(&dst[0], &p[0], at*size, &w[0], len(p), whole, divisor) != 0 {
		return false
	}
	if whole == n {
		return true
	}
	rest := make([]byte, (len(x)+1)*4*mixStep)
	for i := range x {
		part := rest[i*4*mixStep:]
		copy(part, x[i][(at+whole)*size:(at+n)*size])
		p[i] = &part[0]
	}
	to := rest[len(x)*4*mixStep:]
	bad := kernel(&to[0], &p[0], 0, &w[0], len(p), mixStep, divisor)
	copy(dst[whole*size:], to)
	return bad == 0
}

// addresses are those of the operands' first bytes.
func (k *WeightedSum) addresses(x [][]byte) []*byte {
	k.p = k.p[:0]
	for i := range x {
		k.p = append(k.p, &x[i][0])
	}
	return k.p
}

// add is y = (y + w[0]*x[0] + w[1]*x[1] + ...) / divisor, of operands of one
// type from element at on. It reports whether there is a kernel.
func (k *WeightedSum) add(d DType, y []float64, x [][]byte, at int, w []float64, divisor float64) bool {
	var kernel func(y *float64, x **byte, offset int, w *float64, operands, n int, divisor float64)
	switch {
	case k.set == noKernels:
		return false
	case d == tensor.BF16:
		kernel = sumBF16
	case d == tensor.F16:
		kernel = sumF16
	case d == tensor.F32:
		kernel = sumF32
	case d == tensor.F64:
		kernel = sumF64
	default:
		return false
	}
	size := d.Size()
	whole := len(y) &^ (step - 1)
	p := k.addresses(x)
	if whole > 0 {
		kernel(&y[0], &p[0], at*size, &w[0], len(p), whole, divisor)
	}
	if whole == len(y) {
		return true
	}
	rest := make([]byte, len(x)*8*step)
	for i := range x {
		part := rest[i*8*step:]
		copy(part, x[i][(at+whole)*size:(at+len(y))*size])
		p[i] = &part[0]
	}
	var last [step]float64
	copy(last[:], y[whole:])
	kernel(&last[0], &p[0], 0, &w[0], len(p), step, divisor)
	copy(y[whole:], last[:])
	return true
}
