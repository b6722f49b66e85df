//go:build amd64 && !noasm && gc

package slerp

import (
	"unsafe"

	"golang.org/x/sys/cpu"

	"slerpmerge/internal/tensor"
)

// detected is the set that this processor runs. It is never changed.
var detected = func() kernelSet {
	switch {
	case !cpu.X86.HasAVX2 || !cpu.X86.HasFMA || !cpu.X86.HasF16C:
		return noKernels
	case cpu.X86.HasAVX512F:
		return avx512
	}
	return avx2
}()

// step is the number of elements that kernels take at a time. What is left is
// copied to a buffer filled up with zeros, which add nothing to a sum and
// blend to zero.
const step = 16

// at returns the address of p's first byte.
func at(p []byte) *byte { return unsafe.SliceData(p) }

// raw returns the bytes of p: float32 are little-endian here.
func raw(p []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(p))), 4*len(p))
}

// measureKernel returns the kernel for two operands of the type, nil if none is.
func (set kernelSet) measureKernel(in DType) func(l *lanes, a, b []byte) {
	switch {
	case set == noKernels:
	case in == tensor.BF16:
		return measuring(measureBF16, 2)
	case in == tensor.F16:
		return measuring(measureF16, 2)
	case in == tensor.F32:
		return measuring(measureF32, 4)
	}
	return nil
}

func measuring(kernel func(l *float64, a, b *byte, n int), size int) func(l *lanes, a, b []byte) {
	return func(l *lanes, a, b []byte) {
		// Kernels can't be preempted, so they get a piece at a time.
		for len(a) >= step*size {
			n := min(len(a)/size&^(step-1), piece)
			kernel(&l.aa[0], at(a), at(b), n)
			a, b = a[n*size:], b[n*size:]
		}
		if len(a) > 0 {
			var x, y [4 * step]byte
			copy(x[:], a)
			copy(y[:], b)
			kernel(&l.aa[0], &x[0], &y[0], step)
		}
	}
}

// measureStrip is measure32.
func (set kernelSet) measureStrip(l *lanes, a, b []float32) {
	if set == noKernels {
		measure32(l, a, b)
		return
	}
	measuring(measureF32, 4)(l, raw(a), raw(b))
}

// blendKernel returns the kernel for two inputs of the type, nil if none is.
func (set kernelSet) blendKernel(out, in DType) blendFunc {
	switch {
	case set == noKernels:
	case in == tensor.BF16 && out == tensor.BF16:
		return blending(blendBF16, 2, 2)
	case in == tensor.F16 && out == tensor.F16:
		return blending(blendF16, 2, 2)
	case in == tensor.F32:
		return set.wideKernel(out)
	}
	return nil
}

// wideKernel returns the kernel for F32 inputs, in float64.
func (set kernelSet) wideKernel(out DType) blendFunc {
	switch {
	case set == noKernels:
	case out == tensor.F32:
		return blending(withoutNear(blendF32), 4, 4)
	case out == tensor.BF16:
		return blending(withoutNear(blendF32ToBF16), 2, 4)
	case out == tensor.F16:
		return blending(withoutNear(blendF32ToF16), 2, 4)
	}
	return nil
}

// joinKernel returns the kernel for widened inputs, nil if none is. wide says that
// the arithmetic is float64.
func (set kernelSet) joinKernel(out DType, wide bool) joinFunc {
	var kernel blendFunc
	switch {
	case set == noKernels:
	case wide:
		kernel = set.wideKernel(out)
	case out == tensor.BF16:
		kernel = blending(joinBF16, 2, 4)
	case out == tensor.F16:
		kernel = blending(joinF16, 2, 4)
	}
	if kernel == nil {
		return nil
	}
	return func(dst []byte, a, b []float32, s0, s1 float64, near float32) bool {
		return kernel(dst, raw(a), raw(b), s0, s1, near)
	}
}

// A mixer blends n elements, a multiple of step.
type mixer func(dst, a, b *byte, n int, s0, s1 float64, near float32) uint32

// withoutNear makes a mixer of a kernel that has no use for near.
func withoutNear(kernel func(dst, a, b *byte, n int, s0, s1 float64) uint32) mixer {
	return func(dst, a, b *byte, n int, s0, s1 float64, _ float32) uint32 { return kernel(dst, a, b, n, s0, s1) }
}

func blending(kernel mixer, out, in int) blendFunc {
	return func(dst, a, b []byte, s0, s1 float64, near float32) bool {
		// The payload of a NaN among the coefficients could wrap around as
		// a BF16 is rounded, unseen.
		if !finite(s0) || !finite(s1) {
			return false
		}
		n := len(dst) / out
		whole := n &^ (step - 1)
		if whole > 0 && kernel(at(dst), at(a), at(b), whole, s0, s1, near) != 0 {
			return false
		}
		if whole == n {
			return true
		}
		var d, x, y [4 * step]byte
		copy(x[:], a[whole*in:])
		copy(y[:], b[whole*in:])
		bad := kernel(&d[0], &x[0], &y[0], step, s0, s1, near)
		copy(dst[whole*out:], d[:])
		return bad == 0
	}
}

// convertKernel returns the kernel from one type to another, nil if none is.
func (set kernelSet) convertKernel(out, in DType) convertFunc {
	switch {
	case set == noKernels:
	case out == tensor.F32 && in == tensor.BF16:
		return converting(widenFromBF16, 4, 2)
	case out == tensor.F32 && in == tensor.F16:
		return converting(widenFromF16, 4, 2)
	case out == tensor.BF16 && in == tensor.F32:
		return converting(narrowBF16, 2, 4)
	case out == tensor.F16 && in == tensor.F32:
		return converting(narrowF16, 2, 4)
	}
	return nil
}

// narrowKernel returns the kernel for widened input, nil if none is.
func (set kernelSet) narrowKernel(out DType) narrowFunc {
	kernel := set.convertKernel(out, tensor.F32)
	if kernel == nil {
		return nil
	}
	return func(dst []byte, src []float32) (int64, bool) { return kernel(dst, raw(src)) }
}

func converting(kernel func(dst, src *byte, n int) (bad, underflow uint32), out, in int) convertFunc {
	return func(dst, src []byte) (int64, bool) {
		n := len(dst) / out
		whole := n &^ (step - 1)
		var bad, underflow uint32
		if whole > 0 {
			bad, underflow = kernel(at(dst), at(src), whole)
		}
		if whole < n {
			var d, x [4 * step]byte
			copy(x[:], src[whole*in:])
			b, u := kernel(&d[0], &x[0], step)
			copy(dst[whole*out:], d[:])
			bad, underflow = bad|b, underflow+u
		}
		return int64(underflow), bad == 0
	}
}

func widenFromBF16(dst, src *byte, n int) (bad, underflow uint32) { return widenBF16(dst, src, n), 0 }

func widenFromF16(dst, src *byte, n int) (bad, underflow uint32) { return widenF16(dst, src, n), 0 }

// widen32 is decode32, but that a NaN may have another payload.
func (set kernelSet) widen32(d DType, dst []float32, src []byte) {
	switch {
	case set == noKernels:
		decode32(d, dst, src)
	case d == tensor.BF16:
		converting(widenFromBF16, 4, 2)(raw(dst), src[:2*len(dst)])
	case d == tensor.F16:
		converting(widenFromF16, 4, 2)(raw(dst), src[:2*len(dst)])
	case d == tensor.F32:
		copy(raw(dst), src)
	default:
		decode32(d, dst, src)
	}
}
