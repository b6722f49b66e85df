package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
)

// A work is the common part of both pipelines: tensors in the order in which
// they are read, their opened operands, and the first error.
type work struct {
	tensors  []plan.Tensor
	order    []int32 // indexes of the tensors to be worked on
	budget   plan.Budget
	opener   operand.Opener
	throttle *throttle
	warnNaN  bool

	dispatched atomic.Int64 // bytes of parents that were asked for a first time
	readAhead  *readAhead

	// mu guards the fields below, and in a pipeline those of which it says so.
	// wake signals that any of them has changed.
	mu     sync.Mutex
	wake   *sync.Cond
	err    error           // the first one; it ends the run
	opened map[int][]input // kept, of tensors that are not done
}

func (w *work) init(p *plan.Plan, opt Options) {
	w.tensors, w.budget, w.throttle = p.Tensors, p.Budget, newThrottle(opt.IOLimit)
	w.warnNaN, w.opener.Wrap = opt.WarnNonFinite, opt.Wrap
	for _, m := range p.Models {
		m.SetGatherMemory(p.Budget.Gather)
	}
	w.wake = sync.NewCond(&w.mu)
	w.opened = make(map[int][]input)
}

// run has all stages work until they are done or one fails. Any end of ctx is a
// failure.
func (w *work) run(ctx context.Context, stages ...func(context.Context)) error {
	stop := context.AfterFunc(ctx, func() { w.fail(context.Cause(ctx)) })
	defer stop()
	var all sync.WaitGroup
	for _, stage := range append(stages, w.readAhead.run) {
		all.Go(func() {
			defer w.catch()
			stage(ctx)
		})
	}
	all.Wait()
	return w.stopped()
}

// catch makes a panic of one goroutine the end of the run, not of the process:
// the output must still be cleaned up.
func (w *work) catch() {
	if r := recover(); r != nil {
		w.fail(fmt.Errorf("%w, please report it: %v", ErrInternal, r))
	}
}

// ErrInternal is in the chain of an error that is a bug of this program.
var ErrInternal = errors.New("internal error")

func (w *work) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	w.wake.Broadcast()
	w.readAhead.poke()
}

// stopped returns the error that ends the run, if there is one.
func (w *work) stopped() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// asked counts bytes of parents that a worker is about to read.
func (w *work) asked(n int64) {
	w.dispatched.Add(n)
	w.readAhead.poke()
}

// inputs returns the opened operands of a tensor. With keep, for a tensor that is
// asked for several times, they are opened once and kept until done. Without, they
// are put into own, which may be nil.
func (w *work) inputs(own []input, i int, keep bool) []input {
	t := &w.tensors[i]
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.opened[i]
	switch {
	case keep && list == nil:
		list = w.open(nil, t)
		w.opened[i] = list
	case !keep && list != nil:
		list = append(own[:0], list...)
	case !keep:
		list = w.open(own[:0], t)
	}
	return list
}

func (w *work) open(list []input, t *plan.Tensor) []input {
	for k, o := range t.Operands {
		typ := operand.Type(t.Operands, k)
		list = append(list, input{src: w.opener.Open(o), of: o, typ: typ, size: int64(typ.Size()), throttle: w.throttle})
	}
	return list
}

// done releases the data kept for a tensor. The caller holds mu.
func (w *work) done(i int) { delete(w.opened, i) }
