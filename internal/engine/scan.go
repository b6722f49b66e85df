package engine

import (
	"cmp"
	"context"
	"slices"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/slerp"
)

// A Scanned is the operands of one tensor as a Scan finds them.
type Scanned struct {
	// First is for each operand the index of the first one that has the same type
	// and the same bytes: its own, if none before it has.
	First []int
	// Gram is of operands that blend, or of their differences from the base of a
	// method.Based.
	Gram method.Gram
	// Distance is |a-b| squared, of two operands that blend and have no base.
	Distance slerp.Wide
	// Base is the squared norm of the base, if there is one.
	Base slerp.Wide
}

// Equal reports whether all operands have the same type and the same bytes.
func (s *Scanned) Equal() bool {
	return !slices.ContainsFunc(s.First, func(k int) bool { return k != 0 })
}

// Scan measures tensors in one pass over all operands, and writes nothing. Those
// that blend are measured, as a merge does; of those that follow it is found out
// which operands are equal; others, and those without elements, are passed over.
// found is called once for each tensor, from several goroutines.
//
// Errors are those of the readers and the cause of ctx.
func Scan(ctx context.Context, p *plan.Plan, opt Options, found func(i int, s Scanned)) error {
	s := &scan{under: make(map[int]*scanned), found: found, progress: opt.Progress}
	s.init(p, opt)
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.Op.Needs() != method.Nothing && t.Elems() > 0 {
			s.order = append(s.order, int32(i))
		}
	}
	slices.SortFunc(s.order, func(x, y int32) int { // as the files of the first operands have them
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
	found func(i int, s Scanned)

	// The fields below are guarded by mu.

	under    map[int]*scanned // tensors that are being measured
	at       int              // index into order of the tensor that is being handed out
	block    int              // its next block
	progress func(int64)
}

// A scanned is a tensor that is being measured.
type scanned struct {
	sum     Scanned // of the blocks before next
	next    int
	waiting map[int]Scanned // blocks behind next, which are added in their order
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
		s.under[i] = &scanned{waiting: map[int]Scanned{}}
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
		look := w.sameBlock
		if t.Blends() {
			look = w.scanBlock
		}
		found, err := look(ctx, t, in, block)
		if err != nil {
			s.fail(err)
			return
		}
		s.add(i, block, found)
	}
}

// scanBlock measures one block of operands that blend.
func (w *arithmetic) scanBlock(ctx context.Context, t *plan.Tensor, in []input, block int) (b Scanned, err error) {
	same := newAlike(in)
	products := w.gram(t, in)
	base := baseOf(t)
	var norm gramMeter
	if base >= 0 {
		norm = w.innerProducts(in[base].typ, in[base].typ)
		norm.Reset()
	}
	from := int64(block) * slerp.BlockElems
	var twice [2][]byte
	err = w.each(ctx, in, from, min(from+slerp.BlockElems, t.BlendElems()), chunkElems(in), func(chunks [][]byte) {
		same.look(chunks)
		products.add(chunks)
		if norm != nil {
			twice[0], twice[1] = chunks[base], chunks[base]
			norm.add(twice[:])
		}
	})
	if err != nil {
		return b, err
	}
	b.First, b.Gram = same.first, products.sums(nil)
	if norm != nil {
		b.Base = norm.sums(nil)[0].AA
		return b, nil
	}
	if len(in) > 2 {
		return b, nil
	}
	d, exact := b.Gram[0].SquaredDistance()
	switch {
	case b.Equal() && b.Gram[0].Finite():
	case exact:
		b.Distance = d
	default: // the operands are nearly equal; they were just read, so they are still in the page cache
		b.Distance, err = w.distance(ctx, t, in, block)
	}
	return b, err
}

// baseOf returns the index of the operand that a tensor's others are measured from,
// -1 if there is none.
func baseOf(t *plan.Tensor) int {
	if b, ok := t.Op.(method.Based); ok {
		return b.Base()
	}
	return -1
}

// sameBlock finds out which operands have the same bytes in a block.
func (w *arithmetic) sameBlock(ctx context.Context, t *plan.Tensor, in []input, block int) (b Scanned, err error) {
	same := newAlike(in)
	from := int64(block) * followBytes
	to := min(from+followBytes, t.Bytes())
	step := max(8, 2*chunkBytes/int64(len(in))&^7)
	for at := from; at < to && !same.none(); at += step {
		n := min(step, to-at)
		w.views.reset()
		for k := range in {
			w.views.add(&in[k], w.hold[int64(k)*step:][:n], at)
		}
		if err := w.views.show(ctx, in[0].throttle, same.look); err != nil {
			return b, err
		}
	}
	return Scanned{First: same.first}, nil
}

// add takes what was found of one block; with the last one the tensor is complete.
func (s *scan) add(i, block int, found Scanned) {
	if sum := s.complete(i, block, found); sum != nil { // nobody else has this tensor now
		s.found(i, *sum)
	}
}

// complete adds one block to its tensor. It returns the sum if that was the last one.
func (s *scan) complete(i, block int, found Scanned) *Scanned {
	t := &s.tensors[i]
	n := scanBlocks(t)
	s.mu.Lock()
	defer s.mu.Unlock() // after a panic, too: the run must end
	if s.progress != nil {
		s.progress(parentBytes(t) / int64(n))
	}
	u := s.under[i]
	for ok := true; ok; found, ok = u.waiting[u.next] {
		if block != u.next {
			u.waiting[block] = found
			return nil
		}
		delete(u.waiting, block)
		u.sum.plus(found)
		u.next++
		block = u.next
	}
	if u.next < n {
		return nil
	}
	delete(s.under, i)
	s.done(i)
	return &u.sum
}

// plus adds the next block of the tensor.
func (s *Scanned) plus(b Scanned) {
	if s.First == nil {
		s.First = b.First
	} else {
		s.First = bothAlike(s.First, b.First)
	}
	if b.Gram != nil {
		s.Gram = s.Gram.Add(b.Gram)
	}
	s.Distance, s.Base = s.Distance.Plus(b.Distance), s.Base.Plus(b.Base)
}
