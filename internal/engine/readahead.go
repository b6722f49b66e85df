package engine

import (
	"context"

	"slerpmerge/internal/operand"
	"slerpmerge/internal/tensor"
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
	var last []stretch // by operand
	for _, i := range r.w.order[r.from:] {
		list := r.w.tensors[i].Operands
		for len(last) < len(list) {
			last = append(last, stretch{})
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
				asked += r.prefetch(o, off, &last[k])
			}
		}
	}
}

// A stretch is a range of a file that was asked for at once, since small tensors
// stand there as a rule.
type stretch struct {
	of       operand.Operand // that stands first
	from, to int64
}

// stretchBytes is the length of a stretch. Tensors of that size are asked for
// one by one.
const stretchBytes = 1 << 20

// has reports whether a tensor that is read as it is lies in the stretch.
func (s *stretch) has(o operand.Operand) bool {
	t := o.Tensor()
	return s.of.Model == o.Model && s.of.Tensor().File == t.File && t.Offset >= s.from && t.Offset+t.Bytes() <= s.to
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

// prefetch asks for the next step of an operand and returns its length.
func (r *readAhead) prefetch(o operand.Operand, off int64, last *stretch) int64 {
	if o.None() {
		return 0
	}
	n := min(aheadStep, o.Info().Bytes()-off)
	if n <= 0 {
		return 0
	}
	if t := o.Tensor(); o.As == tensor.BOOL && o.Rows == nil && t.Bytes() < stretchBytes {
		if !last.has(o) {
			*last = stretch{o, t.Offset, t.Offset + stretchBytes}
			r.w.opener.Open(o).Prefetch(0, stretchBytes)
		}
		return n
	}
	r.w.opener.Open(o).Prefetch(off, n)
	return n
}
