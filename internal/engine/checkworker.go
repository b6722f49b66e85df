package engine

import (
	"context"
	"hash/crc32"
	"slices"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// A checkWorker computes blocks. out is for a chunk of computed bytes, which
// are compared while they are in the processor's cache.
type checkWorker struct {
	arithmetic
	c   *check
	out []byte

	// Of the block in hand:

	k     *checked
	at    int64 // of the next bytes, in the values of the output
	found blockCheck
	err   error // of the Checker
}

// do measures or computes a block, or both.
func (w *checkWorker) do(ctx context.Context, k *checked, block int) (blockCheck, error) {
	t := &w.c.tensors[k.tensor]
	in := w.c.inputs(w.in, k.tensor, k.blocks > 1)
	if k.blocks == 1 {
		w.in = in // to be used again
	}
	if k.pass > 0 {
		s := k.sweep
		m := s.Meter(&w.scratch, block)
		same, err := w.region(ctx, in, s.Region(block), grainOf(s), k.pass == 1, m.Add)
		return blockCheck{meter: m, same: same}, err
	}
	from, to := w.c.blockRange(k, block)
	w.k, w.at, w.found, w.err = k, from, blockCheck{}, nil
	err := w.block(ctx, t, in, block, from, to)
	if err == nil {
		err = w.err
	}
	return w.found, err
}

func (w *checkWorker) block(ctx context.Context, t *plan.Tensor, in []input, block int, from, to int64) error {
	switch k := w.k; {
	case block < k.parts && k.mix.sweep != nil:
		return w.swept(ctx, t, in, from, to)
	case block < k.parts && k.measured:
		return w.every(ctx, t, in, from, to, w.mixed(t, in))
	case block < k.parts:
		return w.measureToo(ctx, t, in, from, to)
	case k.parts > 0: // behind the blended rows
		return w.sole(ctx, t, &in[t.Tail.Operand], from, to)
	case t.Op.Needs() == method.Equality:
		return w.sole(ctx, t, &in[0], from, to)
	}
	if i, ok := sole(t); ok {
		return w.sole(ctx, t, &in[i], from, to)
	}
	s := t.Op.Solve(len(in), nil)
	return w.every(ctx, t, in, from, to, w.computed(in, t.DType, w.combiner(in, t.DType, mix{weights: s.Weights, divisor: s.Divisor})))
}

// every shows all operands of a part of the output, chunk by chunk.
func (w *checkWorker) every(ctx context.Context, t *plan.Tensor, in []input, from, to int64, do func(chunks [][]byte)) error {
	size := int64(t.DType.Size())
	return w.each(ctx, in, from/size, to/size, min(chunkElems(in), chunkBytes/size), do)
}

// measureToo measures a block, and compares what it makes if the mix is known.
func (w *checkWorker) measureToo(ctx context.Context, t *plan.Tensor, in []input, from, to int64) error {
	products, same := w.gram(t, in), sameTypes(in)
	compare := func([][]byte) {}
	if w.k.known {
		compare = w.mixed(t, in)
	}
	err := w.every(ctx, t, in, from, to, func(chunks [][]byte) {
		same = same && allEqual(chunks)
		products.add(chunks)
		compare(chunks)
	})
	w.found.gram, w.found.same = products.sums(nil), same
	return err
}

// mixed compares what the mix of the extent says.
func (w *checkWorker) mixed(t *plan.Tensor, in []input) func(chunks [][]byte) {
	if w.k.mix.equal {
		return w.alone(t.DType, &in[0])
	}
	return w.computed(in, t.DType, w.combiner(in, t.DType, w.k.mix))
}

// swept compares what a sweep makes.
func (w *checkWorker) swept(ctx context.Context, t *plan.Tensor, in []input, from, to int64) error {
	size := int64(t.DType.Size())
	counts, err := w.mixRange(ctx, t, in, from/size, to/size, w.k.mix.sweep, func(n int64) []byte {
		w.out = slices.Grow(w.out[:0], int(n))[:max(n, chunkBytes)]
		return w.out[:n]
	}, w.compare)
	w.found.over, w.found.under = counts.Overflow, counts.Underflow
	return err
}

// alone compares the values of the first operand that it is given.
func (w *checkWorker) alone(out tensor.DType, o *input) func(chunks [][]byte) {
	if o.typ == out {
		return func(chunks [][]byte) { w.compare(chunks[0]) }
	}
	c := w.converter(out, o.typ)
	return w.computed([]input{*o}, out, func(dst []byte, chunks [][]byte) slerp.Counts { return c.Convert(dst, chunks[0]) })
}

// computed compares what is computed of the operands.
func (w *checkWorker) computed(in []input, out tensor.DType, combine combiner) func(chunks [][]byte) {
	size, of := int64(out.Size()), in[0].size
	return func(chunks [][]byte) {
		dst := w.out[:int64(len(chunks[0]))/of*size]
		counts := combine(dst, chunks)
		w.found.over += counts.Overflow
		w.found.under += counts.Underflow
		w.compare(dst)
	}
}

// sole compares bytes of the output that are values of one operand.
func (w *checkWorker) sole(ctx context.Context, t *plan.Tensor, o *input, from, to int64) error {
	compare := w.alone(t.DType, o)
	if o.typ != t.DType {
		return w.every(ctx, t, []input{*o}, from, to, compare)
	}
	for at := from; at < to; at += chunkBytes { // of a type that may have no whole bytes
		w.views.reset()
		w.views.add(o, w.hold[:min(chunkBytes, to-at)], at)
		if err := w.views.show(ctx, o.throttle, compare); err != nil {
			return err
		}
	}
	return nil
}

// compare gives bytes to the Checker. They follow those before.
func (w *checkWorker) compare(p []byte) {
	if w.err != nil {
		return
	}
	if w.k.hasCRC {
		w.found.crc = crc32.Update(w.found.crc, crc32.IEEETable, p)
	}
	w.err = w.c.to.Compare(w.k.file, w.k.extent, p, w.k.off+w.at)
	w.at += int64(len(p))
}
