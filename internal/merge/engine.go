package merge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/slerp"
	"slerpmerge/writer"
)

// sink takes the finished pieces, in order.
type sink interface {
	// WriteWithCRCs is given the CRC-32 of each extent too, if the file HasCRCs
	// in the layout.
	WriteWithCRCs(file int, p []byte, off int64, sums []uint32) error
	// CheckpointDue reports whether what is written should be made to last, and
	// Checkpoint does it, with a note for who goes on from there.
	CheckpointDue() bool
	Checkpoint(note []byte) error
}

// An engine runs the tensors of a plan through a bounded pipeline. Workers
// take one of two kinds of task: to measure one block of a large pair, or to
// fill one piece of output. One goroutine writes the pieces in order; another
// asks the kernel to read ahead. A piece is filled into one of a fixed number
// of buffers, which are handed out in the order of the pieces, so that the
// piece the writer waits for always has one.
//
// Filling goes before measuring: it frees what was measured, and the writer
// lives on it. So while one tensor is blended and written the next ones are
// measured by whoever finds no buffer free.
type engine struct {
	ctx     context.Context
	tensors []plan.Tensor
	storage []int // Plan.Storage
	method  recipe.Method
	order   []int32 // tensors in the order of their output bytes
	budget  plan.Budget
	warnNaN bool
	out     sink
	written func(int64)

	mu       sync.Mutex
	wake     *sync.Cond
	err      error
	cut      cutter
	next     *piece // to be handed out, nil when all are
	free     [][]byte
	finished []*piece       // ring by seq
	large    []bool         // by tensor: it is measured ahead
	flight   map[int]*state // of large tensors that are measured, or being measured, and not written whole
	scan     int            // index into order of the tensor being measured
	block    int            // its next block
	ahead    int            // large tensors measured or being measured, not yet handed out whole
	whole    int            // index into order: those before are written whole
	noted    int            // likewise: those before are in a note
	results  []TensorResult
	sums     bool        // the format has checksums of the tensors
	noCopy   atomic.Bool // the system can't copy from file to file here

	opener     operand.Opener
	opened     map[int][]input // of tensors that are read in several parts, and not done; mu guards it
	dispatched atomic.Int64    // bytes of parents that were asked for a first time
	readAhead  *readAhead
	behind     *behind // nil to leave the page cache alone
	throttle   *throttle
}

// A state is where one large tensor is on its way.
type state struct {
	measure *measurement // nil when all of it is measured
	mix     mix
}

// ready reports whether all of it is measured.
func (s *state) ready() bool { return s != nil && s.measure == nil }

// A mix is what measuring decided about a tensor.
type mix struct {
	equal  bool // same type, same bytes: no arithmetic
	s0, s1 float64
}

// A measurement is a large pair being measured.
type measurement struct {
	sums   []slerp.Gram // by block, added in that order at the end
	left   int
	differ atomic.Bool
}

// maxAhead is how many large tensors may be measured before the writer has
// come to them. Two let the next one be measured during this one's blending,
// and its second reading still find the page cache warm.
const maxAhead = 2

func newEngine(ctx context.Context, p *plan.Plan, out sink, warnNaN bool, written func(int64)) *engine {
	e := &engine{ctx: ctx, tensors: p.Tensors, storage: p.Storage, method: p.Recipe.Method, budget: p.Budget, warnNaN: warnNaN, out: out, written: written}
	e.wake = sync.NewCond(&e.mu)
	e.large, e.flight, e.opened = make([]bool, len(p.Tensors)), make(map[int]*state), make(map[int][]input)
	e.opener.Wrap = watch
	e.results = make([]TensorResult, len(p.Tensors))
	e.order = make([]int32, 0, len(p.Tensors))
	for _, f := range p.Layout.Files {
		e.sums = e.sums || f.HasCRCs
		for _, x := range f.Extents {
			e.order = append(e.order, int32(x.Tensor))
		}
	}
	for i := range p.Tensors {
		e.large[i] = p.Tensors[i].Action == plan.Slerp && !e.fits(i)
	}
	e.cut = cutter{tensors: p.Tensors, files: p.Layout.Files, size: e.budget.Piece,
		whole: func(i int) bool { return p.Tensors[i].Action == plan.Slerp && !e.large[i] }}
	e.finished = make([]*piece, e.budget.Buffers)
	for range e.budget.Buffers {
		e.free = append(e.free, make([]byte, e.budget.Piece))
	}
	e.readAhead = newReadAhead(e, func() bool { return e.next == nil })
	e.skip(writer.Mark{})
	return e
}

// fits reports whether a worker can hold the pair of a tensor whole.
func (e *engine) fits(i int) bool {
	t := &e.tensors[i]
	pair := operands(t)
	a, b := operandType(pair, 0), operandType(pair, 1)
	return t.Tail == nil && t.Elems()*int64(a.Size()+b.Size()) <= e.budget.Hold && t.Bytes() <= e.budget.Piece
}

// run works until all is written or something fails.
func (e *engine) run() error {
	stop := context.AfterFunc(e.ctx, func() { e.fail(context.Cause(e.ctx)) })
	defer stop()
	e.readAhead.from = e.whole
	var all sync.WaitGroup
	for range e.budget.Threads {
		all.Go(e.guard(newWorker(e).run))
	}
	all.Go(e.guard(e.write))
	all.Go(e.guard(e.readAhead.run))
	all.Wait()
	return e.stopped()
}

// guard makes a panic of one goroutine the end of the run, not of the
// process: the output must still be cleaned away.
func (e *engine) guard(f func()) func() {
	return func() {
		defer func() {
			if r := recover(); r != nil {
				e.fail(fmt.Errorf("%w, please report it: %v", errInternal, r))
			}
		}()
		f()
	}
}

var errInternal = errors.New("internal error")

func (e *engine) fail(err error) {
	e.mu.Lock()
	if e.err == nil {
		e.err = err
	}
	e.mu.Unlock()
	e.wake.Broadcast()
	e.readAhead.poke()
}

// A task is either a piece to fill or a block to measure.
type task struct {
	piece  *piece
	tensor int
	block  int
	sums   *measurement // that the block belongs to
}

// take waits for a task; ok is false when there are no more.
func (e *engine) take() (t task, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.err == nil && e.next != nil {
		if len(e.free) > 0 && e.nextReady() {
			p := e.next
			p.buf = e.free[len(e.free)-1][:p.len]
			e.free = e.free[:len(e.free)-1]
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
func (e *engine) nextReady() bool {
	for _, s := range e.next.segs {
		if e.large[s.tensor] && !e.flight[s.tensor].ready() {
			return false
		}
	}
	return true
}

// handOut accounts for a piece that a worker takes and cuts the next one.
func (e *engine) handOut(p *piece) {
	for k := range p.segs {
		s := &p.segs[k]
		t := &e.tensors[s.tensor]
		if st := e.flight[s.tensor]; st != nil {
			s.mix = st.mix
		}
		if !e.large[s.tensor] {
			share := parentBytes(t)
			if s.len < t.Bytes() {
				share = int64(float64(share) * float64(s.len) / float64(t.Bytes()))
			}
			e.asked(share)
		} else if s.off+s.len == t.Bytes() {
			e.ahead--
			e.wake.Broadcast() // another one may be measured
		}
	}
	e.next = e.cut.next()
	if e.next == nil { // the others may go
		e.wake.Broadcast()
		e.readAhead.poke()
	}
}

// takeBlock finds the next block to be measured, if measuring may go on.
func (e *engine) takeBlock() (task, bool) {
	for e.scan < len(e.order) && (!e.large[e.order[e.scan]] || e.flight[int(e.order[e.scan])].ready()) {
		e.scan++
	}
	if e.scan == len(e.order) {
		return task{}, false
	}
	i := int(e.order[e.scan])
	st := e.flight[i]
	if st == nil {
		if e.ahead >= maxAhead && !e.wanted(i) {
			return task{}, false
		}
		e.ahead++
		n := int((e.tensors[i].BlendElems() + slerp.BlockElems - 1) / slerp.BlockElems)
		st = &state{measure: &measurement{sums: make([]slerp.Gram, n), left: n}}
		e.flight[i] = st
	}
	t := task{tensor: i, block: e.block, sums: st.measure}
	e.asked(parentBytes(&e.tensors[i]) / int64(len(st.measure.sums)))
	if e.block++; e.block == len(st.measure.sums) {
		e.scan++
		e.block = 0
	}
	return t, true
}

// wanted reports whether the next piece has a part of the tensor: where the
// output's type is narrower than the parents', a piece can hold parts of more
// than maxAhead large ones, and waits for all of them.
func (e *engine) wanted(i int) bool {
	return slices.ContainsFunc(e.next.segs, func(s segment) bool { return s.tensor == i })
}

func (e *engine) asked(n int64) {
	e.dispatched.Add(n)
	e.readAhead.poke()
}

// measured takes the sums of one block; with the last one the tensor's mix is
// decided.
func (e *engine) measured(i, block int, s slerp.Gram) {
	e.mu.Lock()
	defer e.mu.Unlock()
	st := e.flight[i]
	m := st.measure
	m.sums[block] = s
	if m.left--; m.left > 0 {
		return
	}
	var sum slerp.Gram
	for _, s := range m.sums {
		sum = sum.Plus(s)
	}
	mix, err := e.decide(i, sum, !m.differ.Load())
	if err != nil && e.err == nil {
		e.err = err
		e.readAhead.poke()
	}
	st.mix, st.measure = mix, nil
	e.wake.Broadcast()
}

// filled passes a piece on to the writer.
func (e *engine) filled(p *piece) {
	e.mu.Lock()
	e.finished[p.seq%len(e.finished)] = p
	e.mu.Unlock()
	e.wake.Broadcast()
}

// write writes the pieces in order.
func (e *engine) write() {
	for seq := 0; ; seq++ {
		e.mu.Lock()
		slot := &e.finished[seq%len(e.finished)]
		for e.err == nil && *slot == nil && !(e.next == nil && seq == e.cut.seq) {
			e.wake.Wait()
		}
		p := *slot
		*slot = nil
		failed := e.err != nil
		e.mu.Unlock()
		if failed || p == nil {
			return
		}
		moved := len(p.buf)
		if p.from != nil { // read there, too
			moved *= 2
		}
		if err := e.throttle.wait(e.ctx, moved); err != nil {
			e.fail(err)
			return
		}
		if err := e.put(p); err != nil {
			e.fail(err)
			return
		}
		if e.behind != nil {
			e.behind.written(p)
		}
		due := e.out.CheckpointDue()
		var note []byte
		e.mu.Lock()
		e.account(p)
		due = due || e.whole-e.noted >= maxNoted
		if due {
			note = e.checkpoint()
		}
		e.free = append(e.free, p.buf[:cap(p.buf)])
		e.mu.Unlock()
		e.wake.Broadcast()
		if due {
			if err := e.out.Checkpoint(note); err != nil {
				e.fail(err)
				return
			}
		}
		if e.written != nil {
			e.written(p.values())
		}
	}
}

// put writes a piece.
func (e *engine) put(p *piece) error {
	if p.from != nil {
		return e.copyPiece(p)
	}
	return e.out.WriteWithCRCs(p.file, p.buf, p.off, p.sums)
}

// account adds what the arithmetic of a piece could not hold, now that the
// piece is written: a note must not count what is not. The caller holds e.mu.
func (e *engine) account(p *piece) {
	for k := range p.segs {
		s := &p.segs[k]
		r := &e.results[s.tensor]
		r.Overflow += s.counts.Overflow
		r.Underflow += s.counts.Underflow
		if s.off+s.len < e.tensors[s.tensor].Bytes() {
			continue
		}
		for e.whole < len(e.order) {
			i := e.order[e.whole]
			e.whole++
			delete(e.flight, int(i))
			delete(e.opened, int(i))
			if e.scan < e.whole { // a run that was resumed within it measures no more of it
				e.scan, e.block = e.whole, 0
			}
			if int(i) == s.tensor { // those before it have no elements
				break
			}
		}
	}
}
