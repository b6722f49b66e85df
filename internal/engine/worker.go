package engine

import (
	"bytes"
	"context"
	"hash/crc32"
	"slices"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// chunkBytes is how much of one of two operands is taken at a time: both chunks
// and the output's stay in a second-level cache of 512 KiB.
const chunkBytes = 128 << 10

// A worker fills pieces and measures blocks. hold is its only large buffer, for
// what has no views: operands that fit are kept there between measuring and
// blending, for others it serves chunk by chunk.
type worker struct {
	e *Engine
	arithmetic
}

// An arithmetic is the buffers and kernels of one goroutine.
type arithmetic struct {
	hold      []byte
	in        []input // of the tensor in hand, if it is in hand whole
	views     *views
	scratch   slerp.Scratch
	edge      []byte // a part of the output of a sweep that is computed to be cut
	held      []held
	whole     [][]byte
	block     method.Gram
	products  map[[2]tensor.DType]gramMeter
	group     group
	weighted  weighted
	blenders  map[[3]tensor.DType]*slerp.Blender
	converts  map[[2]tensor.DType]*slerp.Converter
	distances map[[2]tensor.DType]*slerp.Distance
}

func newArithmetic(b plan.Budget) arithmetic {
	return arithmetic{
		hold:      make([]byte, max(b.Hold, 2*chunkBytes)),
		views:     newViews(),
		products:  map[[2]tensor.DType]gramMeter{},
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
	return w.measureBlock(ctx, t)
}

// measureBlock measures one block of a large tensor.
func (w *worker) measureBlock(ctx context.Context, t task) error {
	in := w.e.inputs(nil, t.of.tensor, true)
	look := t.of.looks()
	var g method.Gram
	var meter slerp.Meter
	var same bool
	var err error
	if s := t.of.sweep; s != nil {
		meter = s.Meter(&w.scratch, t.block)
		same, err = w.region(ctx, in, s.Region(t.block), grainOf(s), look, meter.Add)
	} else {
		g, same, err = w.measure(ctx, &w.e.tensors[t.of.tensor], in, t.block, look)
	}
	if err != nil {
		return err
	}
	if look && !same {
		t.of.differ.Store(true)
	}
	w.e.measured(t, g, meter)
	return nil
}

// fill computes a piece.
func (w *worker) fill(ctx context.Context, p *piece) error {
	if p.from = w.e.copier(p); p.from != nil {
		return nil
	}
	for v := range w.e.outs {
		f, sum := p.of(v), uint32(0)
		for k := range f.spans {
			if err := w.e.stopped(); err != nil {
				return err
			}
			s := &f.spans[k]
			dst := f.buf[s.at:][:s.len]
			if err := w.fillParts(ctx, dst, s, v, &sum); err != nil {
				return err
			}
			if w.e.crcs { // here, where it is in the cache, and not on the writer's time
				f.crcs = append(f.crcs, crc32.ChecksumIEEE(dst))
			}
		}
		if w.e.sums && !w.e.crcs {
			f.crcs = append(f.crcs, sum)
		}
	}
	return nil
}

// sumBytes is how much of a span is made before it is summed: it stays in a
// second-level cache.
const sumBytes = 2 * chunkBytes

// fillParts is fillSpan, and adds the bytes to a CRC-32 where pieces need one that the
// format has not.
func (w *worker) fillParts(ctx context.Context, dst []byte, s *span, v int, sum *uint32) error {
	if !w.e.sums || w.e.crcs {
		return w.fillSpan(ctx, dst, s, v)
	}
	step := int64(sumBytes)
	if t := &w.e.tensors[s.tensor]; t.Blends() && !w.e.large[s.tensor] || t.Op.Needs() == method.Passes || s.len > step && !w.e.inOrder(s.tensor) {
		step = s.len // it is in hand whole, or made of whole rows, or best read in long parts
	}
	whole := *s
	var counts slerp.Counts
	for at := int64(0); at < whole.len; at += step {
		s.off, s.len, s.counts = whole.off+at, min(step, whole.len-at), slerp.Counts{}
		part := dst[at:][:s.len]
		if err := w.fillSpan(ctx, part, s, v); err != nil {
			return err
		}
		counts.Add(s.counts)
		*sum = crc32.Update(*sum, crc32.IEEETable, part)
	}
	s.off, s.len, s.counts = whole.off, whole.len, counts
	return nil
}

// inOrder reports whether all operands of a tensor are read as they lie in their files.
func (e *Engine) inOrder(i int) bool {
	return !slices.ContainsFunc(e.inputs(nil, i, true), func(in input) bool { return !in.of.None() && in.src.Copier() == nil })
}

// fillSpan computes a span of output v.
func (w *worker) fillSpan(ctx context.Context, dst []byte, s *span, v int) (err error) {
	e, t := w.e, &w.e.outs[v].tensors[s.tensor]
	parts := s.len < t.Bytes() || e.large[s.tensor]
	in := e.inputs(w.in, s.tensor, parts)
	if !parts {
		w.in = in // to be used again
	}
	switch needs := t.Op.Needs(); {
	case needs == method.Equality:
		return w.follow(ctx, dst, in, s)
	case s.mix.sweep != nil:
		return w.swept(ctx, dst, in, t, s, v)
	case t.Blends() && e.large[s.tensor]:
		s.counts, err = w.blendAndTail(ctx, dst, in, t, *s)
		return err
	case needs == method.Passes:
		s.counts, err = w.sweepOnce(ctx, dst, in, v, s.tensor)
		return err
	case t.Blends():
		s.counts, err = w.once(ctx, dst, in, v, s.tensor)
		return err
	}
	if k, ok := sole(t); ok {
		s.counts, err = w.convert(ctx, dst, in[k], t.DType, s.off)
		return err
	}
	c := t.Op.Solve(len(in), nil)
	s.counts, err = w.sum(ctx, dst, in, t.DType, s.off, mix{weights: c.Weights, divisor: c.Divisor})
	if err == nil && s.counts.NonFinite > 0 {
		err = e.notFinite(v, s.tensor)
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
	for k := range in[1:] {
		for at := 0; at < len(dst) && !w.e.differs(s.tensor); at += chunkBytes {
			n := min(chunkBytes, len(dst)-at)
			w.views.reset()
			w.views.add(&in[1+k], w.hold[:n], s.off+int64(at))
			err := w.views.show(ctx, in[0].throttle, func(chunks [][]byte) {
				if !bytes.Equal(chunks[0], dst[at:][:n]) {
					w.e.markDiffers(s.tensor)
				}
			})
			if err != nil {
				return err
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

// A held is an operand of a tensor that is in hand whole.
type held struct {
	buf   []byte // its part of the hold buffer
	there bool   // it is in buf, as its source has no views
}

// parts divides the hold buffer among the operands of a tensor of n elements.
func (w *worker) parts(in []input, n int64) {
	w.held = w.held[:0]
	room := w.hold
	for k := range in {
		size := n * in[k].size
		w.held = append(w.held, held{room[:size], true})
		room = room[size:]
	}
}

// part is n elements from element at of an operand's part.
func (w *worker) part(in []input, k int, at, n int64) []byte {
	return w.held[k].buf[at*in[k].size:][:n*in[k].size]
}

// once measures and blends a tensor whose operands fit the hold buffer. A chunk
// of each is measured and blended at one time. Of more, what has to be read into
// a buffer is read one time, and kept there; of what has views, views are taken
// again for the blending: that costs less than a copy.
func (w *worker) once(ctx context.Context, dst []byte, in []input, v, i int) (counts slerp.Counts, err error) {
	n, step := w.e.tensors[i].Elems(), chunkElems(in)
	w.parts(in, n)
	var sum method.Gram
	var products gramMeter
	same := sameTypes(in)
	measure := func(chunks [][]byte) {
		same = same && allEqual(chunks)
		products.add(chunks)
		if n <= step {
			w.block = products.sums(w.block)
			var combine combiner
			if combine, _, err = w.solve(v, i, in, sum.Add(w.block), same); err == nil {
				counts = combine(dst, chunks)
			}
			return
		}
		for k, c := range chunks {
			w.held[k].there = w.held[k].there && &c[0] == &w.views.ranges[k].scratch[0]
		}
	}
	for from := int64(0); from < n; from += slerp.BlockElems {
		products = w.gram(&w.e.tensors[i], in)
		to := min(from+slerp.BlockElems, n)
		for at := from; at < to; at += step {
			if err := w.show(ctx, in, at, min(step, to-at), measure); err != nil {
				return counts, err
			}
		}
		if n <= step {
			return counts, err
		}
		w.block = products.sums(w.block)
		sum = sum.Add(w.block)
	}
	combine, needed, err := w.solve(v, i, in, sum, same)
	if err != nil {
		return counts, err
	}
	size := int64(len(dst)) / n
	err = w.again(ctx, in[:needed], 0, n, step, func(chunks [][]byte, at int64) {
		counts.Add(combine(dst[at*size:][:int64(len(chunks[0]))/in[0].size*size], chunks))
	})
	return counts, err
}

// show shows elements of all operands of a tensor in hand, or their parts of the
// hold buffer.
func (w *worker) show(ctx context.Context, in []input, at, n int64, do func(chunks [][]byte)) error {
	w.views.reset()
	for k := range in {
		w.views.add(&in[k], w.part(in, k, at, n), at*in[k].size)
	}
	return w.views.show(ctx, in[0].throttle, do)
}

// solve decides about a measured tensor. It gives what makes the output, and of
// how many of the operands.
func (w *worker) solve(v, i int, in []input, sum method.Gram, same bool) (combine combiner, needed int, err error) {
	out := w.e.tensors[i].DType
	mix, err := w.e.decideAlone(v, i, sum, nil, same)
	switch {
	case err != nil:
		return nil, 0, err
	case !mix.equal:
		return w.combiner(in, out, mix), len(in), nil
	}
	c := w.converter(out, in[0].typ)
	return func(dst []byte, chunks [][]byte) slerp.Counts { return c.Convert(dst, chunks[0]) }, 1, nil
}

// again shows elements from to to of all operands of a tensor in hand, a second
// time, step of them at a time. at is the index of the first of a chunk.
func (w *worker) again(ctx context.Context, in []input, from, to, step int64, show func(chunks [][]byte, at int64)) error {
	at, m := from, int64(0)
	do := func(chunks [][]byte) {
		w.whole = w.whole[:0]
		for k := range in {
			if w.held[k].there {
				w.whole = append(w.whole, w.part(in, k, at, m))
			} else {
				w.whole, chunks = append(w.whole, chunks[0]), chunks[1:]
			}
		}
		show(w.whole, at)
	}
	for ; at < to; at += m {
		m = min(step, to-at)
		w.views.reset()
		for k := range in {
			if !w.held[k].there {
				w.views.add(&in[k], w.part(in, k, at, m), at*in[k].size)
			}
		}
		// It counted towards the limit when it came from the disk.
		if err := w.views.show(ctx, nil, do); err != nil {
			return err
		}
	}
	clear(w.whole) // they may be mapped no longer
	return nil
}
