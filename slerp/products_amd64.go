//go:build amd64 && !noasm && gc

package slerp

import "slerpmerge/internal/tensor"

// Kernels of products of any number of tensors.

// A fusedKernel adds the products of all pairs of operands, as they are stored, to
// the lanes. If inexact is not 0 it has not.
type fusedKernel = func(l *[8]float64, x **byte, offset int, scratch *float64, n int) (inexact uint32)

// A tileKernel adds the products of strips x and y, and of those that follow them, to the
// lanes.
type tileKernel = func(l *[8]float64, x, y *float64, n int)

// A tile is a kernel and where its first lanes and strips are.
type tile struct {
	add     tileKernel
	s, x, y int
}

// fusedKernel returns the kernel for n operands of one type, and a base or none, nil
// if there is none.
func (set kernelSet) fusedKernel(d DType, n int, based bool) fusedKernel {
	var kernels [2][7]fusedKernel
	switch d {
	case tensor.BF16:
		kernels = [2][7]fusedKernel{{3: gram3BF16, gram4BF16, gram5BF16, gram6BF16}, {2: gram2BF16Based, gram3BF16Based, gram4BF16Based, gram5BF16Based, gram6BF16Based}}
	case tensor.F16:
		kernels = [2][7]fusedKernel{{3: gram3F16, gram4F16, gram5F16, gram6F16}, {2: gram2F16Based, gram3F16Based, gram4F16Based, gram5F16Based, gram6F16Based}}
	case tensor.F32:
		kernels = [2][7]fusedKernel{{3: gram3F32, gram4F32, gram5F32, gram6F32}, {2: gram2F32Based, gram3F32Based, gram4F32Based, gram5F32Based, gram6F32Based}}
	}
	switch {
	case set != avx512 || n > 6:
		return nil
	case based:
		return kernels[1][n]
	}
	return kernels[0][n]
}

// tiles cover the products of n operands, in row order: rows, which a row too
// long for the registers is cut into, and a triangle of what is left at last.
func (set kernelSet) tiles(n int, exact bool) (t []tile) {
	rows := [...]tileKernel{4: row4Rounded, row5Rounded, row6Rounded, row7Rounded, row8RoundedZ}
	triangles := [...]tileKernel{2: triangle2Rounded, triangle3Rounded, 7: triangle7RoundedZ}
	if exact {
		rows = [...]tileKernel{4: row4Fused, row5Fused, row6Fused, row7Fused, row8FusedZ}
		triangles = [...]tileKernel{2: triangle2Fused, triangle3Fused, 7: triangle7FusedZ}
	}
	if set == noKernels || n < 2 {
		return nil
	}
	last := min(n, 3)
	if set == avx512 && n >= 7 {
		last = 7
	}
	s, i := 0, 0
	for ; n-i > last; i++ {
		for j := i; j < n; {
			k := n - j
			switch {
			case set == avx512 && (k == 8 || k >= 12):
				k = 8
			case k > 7:
				k = min(7, k-4)
			}
			t = append(t, tile{rows[k], s, i, j})
			s, j = s+k, j+k
		}
	}
	return append(t, tile{triangles[last], s, i, i})
}

// fusedPiece is the number of elements that a fused kernel gets at a time. They are done again
// if a difference is not exact in float32.
const fusedPiece = 512

// addFused adds the products of n elements of the chunks. It reports whether there
// is a kernel.
func (p *Products) addFused(chunks [][]byte, n int) bool {
	if p.fused == nil {
		return false
	}
	size := p.in[0].Size()
	x := p.addresses[:0]
	for i := range chunks {
		if i != p.base {
			x = append(x, at(chunks[i]))
		}
	}
	if p.base >= 0 {
		x = append(x, at(chunks[p.base]))
	}
	from := 0
	for n-from >= step {
		m := min((n-from)&^(step-1), fusedPiece)
		if p.fused(&p.lanes[0], &x[0], from*size, &p.x[0], m) != 0 {
			p.strips(chunks, from, m)
		}
		from += m
	}
	if from == n {
		return true
	}
	// What is left is filled up with zeros, which add nothing.
	rest := make([]byte, len(x)*4*step)
	k := 0
	for i := range chunks {
		part := rest[k*4*step:]
		if i == p.base {
			part = rest[(len(x)-1)*4*step:]
		} else {
			k++
		}
		copy(part, chunks[i][from*size:n*size])
	}
	for i := range x {
		x[i] = &rest[i*4*step]
	}
	if p.fused(&p.lanes[0], &x[0], 0, &p.x[0], step) != 0 {
		p.strips(chunks, from, n-from)
	}
	return true
}

// addTiles adds the products of m elements of all strips. It reports whether
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
