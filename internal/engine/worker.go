package engine

import (
	"bytes"
	"context"
	"hash/crc32"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// chunkBytes is how much of one of two operands is read at a time: both chunks
// and the output's stay in a second-level cache of 512 KiB.
const chunkBytes = 128 << 10

// A worker fills pieces and measures blocks. hold is its only large buffer:
// operands that fit are kept there between measuring and blending, for others
// it serves chunk by chunk.
type worker struct {
	e *Engine
	arithmetic
}

// An arithmetic is the buffers and kernels of one goroutine.
type arithmetic struct {
	hold      []byte
	in        []input // of the tensor in hand, if it is in hand whole
	chunks    [][]byte
	whole     [][]byte
	pair      [1]*slerp.InnerProducts
	block     method.Gram
	products  map[[2]tensor.DType]*slerp.InnerProducts
	blenders  map[[3]tensor.DType]*slerp.Blender
	converts  map[[2]tensor.DType]*slerp.Converter
	distances map[[2]tensor.DType]*slerp.Distance
}

func newArithmetic(b plan.Budget) arithmetic {
	return arithmetic{
		hold:      make([]byte, max(b.Hold, 2*chunkBytes)),
		products:  map[[2]tensor.DType]*slerp.InnerProducts{},
		blenders:  map[[3]tensor.DType]*slerp.Blender{},
		converts:  map[[2]tensor.DType]*slerp.Converter{},
		distances: map[[2]tensor.DType]*slerp.Distance{},
	}
}

func newWorker(e *Engine) *worker { return &worker{e, newArithmetic(e.budget)} }

func (w *worker) run(ctx context.Context) {
	for {
		t, ok := w.e.take()
		if !ok {
			return
		}
		if err := w.do(ctx, t); err != nil {
			w.e.fail(err)
			return
		}
	}
}

func (w *worker) do(ctx context.Context, t task) error {
	if t.piece != nil {
		if err := w.fill(ctx, t.piece); err != nil {
			return err
		}
		w.e.filled(t.piece)
		return nil
	}
	in := w.e.inputs(nil, t.tensor, true)
	g, same, err := w.measure(ctx, &w.e.tensors[t.tensor], in, t.block, !t.of.differ.Load())
	if err != nil {
		return err
	}
	if !same {
		t.of.differ.Store(true)
	}
	w.e.measured(t.tensor, t.block, g)
	return nil
}

// fill computes a piece.
func (w *worker) fill(ctx context.Context, p *piece) error {
	if p.from = w.e.copier(p); p.from != nil {
		return nil
	}
	for k := range p.spans {
		if err := w.e.stopped(); err != nil {
			return err
		}
		s := &p.spans[k]
		dst := p.buf[s.at:][:s.len]
		if err := w.fillSpan(ctx, dst, s); err != nil {
			return err
		}
		if w.e.crcs { // here, where it is in the cache, and not on the writer's time
			p.crcs = append(p.crcs, crc32.ChecksumIEEE(dst))
		}
	}
	return nil
}

func (w *worker) fillSpan(ctx context.Context, dst []byte, s *span) (err error) {
	e, t := w.e, &w.e.tensors[s.tensor]
	parts := s.len < t.Bytes() || e.large[s.tensor]
	in := e.inputs(w.in, s.tensor, parts)
	if !parts {
		w.in = in // to be used again
	}
	switch needs := t.Op.Needs(); {
	case needs == method.Equality:
		return w.follow(ctx, dst, in, s)
	case needs == method.InnerProducts && e.large[s.tensor]:
		s.counts, err = w.blendAndTail(ctx, dst, in, t, *s)
		return err
	case needs == method.InnerProducts:
		s.counts, err = w.once(ctx, dst, in, s.tensor)
		return err
	}
	if k, ok := sole(t); ok {
		s.counts, err = w.convert(ctx, dst, in[k], t.DType, s.off)
		return err
	}
	c := t.Op.Solve(len(in), nil)
	s.counts, err = w.sum(ctx, dst, in, t.DType, s.off, mix{weights: c.Weights, divisor: c.Divisor})
	if err == nil && s.counts.NonFinite > 0 {
		err = e.notFinite(s.tensor)
	}
	return err
}

// sole is the operand that a tensor takes as it is or in another type; ok is
// false where there is arithmetic to do.
func sole(t *plan.Tensor) (k int, ok bool) {
	k = -1
	for i, o := range t.Operands {
		if o.None() {
			continue
		}
		if k >= 0 {
			return 0, false
		}
		k = i
	}
	if k < 0 {
		return 0, false
	}
	c := t.Op.Solve(len(t.Operands), nil)
	return k, c.Weights[k] == 1 && c.Divisor == 1
}

// follow copies the first operand's values and looks whether the others differ.
func (w *worker) follow(ctx context.Context, dst []byte, in []input, s *span) error {
	if err := in[0].read(ctx, dst, s.off); err != nil {
		return err
	}
	for _, other := range in[1:] {
		for at := 0; at < len(dst) && !w.e.differs(s.tensor); at += chunkBytes {
			chunk := w.hold[:min(chunkBytes, len(dst)-at)]
			if err := other.read(ctx, chunk, s.off+int64(at)); err != nil {
				return err
			}
			if !bytes.Equal(chunk, dst[at:][:len(chunk)]) {
				w.e.markDiffers(s.tensor)
			}
		}
	}
	return nil
}

// blendAndTail is blend where the last rows may be those of one operand.
func (w *worker) blendAndTail(ctx context.Context, dst []byte, in []input, t *plan.Tensor, s span) (slerp.Counts, error) {
	blended := t.BlendElems() * int64(t.DType.Size())
	if s.off+s.len <= blended {
		return w.blend(ctx, dst, in, t.DType, s.off, s.mix)
	}
	var counts slerp.Counts
	if n := blended - s.off; n > 0 {
		var err error
		if counts, err = w.blend(ctx, dst[:n], in, t.DType, s.off, s.mix); err != nil {
			return counts, err
		}
		dst, s.off = dst[n:], blended
	}
	more, err := w.convert(ctx, dst, in[t.Tail.Operand], t.DType, s.off)
	counts.Add(more)
	return counts, err
}

// once measures and blends a tensor whose operands fit the hold buffer: each is
// read one time.
func (w *worker) once(ctx context.Context, dst []byte, in []input, i int) (slerp.Counts, error) {
	e, t := w.e, &w.e.tensors[i]
	n := t.Elems()
	whole, room := w.whole[:0], w.hold
	for _, o := range in {
		whole, room = append(whole, room[:n*o.size]), room[n*o.size:]
	}
	w.whole = whole
	var sum method.Gram
	same := sameTypes(in)
	step := chunkElems(in)
	chunks := w.chunksOf(in)
	for from := int64(0); from < n; from += slerp.BlockElems {
		products := w.gram(in)
		to := min(from+slerp.BlockElems, n)
		for at := from; at < to; at += step {
			m := min(step, to-at)
			for k, o := range in {
				chunks[k] = whole[k][at*o.size:][:m*o.size]
				if err := o.read(ctx, chunks[k], at*o.size); err != nil {
					return slerp.Counts{}, err
				}
			}
			same = same && allEqual(chunks)
			products.add(chunks)
		}
		w.block = products.sums(w.block)
		sum = sum.Add(w.block)
	}
	mix, err := e.decideAlone(i, sum, same)
	switch {
	case err != nil:
		return slerp.Counts{}, err
	case !mix.equal:
		return w.combiner(in, t.DType, mix)(dst, whole), nil
	}
	return w.converter(t.DType, in[0].typ).Convert(dst, whole[0]), nil
}
