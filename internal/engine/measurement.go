package engine

import (
	"slices"
	"sync"
	"sync/atomic"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/slerp"
)

// A measurement is a large tensor being measured, block by block and pass by
// pass. A Gram matrix takes one pass.
type measurement struct {
	tensor int
	differ atomic.Bool   // the operands do, or nobody looks
	grams  []method.Gram // of a Gram matrix, by block; they are added in that order at the end

	// The fields below are guarded by Engine.mu.

	blocks int  // of the pass
	next   int  // to be handed out
	again  bool // the pass is not the first: what it reads was asked for

	// mu guards the fields below.
	mu    sync.Mutex
	left  int         // blocks of the pass that are not measured
	first bool        // pass, in which the operands are compared
	sweep slerp.Sweep // nil for a Gram matrix
}

// takeBlock finds the next block to be measured, if measuring may go on. The
// caller holds mu.
func (e *Engine) takeBlock() (task, bool) {
	for _, m := range e.measures {
		if m.next < m.blocks {
			return e.handOutBlock(m), true
		}
	}
	for {
		switch m := e.beginMeasuring(); {
		case m == nil:
			return task{}, false
		case m.blocks > 0:
			return e.handOutBlock(m), true
		default: // there is nothing to measure
			m.differ.Store(true)
			e.endMeasuring(m)
			if e.err != nil || e.nextReady() {
				return task{}, false
			}
		}
	}
}

// handOutBlock accounts for a block that a worker takes.
func (e *Engine) handOutBlock(m *measurement) task {
	t := task{block: m.next, of: m}
	m.next++
	if !m.again {
		e.asked(parentBytes(&e.tensors[m.tensor]) / int64(m.blocks))
	}
	return t
}

// beginMeasuring begins with the next large tensor; it returns nil if there is none, or
// enough are measured.
func (e *Engine) beginMeasuring() *measurement {
	for e.scan < len(e.order) && (!e.large[e.order[e.scan]] || e.flight[int(e.order[e.scan])].ready()) {
		e.scan++
	}
	if e.scan == len(e.order) {
		return nil
	}
	i := int(e.order[e.scan])
	if e.ahead >= maxAhead && !e.wanted(i) {
		return nil
	}
	e.ahead++
	e.scan++
	m := &measurement{tensor: i, first: true}
	if t := &e.tensors[i]; t.Op.Needs() == method.Passes {
		m.sweep = newSweep(t)
		m.blocks = m.sweep.Pass()
	} else {
		m.blocks = blocks(t)
		m.grams = make([]method.Gram, m.blocks)
	}
	m.left = m.blocks
	e.flight[i] = &state{measure: m}
	e.measures = append(e.measures, m)
	return m
}

// newSweep begins the work on a tensor.
func newSweep(t *plan.Tensor) slerp.Sweep {
	return t.Op.(method.Sweeper).Sweep(t.Shapes())
}

// measured takes what one block came to: a Gram matrix or a meter. With the last
// block of the last pass the tensor's mix is decided.
func (e *Engine) measured(t task, g method.Gram, meter slerp.Meter) {
	m := t.of
	blocks, done := m.take(t.block, g, meter)
	if !done {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if blocks > 0 {
		m.blocks, m.next, m.again = blocks, 0, true
		e.wake.Broadcast()
		return
	}
	e.endMeasuring(m)
}

// take adds one block. done means that it was the last one of the pass; the
// next pass has so many blocks.
func (m *measurement) take(block int, g method.Gram, meter slerp.Meter) (blocks int, done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sweep != nil {
		m.sweep.Take(block, meter)
	} else {
		m.grams[block] = g
	}
	if m.left--; m.left > 0 {
		return 0, false
	}
	if m.sweep != nil && m.differ.Load() {
		blocks = m.sweep.Pass()
	}
	m.left, m.first = blocks, false
	return blocks, true
}

// looks reports whether the operands are to be compared in this pass.
func (m *measurement) looks() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.first && !m.differ.Load()
}

// endMeasuring decides about a tensor that is measured. The caller holds mu.
func (e *Engine) endMeasuring(m *measurement) {
	e.measures = slices.DeleteFunc(e.measures, func(o *measurement) bool { return o == m })
	var sum method.Gram
	for _, g := range m.grams {
		sum = sum.Add(g)
	}
	st := e.flight[m.tensor]
	for v := range e.outs {
		r, mix, err := e.decide(&e.outs[v].tensors[m.tensor], sum, m.sweep, !m.differ.Load())
		if err != nil && e.err == nil {
			e.err = err
			e.readAhead.poke()
		}
		e.outs[v].results[m.tensor] = r
		st.mixes = append(st.mixes, mix)
	}
	st.measure = nil
	e.wake.Broadcast()
}
