package engine

import (
	"cmp"
	"context"
	"slices"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/slerp"
)

// A Pair is two operands as a Scan finds them.
type Pair struct {
	Equal bool // the same types and the same bytes
	// Gram and Distance, which is |a-b| squared, are of pairs that blend.
	Gram     method.Gram
	Distance slerp.Wide
}

// Scan measures pairs of tensors in one pass over both parents, and writes
// nothing. Those that blend are measured, as a merge does; of those that follow it
// is found out whether they are equal; others, and those without elements, are
// passed over. found is called once for each pair, from several goroutines.
//
// Errors are those of the readers and the cause of ctx.
func Scan(ctx context.Context, p *plan.Plan, opt Options, found func(i int, pair Pair)) error {
	s := &scan{pairs: make(map[int]*pairBlocks), found: found, progress: opt.Progress}
	s.init(p, opt)
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Op.Needs() != method.Nothing && t.Elems() > 0 {
			s.order = append(s.order, int32(i))
		}
	}
	slices.SortFunc(s.order, func(x, y int32) int { // as the primary's files have them
		a, b := p.Tensors[x].Operands[0].Tensor(), p.Tensors[y].Operands[0].Tensor()
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset), cmp.Compare(x, y))
	})
	s.readAhead = newReadAhead(&s.work, func() bool { return s.at == len(s.order) })
	stages := make([]func(context.Context), s.budget.Threads)
	for k := range stages {
		stages[k] = s.worker
	}
	return s.run(ctx, stages...)
}

// A scan is the pipeline of Scan. Blocks are independent of each other, so
// workers just take the next one.
type scan struct {
	work
	found func(i int, pair Pair)

	// The fields below are guarded by mu.

	pairs    map[int]*pairBlocks // those that are being measured
	at       int                 // index into order of the tensor that is being handed out
	block    int                 // its next block
	progress func(int64)
}

// pairBlocks is the state of one pair: per block, to be added in their order
// when all are there.
type pairBlocks struct {
	grams     []method.Gram
	distances []slerp.Wide
	left      int
	other     bool // some bytes are not the same
}

// followBytes is a block of tensors that are only looked at for equality.
const followBytes = 4 << 20

// scanBlocks is the number of blocks that a tensor is handed out in.
func scanBlocks(t *plan.Tensor) int {
	if !t.Blends() {
		return int((t.Bytes() + followBytes - 1) / followBytes)
	}
	return blocks(t)
}

// take hands out the next block; ok is false when there are no more.
func (s *scan) take() (i, block int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || s.at == len(s.order) {
		return 0, 0, false
	}
	i, block = int(s.order[s.at]), s.block
	t := &s.tensors[i]
	n := scanBlocks(t)
	if block == 0 {
		b := &pairBlocks{left: n}
		s.pairs[i] = b
		if t.Blends() {
			b.grams, b.distances = make([]method.Gram, n), make([]slerp.Wide, n)
		}
	}
	if s.block++; s.block == n {
		s.at, s.block = s.at+1, 0
	}
	s.asked(parentBytes(t) / int64(n))
	return i, block, true
}

func (s *scan) worker(ctx context.Context) {
	w := newArithmetic(s.budget)
	for {
		i, block, ok := s.take()
		if !ok {
			return
		}
		t := &s.tensors[i]
		in := s.inputs(nil, i, scanBlocks(t) > 1)
		var b blockPair
		var err error
		if t.Blends() {
			b, err = w.comparePair(ctx, t, in, block)
		} else {
			b.same, err = w.sameBlock(ctx, t, in, block)
		}
		if err != nil {
			s.fail(err)
			return
		}
		s.add(i, block, b)
	}
}

// A blockPair is one block of a pair.
type blockPair struct {
	gram     method.Gram
	distance slerp.Wide
	same     bool
}

func (w *arithmetic) comparePair(ctx context.Context, t *plan.Tensor, in []input, block int) (b blockPair, err error) {
	if b.gram, b.same, err = w.measure(ctx, t, in, block, true); err != nil {
		return b, err
	}
	d, exact := b.gram[0].SquaredDistance()
	switch {
	case b.same && b.gram[0].Finite():
	case exact:
		b.distance = d
	default: // the operands are nearly equal; they were just read, so they are still in the page cache
		b.distance, err = w.distance(ctx, t, in, block)
	}
	return b, err
}

// sameBlock reports whether both operands have the same bytes in a block.
func (w *arithmetic) sameBlock(ctx context.Context, t *plan.Tensor, in []input, block int) (bool, error) {
	from := int64(block) * followBytes
	to := min(from+followBytes, t.Bytes())
	same := true
	for at := from; at < to && same; at += chunkBytes {
		n := min(chunkBytes, to-at)
		w.views.reset()
		for k := range in[:2] {
			w.views.add(&in[k], w.hold[k*chunkBytes:][:n], at)
		}
		if err := w.views.show(ctx, in[0].throttle, func(chunks [][]byte) { same = allEqual(chunks) }); err != nil {
			return false, err
		}
	}
	return same, nil
}

// add takes the result of one block; with the last one the pair is complete.
func (s *scan) add(i, block int, r blockPair) {
	if b := s.complete(i, block, r); b != nil { // nobody else has this pair now
		s.found(i, b.pair())
	}
}

// complete adds one block to its pair, which it returns if it was the last one.
func (s *scan) complete(i, block int, r blockPair) *pairBlocks {
	t := &s.tensors[i]
	s.mu.Lock()
	defer s.mu.Unlock() // after a panic, too: the run must end
	b := s.pairs[i]
	if s.progress != nil {
		s.progress(parentBytes(t) / int64(scanBlocks(t)))
	}
	b.other = b.other || !r.same
	if b.grams != nil {
		b.grams[block], b.distances[block] = r.gram, r.distance
	}
	if b.left--; b.left > 0 {
		return nil
	}
	delete(s.pairs, i)
	s.done(i)
	return b
}

func (b *pairBlocks) pair() Pair {
	p := Pair{Equal: !b.other}
	for k := range b.grams {
		p.Gram = p.Gram.Add(b.grams[k])
		p.Distance = p.Distance.Plus(b.distances[k])
	}
	return p
}
