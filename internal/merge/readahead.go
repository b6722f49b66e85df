package merge

import "slerpmerge/internal/plan"

// Read-ahead keeps aheadBytes of parents asked for beyond what the workers
// have been handed, in steps of aheadStep. A step can block in the kernel
// while its queue is full, hence the goroutine.
const (
	aheadBytes = 48 << 20
	aheadStep  = 4 << 20
)

// readAhead walks the tensors in the order in which they are read first, some
// way in front of the workers.
type readAhead struct {
	e    *engine
	wake chan struct{}
}

func newReadAhead(e *engine) *readAhead {
	return &readAhead{e: e, wake: make(chan struct{}, 1)}
}

func (r *readAhead) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *readAhead) run() {
	asked := int64(0)
	for _, i := range r.e.order {
		t := &r.e.tensors[i]
		lenA, lenB := pairBytes(t)
		for off := int64(0); off < max(lenA, lenB); off += aheadStep {
			for asked > r.e.dispatched.Load()+aheadBytes {
				select {
				case <-r.wake:
				case <-r.e.ctx.Done():
					return
				}
				if r.over() {
					return
				}
			}
			asked += prefetch(t.A, off, lenA) + prefetch(t.B, off, lenB)
		}
	}
}

// over reports whether nothing will be read any more.
func (r *readAhead) over() bool {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	return r.e.err != nil || r.e.next == nil
}

func prefetch(o plan.Operand, off, len int64) int64 {
	n := min(aheadStep, len-off)
	if n <= 0 || o.None() {
		return max(n, 0)
	}
	o.Model.Source(o.Index).Prefetch(off, n)
	return n
}
