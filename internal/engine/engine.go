// Package engine runs the tensors of a plan through a bounded pipeline: it
// reads blocks of the operands, measures them where the operation needs that,
// has the operation solve for coefficients, blends, and hands the bytes to an
// Output. It holds the plan's budget in memory, whatever the models' size.
//
// An [Engine] writes; [Check] computes the same bytes for a comparison, and [Scan]
// measures models against each other, without writing.
package engine

import (
	"context"
	"slices"
	"sync/atomic"

	"slerpmerge/internal/method"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/slerp"
	"slerpmerge/writer"
)

// Options say how an Engine or a Scan works.
type Options struct {
	// WarnNonFinite lets tensors with NaN or Inf pass, and notes them in the
	// results; else the run ends with a *NonFiniteError.
	WarnNonFinite bool
	// IOLimit bounds the bytes that are read and written in a second, together; 0
	// is no bound.
	IOLimit int64
	// DropPages takes pages out of the page cache once they are done with.
	DropPages bool
	// Sums computes CRC-32 of all pieces, also where the format has none.
	Sums bool
	// Progress is called from one goroutine with the bytes of tensors done since
	// the last call.
	Progress func(n int64)
	// Wrap, where it is set, is put around every source of a parent's values.
	Wrap func(operand.Operand, operand.Source) operand.Source
}

// An Engine writes the tensors of a plan. Workers take one of two kinds of task:
// to measure one block of a large tensor, or to fill one piece of output. One
// goroutine writes the pieces in order; another asks the kernel to read ahead. A
// piece is filled into one of a fixed number of buffers, which are handed out in
// the order of the pieces, so that the piece the writer waits for always has
// one.
//
// Filling goes before measuring: it frees the measured tensors, and the writer
// lives on it. So while one tensor is blended and written the next ones are
// measured by workers that find no buffer free.
type Engine struct {
	work
	storage  []int // Plan.Storage
	outs     []target
	buffers  *writer.Buffers
	progress func(int64)
	crcs     bool         // the format has checksums of the tensors
	sums     bool         // pieces have one where the format has none
	noCopy   atomic.Bool  // the system can't copy from file to file here
	dropper  *pageDropper // the writing goroutine's; nil to leave the page cache alone

	// The fields below are guarded by mu.

	cut      cutter
	next     *piece // to be handed out, nil when all are
	free     [][]byte
	finished []*piece       // ring by seq
	large    []bool         // by tensor: it is measured ahead
	flight   map[int]*state // of large tensors that are measured, or being measured, and not written whole
	scan     int            // index into order: the large ones before are measured, or being measured
	measures []*measurement // under way, in order
	ahead    int            // large tensors measured or being measured, not yet handed out whole
	whole    int            // index into order: those before are written whole
	noted    int            // likewise: those before are in a note
}

// A target is one output of the run. All have the same tensors, of the same operands;
// their operations differ in a parameter.
type target struct {
	out     Output
	tensors []plan.Tensor
	results []TensorResult // guarded by Engine.mu
}

// A state is the progress of one large tensor.
type state struct {
	measure *measurement // nil when all of it is measured
	mixes   []mix        // by output
}

// ready reports whether all of it is measured.
func (s *state) ready() bool { return s != nil && s.measure == nil }

// A mix is the decision about a tensor after measuring.
type mix struct {
	equal   bool // same type, same bytes: no arithmetic
	weights []float64
	divisor float64
	paired  bool        // by a slerp.Blender
	sweep   slerp.Sweep // that makes the output instead of weights; nil for a sum
}

// maxAhead is the largest number of large tensors that are measured before the
// writer has come to them. Two let the next one be measured during this one's blending,
// and its second reading still find the page cache warm.
const maxAhead = 2

// New returns an engine that writes the files of a layout, which may leave out
// tensors of the plan.
func New(p *plan.Plan, layout *writer.Layout, out Output, opt Options) *Engine {
	return NewOfMany([]*plan.Plan{p}, layout, []Output{out}, opt)
}

// NewOfMany returns an engine that writes several outputs, each by a plan of its
// own. The plans are Alike, and the budget of the first counts all. What is measured is measured once.
func NewOfMany(plans []*plan.Plan, layout *writer.Layout, outs []Output, opt Options) *Engine {
	p := plans[0]
	e := &Engine{storage: p.Storage, sums: opt.Sums, progress: opt.Progress}
	for k, out := range outs {
		e.outs = append(e.outs, target{out, plans[k].Tensors, make([]TensorResult, len(p.Tensors))})
	}
	e.init(p, opt)
	if opt.DropPages {
		e.dropper = &pageDropper{tensors: p.Tensors, opener: &e.opener}
	}
	e.large, e.flight = make([]bool, len(p.Tensors)), make(map[int]*state)
	e.order = make([]int32, 0, len(p.Tensors))
	for _, f := range layout.Files {
		e.crcs = e.crcs || f.HasCRCs
		for _, x := range f.Extents {
			e.order = append(e.order, int32(x.Tensor))
		}
	}
	for i := range p.Tensors {
		e.large[i] = p.Tensors[i].Blends() && !e.fits(i)
	}
	e.cut = cutter{tensors: p.Tensors, files: layout.Files, size: e.budget.Piece,
		whole: func(i int) bool { return p.Tensors[i].Blends() && !e.large[i] },
		last:  func(i int) bool { return p.Tensors[i].Op.Needs() == method.Passes && e.large[i] }}
	e.finished = make([]*piece, e.budget.Buffers)
	n := e.budget.Buffers * len(outs)
	e.buffers = writer.NewBuffers(n, e.budget.Piece, layout.TotalBytes*int64(len(outs)) >= int64(n)*e.budget.Piece)
	e.free = e.buffers.List()
	e.readAhead = newReadAhead(&e.work, func() bool { return e.next == nil })
	e.skip(writer.Mark{})
	return e
}

// fits reports whether a worker can hold all operands of a tensor.
func (e *Engine) fits(i int) bool {
	t := &e.tensors[i]
	return t.Tail == nil && t.Elems()*width(t.Operands) <= e.budget.Hold && t.Bytes() <= e.budget.Piece
}

// Run works until all is written or something fails.
func (e *Engine) Run(ctx context.Context) error {
	e.readAhead.from = e.whole
	stages := []func(context.Context){e.write}
	for range e.budget.Threads {
		stages = append(stages, newWorker(e).run)
	}
	return e.run(ctx, stages...)
}

// Release lets the buffers go once Run has returned.
func (e *Engine) Release() {
	e.buffers.Release()
	e.free = nil
}

// A task is either a piece to fill or a block to measure.
type task struct {
	piece *piece
	block int
	of    *measurement // that the block belongs to
}

// take waits for a task; ok is false when there are no more.
func (e *Engine) take() (t task, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.err == nil && e.next != nil {
		if len(e.free) >= len(e.outs) && e.nextReady() {
			p := e.next
			e.handOut(p)
			return task{piece: p}, true
		}
		if t, ok := e.takeBlock(); ok {
			return t, true
		}
		e.wake.Wait()
	}
	return task{}, false
}

// nextReady reports whether all that the next piece needs is measured.
func (e *Engine) nextReady() bool {
	for _, s := range e.next.spans {
		if e.large[s.tensor] && !e.flight[s.tensor].ready() {
			return false
		}
	}
	return true
}

// handOut accounts for a piece that a worker takes and cuts the next one.
func (e *Engine) handOut(p *piece) {
	for range e.outs[1:] {
		p.more = append(p.more, fill{spans: slices.Clone(p.spans)})
	}
	for v := range e.outs {
		f, n := p.of(v), len(e.free)-1
		f.room = e.free[n]
		f.buf = aligned(f.room, p.off)[:p.len]
		e.free = e.free[:n]
	}
	read := int64(0)
	for k := range p.spans {
		s := &p.spans[k]
		t := &e.tensors[s.tensor]
		if st := e.flight[s.tensor]; st != nil {
			for v := range st.mixes {
				p.of(v).spans[k].mix = st.mixes[v]
			}
		}
		if !e.large[s.tensor] {
			share := parentBytes(t)
			if s.len < t.Bytes() {
				share = int64(float64(share) * float64(s.len) / float64(t.Bytes()))
			}
			read += share
		} else if s.off+s.len == t.Bytes() {
			e.ahead--
			e.wake.Broadcast() // another one may be measured
		}
	}
	if read > 0 {
		e.asked(read)
	}
	e.next = e.cut.next()
	if e.next == nil { // the others may go
		e.wake.Broadcast()
		e.readAhead.poke()
	}
}

// wanted reports whether the next piece has a part of the tensor: where the
// output's type is narrower than the parents', a piece can hold parts of more
// than maxAhead large ones, and waits for all of them.
func (e *Engine) wanted(i int) bool {
	return slices.ContainsFunc(e.next.spans, func(s span) bool { return s.tensor == i })
}

// filled passes a piece on to the writer.
func (e *Engine) filled(p *piece) {
	e.mu.Lock()
	e.finished[p.seq%len(e.finished)] = p
	e.mu.Unlock()
	e.wake.Broadcast()
}
