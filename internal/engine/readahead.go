package engine

import (
	"context"

	"slerpmerge/internal/operand"
)

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
	w    *work
	from int // index into the order
	wake chan struct{}
	all  func() bool // all is handed out to the workers; called with mu held
}

func newReadAhead(w *work, all func() bool) *readAhead {
	return &readAhead{w: w, wake: make(chan struct{}, 1), all: all}
}

func (r *readAhead) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *readAhead) run(ctx context.Context) {
	asked := int64(0)
	for _, i := range r.w.order[r.from:] {
		list := r.w.tensors[i].Operands
		srcs := make([]operand.Source, len(list))
		for k, o := range list {
			srcs[k] = r.w.opener.Open(o)
		}
		for off := int64(0); off < longest(list); off += aheadStep {
			for asked > r.w.dispatched.Load()+aheadBytes {
				select {
				case <-r.wake:
				case <-ctx.Done():
					return
				}
				if r.over() {
					return
				}
			}
			for k, o := range list {
				asked += prefetch(o, srcs[k], off)
			}
		}
	}
}

// over reports whether nothing will be read any more.
func (r *readAhead) over() bool {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return r.w.err != nil || r.all()
}

func longest(list []operand.Operand) int64 {
	var n int64
	for _, o := range list {
		if !o.None() {
			n = max(n, o.Info().Bytes())
		}
	}
	return n
}

func prefetch(o operand.Operand, src operand.Source, off int64) int64 {
	if o.None() {
		return 0
	}
	n := min(aheadStep, o.Info().Bytes()-off)
	if n <= 0 {
		return 0
	}
	src.Prefetch(off, n)
	return n
}
