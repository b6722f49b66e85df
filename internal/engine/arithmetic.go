package engine

import (
	"bytes"
	"context"
	"slices"

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

// each shows elements from to to of all operands, step of them at a time.
func (w *arithmetic) each(ctx context.Context, in []input, from, to, step int64, do func(chunks [][]byte)) error {
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
	products := w.gram(t, in)
	same = look && sameTypes(in)
	from := int64(block) * slerp.BlockElems
	err = w.each(ctx, in, from, min(from+slerp.BlockElems, t.BlendElems()), chunkElems(in), func(chunks [][]byte) {
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
	err := w.each(ctx, in, from, min(from+slerp.BlockElems, t.BlendElems()), chunkElems(in), func(chunks [][]byte) { d.Add(chunks[0], chunks[1]) })
	return d.Squared(), err
}

// A gramMeter measures one block of operands: the sums of each pair, in row order.
type gramMeter interface {
	Reset()
	add(chunks [][]byte)
	// sums are put into the Gram matrix that is given.
	sums(into method.Gram) method.Gram
}

// A pairMeter measures two operands.
type pairMeter struct{ *slerp.InnerProducts }

func (m pairMeter) add(chunks [][]byte)               { m.Add(chunks[0], chunks[1]) }
func (m pairMeter) sums(into method.Gram) method.Gram { return append(into[:0], m.Gram()) }

// A groupMeter measures any number, or their differences from a base.
type groupMeter struct{ *slerp.Products }

func (m groupMeter) add(chunks [][]byte)               { m.Add(chunks) }
func (m groupMeter) sums(into method.Gram) method.Gram { return m.Grams(into[:0]) }

// gram returns a meter for one block. It serves again and again.
func (w *arithmetic) gram(t *plan.Tensor, in []input) gramMeter {
	base := method.BaseOf(t.Op)
	if len(in) == 2 && base < 0 {
		m := w.innerProducts(in[0].typ, in[1].typ)
		m.Reset()
		return m
	}
	if !w.group.serves(in, base) {
		w.group = newGroup(in, base)
	}
	w.group.meter.Reset()
	return w.group.meter
}

// A group is the meter of the operands that were measured last, which as a rule
// have the types of the next.
type group struct {
	types []tensor.DType
	base  int
	meter groupMeter
}

func newGroup(in []input, base int) group {
	types := typesOf(in)
	return group{types, base, groupMeter{slerp.NewProducts(types, base)}}
}

func (g *group) serves(in []input, base int) bool {
	return g.base == base && slices.EqualFunc(g.types, in, func(t tensor.DType, o input) bool { return t == o.typ })
}

func typesOf(in []input) []tensor.DType {
	types := make([]tensor.DType, len(in))
	for k := range in {
		types[k] = in[k].typ
	}
	return types
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
	in := []input{o}
	err := w.each(ctx, in, from, from+int64(len(dst))/size, chunkElems(in), func(chunks [][]byte) {
		n := int64(len(chunks[0])) / o.size * size
		counts.Add(c.Convert(dst[:n], chunks[0]))
		dst = dst[n:]
	})
	return counts, err
}

// blend fills dst, from byte off of the output on, with part of a measured
// tensor.
func (w *arithmetic) blend(ctx context.Context, dst []byte, in []input, out tensor.DType, off int64, m mix) (slerp.Counts, error) {
	switch {
	case m.equal:
		return w.convert(ctx, dst, in[0], out, off)
	}
	return w.sum(ctx, dst, in, out, off, m)
}

// sum fills dst with part of a weighted sum. What has no weight is not read.
func (w *arithmetic) sum(ctx context.Context, dst []byte, in []input, out tensor.DType, off int64, m mix) (slerp.Counts, error) {
	var counts slerp.Counts
	if used := m.used(); len(used) < len(in) {
		m.weights = pick(m.weights, used)
		in = pick(in, used)
	}
	if m.sole() {
		return w.convert(ctx, dst, in[0], out, off)
	}
	size := int64(out.Size())
	from := off / size
	combine := w.combiner(in, out, m)
	err := w.each(ctx, in, from, from+int64(len(dst))/size, chunkElems(in), func(chunks [][]byte) {
		n := int64(len(chunks[0])) / in[0].size * size
		counts.Add(combine(dst[:n], chunks))
		dst = dst[n:]
	})
	return counts, err
}

// A weighted is the kernel of the sum that was made last.
type weighted struct {
	out   tensor.DType
	types []tensor.DType
	sum   *slerp.WeightedSum
}

func (w *arithmetic) weightedSum(out tensor.DType, in []input) *slerp.WeightedSum {
	k := &w.weighted
	if k.sum == nil || k.out != out || !slices.EqualFunc(k.types, in, func(t tensor.DType, o input) bool { return t == o.typ }) {
		types := typesOf(in)
		*k = weighted{out, types, slerp.NewWeightedSum(out, types)}
	}
	return k.sum
}

// used lists the operands that have a weight; if none has, the first.
func (m *mix) used() []int {
	var used []int
	for k, w := range m.weights {
		if w != 0 || m.paired {
			used = append(used, k)
		}
	}
	if used == nil {
		used = []int{0}
	}
	return used
}

// sole reports whether the sum is its only operand as it is.
func (m *mix) sole() bool { return len(m.weights) == 1 && m.weights[0] == m.divisor }

// pick returns the elements of list at the indexes.
func pick[T any](list []T, indexes []int) []T {
	out := make([]T, len(indexes))
	for i, k := range indexes {
		out[i] = list[k]
	}
	return out
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
	used := m.used()
	if len(used) == len(in) {
		if m.sole() {
			c := w.converter(out, in[0].typ)
			return func(dst []byte, chunks [][]byte) slerp.Counts { return c.Convert(dst, chunks[0]) }
		}
		k := w.weightedSum(out, in)
		return func(dst []byte, chunks [][]byte) slerp.Counts { return k.Sum(dst, chunks, m.weights, m.divisor) }
	}
	m.weights = pick(m.weights, used)
	combine := w.combiner(pick(in, used), out, m)
	own := make([][]byte, len(used))
	return func(dst []byte, chunks [][]byte) slerp.Counts {
		for i, k := range used {
			own[i] = chunks[k]
		}
		return combine(dst, own)
	}
}

func (w *arithmetic) innerProducts(a, b tensor.DType) gramMeter {
	k := [2]tensor.DType{a, b}
	if w.products[k] == nil {
		w.products[k] = pairMeter{slerp.NewInnerProducts(a, b)}
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
