package merge

import (
	"bytes"
	"hash/crc32"

	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// chunkBytes is how much of one parent is read at a time: both parents' chunks
// and the output's stay in a second-level cache of 512 KiB.
const chunkBytes = 128 << 10

// A worker fills pieces and measures blocks. hold is its only large buffer: a
// pair that fits is kept there between measuring and blending, for others it
// serves chunk by chunk.
type worker struct {
	e        *engine
	hold     []byte
	products map[[2]tensor.DType]*slerp.InnerProducts
	blenders map[[3]tensor.DType]*slerp.Blender
	converts map[[2]tensor.DType]*slerp.Converter
}

func newWorker(e *engine) *worker {
	return &worker{
		e:        e,
		hold:     make([]byte, max(e.budget.Hold, 2*chunkBytes)),
		products: map[[2]tensor.DType]*slerp.InnerProducts{},
		blenders: map[[3]tensor.DType]*slerp.Blender{},
		converts: map[[2]tensor.DType]*slerp.Converter{},
	}
}

func (w *worker) run() {
	for {
		t, ok := w.e.take()
		if !ok {
			return
		}
		if t.piece != nil {
			if err := w.fill(t.piece); err != nil {
				w.e.fail(err)
				return
			}
			w.e.filled(t.piece)
			continue
		}
		s, err := w.measure(t)
		if err != nil {
			w.e.fail(err)
			return
		}
		w.e.measured(t.tensor, t.block, s)
	}
}

// measure sums one block of a large pair.
func (w *worker) measure(t task) (slerp.Gram, error) {
	sums, same, err := w.sumBlock(&w.e.tensors[t.tensor], w.e.inputs(t.tensor, true), t.block, !t.sums.differ.Load())
	if !same {
		t.sums.differ.Store(true)
	}
	return sums, err
}

// sumBlock sums one block of a pair. If it is to look, it also tells whether
// the parents have the same bytes there.
func (w *worker) sumBlock(t *plan.Tensor, in []input, block int, look bool) (sums slerp.Gram, same bool, err error) {
	a, b := in[0], in[1]
	products := w.innerProducts(a.typ, b.typ)
	products.Reset()
	same = look && a.typ == b.typ
	err = w.eachChunk(t, in, block, func(ca, cb []byte) {
		same = same && bytes.Equal(ca, cb)
		products.Add(ca, cb)
	})
	return products.Gram(), same, err
}

// eachChunk reads one block of a pair chunk by chunk.
func (w *worker) eachChunk(t *plan.Tensor, in []input, block int, do func(ca, cb []byte)) error {
	a, b := in[0], in[1]
	from := int64(block) * slerp.BlockElems
	to := min(from+slerp.BlockElems, t.BlendElems())
	step := chunkElems(a, b)
	for at := from; at < to; at += step {
		n := min(step, to-at)
		ca := w.hold[:n*a.size]
		cb := w.hold[chunkBytes:][:n*b.size]
		if err := a.read(ca, at*a.size); err != nil {
			return err
		}
		if err := b.read(cb, at*b.size); err != nil {
			return err
		}
		do(ca, cb)
	}
	return nil
}

// chunkElems is how many elements of a pair are handled at a time: a multiple
// of 8, as the lanes want it.
func chunkElems(a, b input) int64 { return chunkBytes / max(a.size, b.size) }

// fill computes a piece.
func (w *worker) fill(p *piece) error {
	if p.from = w.e.copier(p); p.from != nil {
		return nil
	}
	for k := range p.segs {
		if err := w.e.stopped(); err != nil {
			return err
		}
		s := p.segs[k]
		dst := p.buf[s.at:][:s.len]
		t := &w.e.tensors[s.tensor]
		in := w.e.inputs(s.tensor, s.len < t.Bytes() || w.e.large[s.tensor])
		var counts slerp.Counts
		var err error
		switch t.Action {
		case plan.Copy:
			err = in[0].read(dst, s.off)
		case plan.Convert:
			counts, err = w.convert(dst, in[0], t.DType, s.off)
		case plan.Follow:
			err = w.follow(dst, in, s)
		case plan.Linear:
			if counts, err = w.add(dst, in, s); err == nil && counts.NonFinite > 0 {
				err = w.e.notFinite(s.tensor)
			}
		case plan.Slerp:
			if w.e.large[s.tensor] {
				counts, err = w.blendAndTail(dst, in, s)
			} else {
				counts, err = w.once(dst, in, s.tensor)
			}
		}
		if err != nil {
			return err
		}
		p.segs[k].counts = counts
		if w.e.sums { // here, where it is in the cache, and not on the writer's time
			p.sums = append(p.sums, crc32.ChecksumIEEE(dst))
		}
	}
	return nil
}

// convert fills dst with values of one tensor in another type.
func (w *worker) convert(dst []byte, o input, out tensor.DType, off int64) (slerp.Counts, error) {
	var counts slerp.Counts
	c := w.converter(out, o.typ)
	size := int64(out.Size())
	at := off / size
	for len(dst) > 0 {
		n := min(chunkBytes/o.size, int64(len(dst))/size)
		src := w.hold[:n*o.size]
		if err := o.read(src, at*o.size); err != nil {
			return counts, err
		}
		counts.Add(c.Convert(dst[:n*size], src))
		dst, at = dst[n*size:], at+n
	}
	return counts, nil
}

// follow copies the primary's values and looks whether the secondary's differ.
func (w *worker) follow(dst []byte, in []input, s segment) error {
	a, b := in[0], in[1]
	if err := a.read(dst, s.off); err != nil {
		return err
	}
	for at := 0; at < len(dst) && !w.e.differs(s.tensor); at += chunkBytes {
		cb := w.hold[:min(chunkBytes, len(dst)-at)]
		if err := b.read(cb, s.off+int64(at)); err != nil {
			return err
		}
		if !bytes.Equal(cb, dst[at:][:len(cb)]) {
			w.e.markDiffers(s.tensor)
		}
	}
	return nil
}

// add fills dst with part of a weighted sum.
func (w *worker) add(dst []byte, in []input, s segment) (slerp.Counts, error) {
	t := &w.e.tensors[s.tensor]
	var counts slerp.Counts
	terms := t.Terms()
	types := make([]tensor.DType, len(terms))
	weights := make([]float64, len(terms))
	width := int64(0) // bytes of one element of all terms
	for i, term := range terms {
		types[i], weights[i] = in[i].typ, term.Weight
		width += in[i].size
	}
	weighted := slerp.NewWeightedSum(t.DType, types)
	size := int64(t.DType.Size())
	step := max(1, 2*chunkBytes/width)
	chunks := make([][]byte, len(in))
	for at := s.off / size; len(dst) > 0; {
		n := min(step, int64(len(dst))/size)
		room := w.hold
		for i, o := range in {
			chunks[i], room = room[:n*o.size], room[n*o.size:]
			if err := o.read(chunks[i], at*o.size); err != nil {
				return counts, err
			}
		}
		counts.Add(weighted.Sum(dst[:n*size], chunks, weights, t.Sum.Divisor))
		dst, at = dst[n*size:], at+n
	}
	return counts, nil
}

// blendAndTail is blend where the last rows may be one parent's.
func (w *worker) blendAndTail(dst []byte, in []input, s segment) (slerp.Counts, error) {
	t := &w.e.tensors[s.tensor]
	blended := t.BlendElems() * int64(t.DType.Size())
	if s.off+s.len <= blended {
		return w.blend(dst, in, s)
	}
	var counts slerp.Counts
	if n := blended - s.off; n > 0 {
		var err error
		if counts, err = w.blend(dst[:n], in, segment{tensor: s.tensor, off: s.off, len: n, mix: s.mix}); err != nil {
			return counts, err
		}
		dst, s.off = dst[n:], blended
	}
	more, err := w.convert(dst, tail(t, in), t.DType, s.off)
	counts.Add(more)
	return counts, err
}

// blend fills dst with part of a large pair, which is measured.
func (w *worker) blend(dst []byte, in []input, s segment) (slerp.Counts, error) {
	t := &w.e.tensors[s.tensor]
	mix := s.mix
	a, b := in[0], in[1]
	if mix.equal {
		if a.typ == t.DType {
			return slerp.Counts{}, a.read(dst, s.off)
		}
		return w.convert(dst, a, t.DType, s.off)
	}
	var counts slerp.Counts
	k := w.blender(t.DType, a.typ, b.typ)
	size := int64(t.DType.Size())
	step := chunkElems(a, b)
	for at := s.off / size; len(dst) > 0; {
		n := min(step, int64(len(dst))/size)
		ca := w.hold[:n*a.size]
		cb := w.hold[chunkBytes:][:n*b.size]
		if err := a.read(ca, at*a.size); err != nil {
			return counts, err
		}
		if err := b.read(cb, at*b.size); err != nil {
			return counts, err
		}
		counts.Add(k.Blend(dst[:n*size], ca, cb, mix.s0, mix.s1))
		dst, at = dst[n*size:], at+n
	}
	return counts, nil
}

// once measures and blends a pair that fits the hold buffer: each parent is
// read one time.
func (w *worker) once(dst []byte, in []input, i int) (slerp.Counts, error) {
	t := &w.e.tensors[i]
	a, b := in[0], in[1]
	n := t.Elems()
	ha := w.hold[:n*a.size]
	hb := w.hold[n*a.size:][:n*b.size]
	products := w.innerProducts(a.typ, b.typ)
	equal := a.typ == b.typ
	var sum slerp.Gram
	step := chunkElems(a, b)
	for from := int64(0); from < n; from += slerp.BlockElems {
		products.Reset()
		to := min(from+slerp.BlockElems, n)
		for at := from; at < to; at += step {
			m := min(step, to-at)
			ca, cb := ha[at*a.size:][:m*a.size], hb[at*b.size:][:m*b.size]
			if err := a.read(ca, at*a.size); err != nil {
				return slerp.Counts{}, err
			}
			if err := b.read(cb, at*b.size); err != nil {
				return slerp.Counts{}, err
			}
			equal = equal && bytes.Equal(ca, cb)
			products.Add(ca, cb)
		}
		sum = sum.Plus(products.Gram())
	}
	w.e.mu.Lock() // a checkpoint reads the results
	mix, err := w.e.decide(i, sum, equal)
	w.e.mu.Unlock()
	switch {
	case err != nil:
		return slerp.Counts{}, err
	case !mix.equal:
		return w.blender(t.DType, a.typ, b.typ).Blend(dst, ha, hb, mix.s0, mix.s1), nil
	case a.typ == t.DType:
		copy(dst, ha)
		return slerp.Counts{}, nil
	}
	return w.converter(t.DType, a.typ).Convert(dst, ha), nil
}

func (w *worker) innerProducts(a, b tensor.DType) *slerp.InnerProducts {
	k := [2]tensor.DType{a, b}
	if w.products[k] == nil {
		w.products[k] = slerp.NewInnerProducts(a, b)
	}
	return w.products[k]
}

func (w *worker) blender(out, a, b tensor.DType) *slerp.Blender {
	k := [3]tensor.DType{out, a, b}
	if w.blenders[k] == nil {
		w.blenders[k] = slerp.NewBlender(out, a, b)
	}
	return w.blenders[k]
}

func (w *worker) converter(out, in tensor.DType) *slerp.Converter {
	k := [2]tensor.DType{out, in}
	if w.converts[k] == nil {
		w.converts[k] = slerp.NewConverter(out, in)
	}
	return w.converts[k]
}
