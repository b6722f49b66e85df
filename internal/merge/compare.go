package merge

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// A comparison measures the pairs of a plan in one pass over both parents.
// Blocks are independent of each other, so workers just take the next one.
type comparison struct {
	*engine                   // for its tensors, workers, read-ahead and first error
	pairs   map[int]*pairSums // those that are being measured
	at      int               // index into order of the tensor that is being handed out
	block   int               // its next block
}

// pairSums is what is known of one pair so far: per block, to be added in
// their order when all are there.
type pairSums struct {
	sums  []slerp.Gram
	apart []slerp.Wide // |a-b|² of each block
	left  int
	other bool // some bytes are not the same
}

// followBytes is a block of tensors that are only looked at for equality.
const followBytes = 4 << 20

// Compare carries out a plan of plan.Pairs. The figures of a pair are, to the
// last bit, those that Run finds for it; Branch is what SLERP would do with it
// at a t between 0 and 1. Nothing is written.
//
// Errors are those of the readers and the cause of ctx. A NaN or Inf in a
// parent is none here: TensorResult says so.
func Compare(ctx context.Context, p *plan.Plan, opt Options) (*Result, error) {
	start := time.Now()
	if err := p.Refusal(); err != nil {
		return nil, err
	}
	opt.Pool.SetLimit(p.Budget.Pool)
	c := newComparison(ctx, p, opt.Progress)
	if err := c.run(); err != nil {
		return nil, err
	}
	for _, m := range p.Models {
		if err := m.Check(); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return &Result{Plan: p, Tensors: c.results, Warnings: p.Warnings, Duration: time.Since(start)}, nil
}

func newComparison(ctx context.Context, p *plan.Plan, progress func(int64)) *comparison {
	e := &engine{ctx: ctx, tensors: p.Tensors, method: p.Recipe.Method, budget: p.Budget, written: progress}
	e.wake = sync.NewCond(&e.mu)
	e.results, e.opened = make([]TensorResult, len(p.Tensors)), make(map[int][]input)
	e.opener.Wrap = watch
	c := &comparison{engine: e, pairs: make(map[int]*pairSums)}
	for i := range p.Tensors {
		r := &e.results[i]
		switch t := &p.Tensors[i]; {
		case t.Action == plan.Unlike:
			r.Branch = Unlike
		case t.Action == plan.Copy:
			r.Branch = Copy
		case t.Elems() == 0:
			r.Branch = Equal
		default:
			e.order = append(e.order, int32(i))
		}
	}
	slices.SortFunc(e.order, func(x, y int32) int { // as the primary's files have them
		a, b := p.Tensors[x].A.Tensor(), p.Tensors[y].A.Tensor()
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset), cmp.Compare(x, y))
	})
	e.readAhead = newReadAhead(e, func() bool { return c.at == len(e.order) })
	return c
}

func (c *comparison) run() error {
	stop := context.AfterFunc(c.ctx, func() { c.fail(context.Cause(c.ctx)) })
	defer stop()
	var all sync.WaitGroup
	for range c.budget.Threads {
		all.Go(c.guard(func() { c.work(newWorker(c.engine)) }))
	}
	all.Go(c.guard(c.readAhead.run))
	all.Wait()
	return c.stopped()
}

// blocks is the number of blocks that a tensor is handed out in.
func blocks(t *plan.Tensor) int {
	if t.Action == plan.Follow {
		return int((t.Bytes() + followBytes - 1) / followBytes)
	}
	return int((t.Elems() + slerp.BlockElems - 1) / slerp.BlockElems)
}

// take hands out the next block; ok is false when there are no more.
func (c *comparison) take() (i, block int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.at == len(c.order) {
		return 0, 0, false
	}
	i, block = int(c.order[c.at]), c.block
	t := &c.tensors[i]
	if block == 0 {
		n := blocks(t)
		s := &pairSums{left: n}
		c.pairs[i] = s
		if t.Action == plan.Slerp {
			s.sums, s.apart = make([]slerp.Gram, n), make([]slerp.Wide, n)
		}
	}
	if c.block++; c.block == blocks(t) {
		c.at, c.block = c.at+1, 0
	}
	c.asked(parentBytes(t) / int64(blocks(t)))
	return i, block, true
}

func (c *comparison) work(w *worker) {
	distances := map[[2]tensor.DType]*slerp.Distance{}
	for {
		i, block, ok := c.take()
		if !ok {
			return
		}
		t := &c.tensors[i]
		in := c.inputs(i, blocks(t) > 1)
		var sums slerp.Gram
		var same bool
		var apart slerp.Wide
		var err error
		if t.Action == plan.Follow {
			same, err = w.sameBlock(t, in, block)
		} else if sums, same, err = w.sumBlock(t, in, block, true); err == nil {
			var ok bool
			if apart, ok = sums.SquaredDistance(); same && sums.Finite() {
				apart = slerp.Wide{}
			} else if !ok {
				apart, err = w.distanceBlock(distances, t, in, block)
			}
		}
		if err != nil {
			c.fail(err)
			return
		}
		c.done(i, block, sums, apart, same)
	}
}

// distanceBlock measures how far apart a block of parents is that are all but
// equal. It was just read, so it is still in the page cache.
func (w *worker) distanceBlock(distances map[[2]tensor.DType]*slerp.Distance, t *plan.Tensor, in []input, block int) (slerp.Wide, error) {
	a, b := in[0], in[1]
	types := [2]tensor.DType{a.typ, b.typ}
	g := distances[types]
	if g == nil {
		g = slerp.NewDistance(a.typ, b.typ)
		distances[types] = g
	}
	g.Reset()
	err := w.eachChunk(t, in, block, g.Add)
	return g.Squared(), err
}

// sameBlock tells whether both parents have the same bytes in a block.
func (w *worker) sameBlock(t *plan.Tensor, in []input, block int) (bool, error) {
	a, b := in[0], in[1]
	from := int64(block) * followBytes
	to := min(from+followBytes, t.Bytes())
	for at := from; at < to; at += chunkBytes {
		n := min(chunkBytes, to-at)
		ca, cb := w.hold[:n], w.hold[chunkBytes:][:n]
		if err := a.read(ca, at); err != nil {
			return false, err
		}
		if err := b.read(cb, at); err != nil {
			return false, err
		}
		if !bytes.Equal(ca, cb) {
			return false, nil
		}
	}
	return true, nil
}

// done takes what one block came to; with the last one the pair is decided.
func (c *comparison) done(i, block int, sums slerp.Gram, apart slerp.Wide, same bool) {
	c.mu.Lock()
	t, s := &c.tensors[i], c.pairs[i]
	if c.written != nil {
		c.written(parentBytes(t) / int64(blocks(t)))
	}
	s.other = s.other || !same
	if s.sums != nil {
		s.sums[block], s.apart[block] = sums, apart
	}
	s.left--
	last := s.left == 0
	if last {
		delete(c.pairs, i)
		delete(c.opened, i)
	}
	c.mu.Unlock()
	if last { // nobody else has this pair now
		c.results[i] = s.result()
	}
}

// result says of a pair what decide would, short of the coefficients.
func (s *pairSums) result() TensorResult {
	if s.sums == nil {
		if s.other {
			return TensorResult{Branch: Copy, Differs: true}
		}
		return TensorResult{Branch: Equal}
	}
	var sum slerp.Gram
	var far slerp.Wide
	for k := range s.sums {
		sum = sum.Plus(s.sums[k])
		far = far.Plus(s.apart[k])
	}
	g := slerp.Angle(sum)
	r := TensorResult{Branch: Slerp, Measured: true, Cos: g.Cos, Theta: g.Theta, NormA: g.NormA, NormB: g.NormB, Distance: far.Sqrt().Float64()}
	switch {
	case !s.other:
		r.Branch = Equal
	case !sum.Finite():
		r.NonFinite = true
	case g.Branch == slerp.Linear:
		r.Branch = Linear
	}
	return r
}
