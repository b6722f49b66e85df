package engine

import (
	"bytes"
	"context"

	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// blocks is the number of blocks in which a tensor is measured.
func blocks(t *plan.Tensor) int {
	return int((t.BlendElems() + slerp.BlockElems - 1) / slerp.BlockElems)
}

// chunkElems is how many elements of each operand are read at a time: a
// multiple of 8, as the lanes want it.
func chunkElems(in []input) int64 {
	var widest, all int64
	for _, o := range in {
		widest, all = max(widest, o.size), all+o.size
	}
	if len(in) <= 2 {
		return chunkBytes / widest
	}
	return max(8, 2*chunkBytes/all&^7)
}

// each shows elements from to to of all operands, chunk by chunk.
func (w *arithmetic) each(ctx context.Context, in []input, from, to int64, do func(chunks [][]byte)) error {
	step := chunkElems(in)
	for at := from; at < to; at += step {
		n := min(step, to-at)
		w.views.reset()
		room := w.hold
		for k := range in {
			size := n * in[k].size
			w.views.add(&in[k], room[:size], at*in[k].size)
			room = room[size:]
		}
		if err := w.views.show(ctx, in[0].throttle, do); err != nil {
			return err
		}
	}
	return nil
}

// measure gives the Gram matrix of one block. If it is to look, it also reports
// whether all operands have the same bytes there.
func (w *arithmetic) measure(ctx context.Context, t *plan.Tensor, in []input, block int, look bool) (g method.Gram, same bool, err error) {
	products := w.gram(in)
	same = look && sameTypes(in)
	from := int64(block) * slerp.BlockElems
	err = w.each(ctx, in, from, min(from+slerp.BlockElems, t.BlendElems()), func(chunks [][]byte) {
		same = same && allEqual(chunks)
		products.add(chunks)
	})
	return products.sums(nil), same, err
}

// distance is the squared distance of two operands in one block.
func (w *arithmetic) distance(ctx context.Context, t *plan.Tensor, in []input, block int) (slerp.Wide, error) {
	types := [2]tensor.DType{in[0].typ, in[1].typ}
	d := w.distances[types]
	if d == nil {
		d = slerp.NewDistance(types[0], types[1])
		w.distances[types] = d
	}
	d.Reset()
	from := int64(block) * slerp.BlockElems
	err := w.each(ctx, in, from, min(from+slerp.BlockElems, t.BlendElems()), func(chunks [][]byte) { d.Add(chunks[0], chunks[1]) })
	return d.Squared(), err
}

// A gramMeter measures one block of operands: a meter for each pair, in row
// order.
type gramMeter []*slerp.InnerProducts

func (w *arithmetic) gram(in []input) gramMeter {
	if len(in) == 2 { // as a rule: this one serves again and again
		m := w.innerProducts(in[0].typ, in[1].typ)
		m.Reset()
		w.pair[0] = m
		return w.pair[:]
	}
	g := make(gramMeter, 0, method.Pairs(len(in)))
	for i := range in {
		for _, other := range in[i+1:] {
			g = append(g, slerp.NewInnerProducts(in[i].typ, other.typ))
		}
	}
	return g
}

func (g gramMeter) add(chunks [][]byte) {
	k := 0
	for i := range chunks {
		for _, other := range chunks[i+1:] {
			g[k].Add(chunks[i], other)
			k++
		}
	}
}

// sums are put into the Gram matrix that is given.
func (g gramMeter) sums(into method.Gram) method.Gram {
	into = into[:0]
	for k := range g {
		into = append(into, g[k].Gram())
	}
	return into
}

func sameTypes(in []input) bool {
	for _, o := range in[1:] {
		if o.typ != in[0].typ {
			return false
		}
	}
	return true
}

func allEqual(chunks [][]byte) bool {
	for _, c := range chunks[1:] {
		if !bytes.Equal(c, chunks[0]) {
			return false
		}
	}
	return true
}

// convert fills dst with values of one operand, from byte off of the output on,
// in another type or as they are.
func (w *arithmetic) convert(ctx context.Context, dst []byte, o input, out tensor.DType, off int64) (slerp.Counts, error) {
	var counts slerp.Counts
	if o.typ == out {
		return counts, o.read(ctx, dst, off)
	}
	c := w.converter(out, o.typ)
	size := int64(out.Size())
	from := off / size
	err := w.each(ctx, []input{o}, from, from+int64(len(dst))/size, func(chunks [][]byte) {
		n := int64(len(chunks[0])) / o.size * size
		counts.Add(c.Convert(dst[:n], chunks[0]))
		dst = dst[n:]
	})
	return counts, err
}

// blend fills dst, from byte off of the output on, with part of a measured
// tensor.
func (w *arithmetic) blend(ctx context.Context, dst []byte, in []input, out tensor.DType, off int64, m mix) (slerp.Counts, error) {
	if m.equal {
		return w.convert(ctx, dst, in[0], out, off)
	}
	return w.sum(ctx, dst, in, out, off, m)
}

// sum fills dst with part of a weighted sum.
func (w *arithmetic) sum(ctx context.Context, dst []byte, in []input, out tensor.DType, off int64, m mix) (slerp.Counts, error) {
	var counts slerp.Counts
	size := int64(out.Size())
	from := off / size
	combine := w.combiner(in, out, m)
	err := w.each(ctx, in, from, from+int64(len(dst))/size, func(chunks [][]byte) {
		n := int64(len(chunks[0])) / in[0].size * size
		counts.Add(combine(dst[:n], chunks))
		dst = dst[n:]
	})
	return counts, err
}

// A combiner makes output of operands, or of chunks of them.
type combiner func(dst []byte, chunks [][]byte) slerp.Counts

// combiner returns the function that sums operands.
// Two whose rounding is spherical have kernels of their own.
func (w *arithmetic) combiner(in []input, out tensor.DType, m mix) combiner {
	if m.paired && len(in) == 2 {
		k := w.blender(out, in[0].typ, in[1].typ)
		return func(dst []byte, chunks [][]byte) slerp.Counts {
			return k.Blend(dst, chunks[0], chunks[1], m.weights[0], m.weights[1])
		}
	}
	types := make([]tensor.DType, len(in))
	for k := range in {
		types[k] = in[k].typ
	}
	k := slerp.NewWeightedSum(out, types)
	return func(dst []byte, chunks [][]byte) slerp.Counts { return k.Sum(dst, chunks, m.weights, m.divisor) }
}

func (w *arithmetic) innerProducts(a, b tensor.DType) *slerp.InnerProducts {
	k := [2]tensor.DType{a, b}
	if w.products[k] == nil {
		w.products[k] = slerp.NewInnerProducts(a, b)
	}
	return w.products[k]
}

func (w *arithmetic) blender(out, a, b tensor.DType) *slerp.Blender {
	k := [3]tensor.DType{out, a, b}
	if w.blenders[k] == nil {
		w.blenders[k] = slerp.NewBlender(out, a, b)
	}
	return w.blenders[k]
}

func (w *arithmetic) converter(out, in tensor.DType) *slerp.Converter {
	k := [2]tensor.DType{out, in}
	if w.converts[k] == nil {
		w.converts[k] = slerp.NewConverter(out, in)
	}
	return w.converts[k]
}
