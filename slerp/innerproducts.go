package slerp

import "slerpmerge/internal/tensor"

// InnerProducts accumulates the Gram matrix of one block of two tensors, chunk by
// chunk. It has a fixed scratch of at most 16 KiB and serves one goroutine at a
// time.
type InnerProducts struct {
	set    kernelSet
	a, b   DType
	lanes  lanes
	far    *wideLanes // instead of lanes, once a block has had F64 values near the ends
	fused  func(l *lanes, a, b []byte)
	fa, fb []float32
	da, db []float64
}

// NewInnerProducts makes InnerProducts for tensors of the given types, which must
// have arithmetic (DType.Blends).
func NewInnerProducts(a, b DType) *InnerProducts { return detected.newInnerProducts(a, b) }

func (set kernelSet) newInnerProducts(a, b DType) *InnerProducts {
	check(a, b)
	m := &InnerProducts{set: set, a: a, b: b}
	if a == b {
		m.fused = set.measureKernel(a)
	}
	if a == tensor.F64 || b == tensor.F64 {
		m.da, m.db = make([]float64, strip), make([]float64, strip)
	} else {
		m.fa, m.fb = make([]float32, strip), make([]float32, strip)
	}
	return m
}

// Reset begins a new block.
func (m *InnerProducts) Reset() { m.lanes, m.far = lanes{}, nil }

// Add measures the next elements of a block, the same number of them on both
// sides: a multiple of 8, except in the last chunk of a block.
func (m *InnerProducts) Add(a, b []byte) {
	n := elems(m.a, a)
	mustMatch(n, elems(m.b, b))
	if m.fused != nil {
		m.fused(&m.lanes, a, b)
		return
	}
	sizeA, sizeB := m.a.Size(), m.b.Size()
	for n > 0 {
		k := min(n, strip)
		if m.da != nil {
			m.set.decode64(m.a, m.da[:k], a)
			m.set.decode64(m.b, m.db[:k], b)
			m.add64(m.da[:k], m.db[:k])
		} else {
			m.set.widen32(m.a, m.fa[:k], a)
			m.set.widen32(m.b, m.fb[:k], b)
			m.set.measureStrip(&m.lanes, m.fa[:k], m.fb[:k])
		}
		a, b, n = a[k*sizeA:], b[k*sizeB:], n-k
	}
}

// add64 is measure64 for values of any size. Lanes of either kind have the same
// sums where both can hold them, so it does not matter when it changes over.
func (m *InnerProducts) add64(a, b []float64) {
	if m.far == nil && !(plain(a) && plain(b)) {
		m.far = m.lanes.widen()
	}
	if m.far != nil {
		measureWide(m.far, a, b)
		return
	}
	measure64(&m.lanes, a, b)
}

// Gram returns the Gram matrix of the block so far.
func (m *InnerProducts) Gram() Gram {
	if m.far != nil {
		return m.far.gram()
	}
	return Gram{NewWide(fold(&m.lanes.aa)), NewWide(fold(&m.lanes.bb)), NewWide(fold(&m.lanes.ab))}
}
