//go:build amd64 && !noasm && gc

package slerp

import (
	"unsafe"

	"slerpmerge/internal/tensor"
)

// Kernels of products of any number of tensors.

// A gramKernel adds the products of pairs of operands, as they are stored, to the
// lanes. If inexact is not 0 it has not.
type gramKernel = func(l *[8]float64, x **byte, offset int, scratch *float64, n int) (inexact uint32)

// A gramPart is a kernel and where its first lanes and operand are.
type gramPart struct {
	add  gramKernel
	s, x int
}

// A tileKernel adds the products of strips x and y, and of those that follow them, to the
// lanes.
type tileKernel = func(l *[8]float64, x, y *float64, n int)

// A tile is a kernel and where its first lanes and strips are.
type tile struct {
	add     tileKernel
	s, x, y int
}

// gramParts returns the kernels that cover the products of n operands of one type, nil if
// there are none: one for the first rows, if there are too many sums for one, and
// one for the rest.
func (set kernelSet) gramParts(d DType, n int, based bool) []gramPart {
	type kernels [9]gramKernel // by number of operands
	var gram, top kernels
	rows := 0 // of top
	switch {
	case set == avx2 && !based:
		rows = 2
		switch d {
		case tensor.BF16:
			gram, top = kernels{3: gram3BF16, gram4BF16}, kernels{5: top2Of5BF16, top2Of6BF16}
		case tensor.F16:
			gram, top = kernels{3: gram3F16, gram4F16}, kernels{5: top2Of5F16, top2Of6F16}
		case tensor.F32:
			gram, top = kernels{3: gram3F32, gram4F32}, kernels{5: top2Of5F32, top2Of6F32}
		}
	case set == avx2:
		rows = 2
		switch d {
		case tensor.BF16:
			gram, top = kernels{2: gram2BF16Based, gram3BF16Based, gram4BF16Based}, kernels{5: top2Of5BF16Based, top2Of6BF16Based}
		case tensor.F16:
			gram, top = kernels{2: gram2F16Based, gram3F16Based, gram4F16Based}, kernels{5: top2Of5F16Based, top2Of6F16Based}
		case tensor.F32:
			gram, top = kernels{2: gram2F32Based, gram3F32Based, gram4F32Based}, kernels{5: top2Of5F32Based, top2Of6F32Based}
		}
	case set == avx512 && !based:
		rows = 4
		switch d {
		case tensor.BF16:
			gram, top = kernels{3: gram3BF16Z, gram4BF16Z, gram5BF16Z, gram6BF16Z}, kernels{7: top4Of7BF16Z, top4Of8BF16Z}
		case tensor.F16:
			gram, top = kernels{3: gram3F16Z, gram4F16Z, gram5F16Z, gram6F16Z}, kernels{7: top4Of7F16Z, top4Of8F16Z}
		case tensor.F32:
			gram, top = kernels{3: gram3F32Z, gram4F32Z, gram5F32Z, gram6F32Z}, kernels{7: top4Of7F32Z, top4Of8F32Z}
		}
	case set == avx512:
		rows = 3
		switch d {
		case tensor.BF16:
			gram, top = kernels{2: gram2BF16BasedZ, gram3BF16BasedZ, gram4BF16BasedZ, gram5BF16BasedZ, gram6BF16BasedZ}, kernels{7: top3Of7BF16BasedZ, top3Of8BF16BasedZ}
		case tensor.F16:
			gram, top = kernels{2: gram2F16BasedZ, gram3F16BasedZ, gram4F16BasedZ, gram5F16BasedZ, gram6F16BasedZ}, kernels{7: top3Of7F16BasedZ, top3Of8F16BasedZ}
		case tensor.F32:
			gram, top = kernels{2: gram2F32BasedZ, gram3F32BasedZ, gram4F32BasedZ, gram5F32BasedZ, gram6F32BasedZ}, kernels{7: top3Of7F32BasedZ, top3Of8F32BasedZ}
		}
	}
	switch {
	case n >= len(gram):
		return nil
	case gram[n] != nil:
		return []gramPart{{gram[n], 0, 0}}
	case top[n] != nil:
		return []gramPart{{top[n], 0, 0}, {gram[n-rows], rows*n - rows*(rows-1)/2, rows}}
	}
	return nil
}

// tiles cover the products of n operands, in row order: rows, which a row too
// long for the registers is cut into, and a triangle of what is left at last.
func (set kernelSet) tiles(n int, exact bool) (t []tile) {
	rows := [...]tileKernel{4: row4Rounded, row5Rounded, row6Rounded, row7Rounded}
	triangles := [...]tileKernel{2: triangle2Rounded, triangle3Rounded}
	if exact {
		rows = [...]tileKernel{4: row4Fused, row5Fused, row6Fused, row7Fused}
		triangles = [...]tileKernel{2: triangle2Fused, triangle3Fused}
	}
	if set == noKernels || n < 2 {
		return nil
	}
	last := min(n, 3)
	s, i := 0, 0
	for ; n-i > last; i++ {
		for j := i; j < n; {
			k := n - j
			if k > 7 {
				k = min(7, k-4)
			}
			t = append(t, tile{rows[k], s, i, j})
			s, j = s+k, j+k
		}
	}
	return append(t, tile{triangles[last], s, i, i})
}

// gramPiece is the number of elements that a gramKernel gets at a time. They are done again
// if a difference is not exact in float32.
const gramPiece = 512

// addParts adds the products of n elements of the chunks. It reports whether there
// are kernels.
func (p *Products) addParts(chunks [][]byte, n int) bool {
	if p.parts == nil {
		return false
	}
	size := p.in[0].Size()
	x := p.addresses
	defer clear(x) // the memory may be unmapped and become the heap's
	k := 0
	for i, c := range chunks {
		if i == p.base {
			x[p.n] = at(c)
		} else {
			x[k] = at(c)
			k++
		}
	}
	from := 0
	for n-from >= step {
		m := min((n-from)&^(step-1), gramPiece)
		if !p.addPiece(from*size, m) {
			p.strips(chunks, from, m)
		}
		from += m
	}
	if from == n {
		return true
	}
	// What is left is filled up with zeros, which add nothing.
	for i, a := range x {
		part := p.rest[i*step*size:][:step*size]
		clear(part[copy(part, unsafe.Slice(a, n*size)[from*size:]):])
		x[i] = &part[0]
	}
	if !p.addPiece(0, step) {
		p.strips(chunks, from, n-from)
	}
	return true
}

// addPiece adds the products of n elements from an offset on, and reports false if it
// can't: then the first part has found a difference that is not exact.
func (p *Products) addPiece(offset, n int) bool {
	for _, t := range p.parts {
		if t.add(&p.lanes[t.s], &p.addresses[t.x], offset, &p.x[0], n) != 0 {
			return false
		}
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
