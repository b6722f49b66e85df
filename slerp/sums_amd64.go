//go:build amd64 && !noasm && gc

package slerp

import "slerpmerge/internal/tensor"

// Kernels of sums of any number of tensors, and between F64 and other types.

// widen64 is decode64, of which it subtracts the base if that is not nil, for types
// that have a kernel. It reports whether it did. A NaN may have another payload.
func (set kernelSet) widen64(d DType, dst []float64, src []byte, base []float64) bool {
	if set == noKernels {
		return false
	}
	var widen func(dst *float64, src *byte, n int)
	var minus func(dst *float64, src *byte, base *float64, n int)
	switch d {
	case tensor.BF16:
		widen, minus = widenBF16ToF64, minusBF16
	case tensor.F16:
		widen, minus = widenF16ToF64, minusF16
	case tensor.F32:
		widen, minus = widenF32ToF64, minusF32
	default:
		return false
	}
	kernel := func(dst []float64, src []byte, base []float64, n int) {
		if base == nil {
			widen(&dst[0], &src[0], n)
		} else {
			minus(&dst[0], &src[0], &base[0], n)
		}
	}
	size := d.Size()
	for whole := len(dst) &^ (step - 1); whole > 0; whole = len(dst) &^ (step - 1) {
		n := min(whole, piece)
		kernel(dst, src, base, n)
		dst, src = dst[n:], src[n*size:]
		if base != nil {
			base = base[n:]
		}
	}
	if len(dst) > 0 {
		var x [4 * step]byte
		var y, b [step]float64
		copy(x[:], src[:len(dst)*size])
		if base != nil {
			copy(b[:], base)
			base = b[:]
		}
		kernel(y[:], x[:], base, step)
		copy(dst, y[:])
	}
	return true
}

// narrow64 is encode64 for types that have a kernel. It reports false, having written
// anything, if there is none, or if some result is not finite or needs the
// definition's care.
func (set kernelSet) narrow64(d DType, dst []byte, src []float64) bool {
	if set == noKernels {
		return false
	}
	var kernel func(dst *byte, src *float64, n int) uint32
	switch d {
	case tensor.BF16:
		kernel = narrowF64ToBF16
	case tensor.F16:
		kernel = narrowF64ToF16
	case tensor.F32:
		kernel = narrowF64ToF32
	default:
		return false
	}
	size := d.Size()
	for whole := len(src) &^ (step - 1); whole > 0; whole = len(src) &^ (step - 1) {
		n := min(whole, piece)
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

// A tile adds products of strips of operands x and y, and of those that follow
// them, to the lanes from s on.
type tile struct {
	add     func(l *[8]float64, x, y *float64, n int)
	s, x, y int
}

// tiles cover the sums of n operands, in row order: rows, and a triangle of what is
// left at last.
func (set kernelSet) tiles(n int, exact bool) (t []tile) {
	if set == noKernels {
		return nil
	}
	triangles := [...]func(l *[8]float64, x, y *float64, n int){2: triangle2Rounded, 3: triangle3Rounded}
	rows := [...]func(l *[8]float64, x, y *float64, n int){4: row4Rounded, 5: row5Rounded, 6: row6Rounded, 7: row7Rounded}
	if exact {
		triangles = [...]func(l *[8]float64, x, y *float64, n int){2: triangle2Fused, 3: triangle3Fused}
		rows = [...]func(l *[8]float64, x, y *float64, n int){4: row4Fused, 5: row5Fused, 6: row6Fused, 7: row7Fused}
	}
	s, i := 0, 0
	for ; n-i >= len(triangles); i++ {
		// As many tiles of about one width as the row needs.
		for j := i; j < n; {
			count := (n - j + len(rows) - 2) / (len(rows) - 1)
			k := (n - j + count - 1) / count
			t = append(t, tile{rows[k], s, i, j})
			s, j = s+k, j+k
		}
	}
	return append(t, tile{triangles[n-i], s, i, i})
}

// addTiles adds the products of m elements of all pairs. It reports whether
// there are kernels.
func (p *Products) addTiles(m int) bool {
	if p.tiles == nil {
		return false
	}
	whole := (m + 7) &^ 7
	for i := range p.n {
		clear(p.operand(i)[m:whole])
	}
	for _, t := range p.tiles {
		t.add(&p.lanes[t.s], &p.x[t.x*productStrip], &p.x[t.y*productStrip], whole)
	}
	return true
}

// addWeighted is y = (y + w[0]*x[0] + w[1]*x[1] + ...) / divisor, of operands of one
// type from element at on. y has room for a multiple of step. It reports whether
// there is a kernel.
func (set kernelSet) addWeighted(d DType, y []float64, x [][]byte, at int, w []float64, divisor float64) bool {
	if set == noKernels {
		return false
	}
	var kernel func(y *float64, x **byte, w *float64, operands, n int, divisor float64)
	switch d {
	case tensor.BF16:
		kernel = sumBF16
	case tensor.F16:
		kernel = sumF16
	case tensor.F32:
		kernel = sumF32
	case tensor.F64:
		kernel = sumF64
	default:
		return false
	}
	size := d.Size()
	whole := len(y) &^ (step - 1)
	if whole > 0 {
		var few [8]*byte
		p := few[:0]
		for i := range x {
			p = append(p, &x[i][at*size])
		}
		kernel(&y[0], &p[0], &w[0], len(p), whole, divisor)
	}
	if whole == len(y) {
		return true
	}
	var rest [8 * step]byte
	p := &rest[0]
	for i := range x {
		by := 1.0
		if i == len(x)-1 {
			by = divisor
		}
		copy(rest[:], x[i][(at+whole)*size:(at+len(y))*size])
		kernel(&y[whole], &p, &w[i], 1, step, by)
	}
	return true
}
