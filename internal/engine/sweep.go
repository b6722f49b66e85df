package engine

import (
	"context"

	"slerpmerge/slerp"
)

// region shows the elements of a region of all operands, chunk by chunk. at is the
// index of the first. If it is to look, it also reports whether all operands
// have the same bytes there.
func (w *arithmetic) region(ctx context.Context, in []input, r slerp.Region, look bool, do func(chunks [][]byte, at int64)) (same bool, err error) {
	same = look && sameTypes(in)
	for k := range r.Count {
		at := r.From + k*r.Stride
		err := w.each(ctx, in, at, at+r.Len, chunkElems(in), func(chunks [][]byte) {
			same = same && allEqual(chunks)
			do(chunks, at)
			at += int64(len(chunks[0])) / in[0].size
		})
		if err != nil {
			return false, err
		}
	}
	return same, nil
}

// mixPart fills dst, from byte off of the output on, with part of a tensor that a
// sweep has measured.
func (w *arithmetic) mixPart(ctx context.Context, dst []byte, in []input, size, off int64, s slerp.Sweep) (counts slerp.Counts, err error) {
	mixer := s.Mixer(&w.scratch)
	from := off / size
	_, err = w.region(ctx, in, slerp.Region{From: from, Len: int64(len(dst)) / size, Count: 1}, false, func(chunks [][]byte, at int64) {
		n := int64(len(chunks[0])) / in[0].size * size
		counts.Add(mixer.Mix(dst[:n], chunks, at))
		dst = dst[n:]
	})
	return counts, err
}

// sweepOnce measures and computes a tensor whose operands fit the hold buffer, in
// as many passes as its method wants. What has to be read into a buffer is read
// one time, as in once.
func (w *worker) sweepOnce(ctx context.Context, dst []byte, in []input, v, i int) (counts slerp.Counts, err error) {
	t := &w.e.outs[v].tensors[i]
	n := t.Elems()
	same, err := w.load(ctx, in, n)
	if err != nil {
		return counts, err
	}
	s := newSweep(t)
	if !same {
		for blocks := s.Pass(); blocks > 0; blocks = s.Pass() {
			for b := range blocks {
				if err := w.e.stopped(); err != nil {
					return counts, err
				}
				m, r := s.Meter(&w.scratch, b), s.Region(b)
				for k := range r.Count {
					if err := w.again(ctx, in, r.From+k*r.Stride, r.From+k*r.Stride+r.Len, m.Add); err != nil {
						return counts, err
					}
				}
				s.Take(b, m)
			}
		}
	}
	mix, err := w.e.decideAlone(v, i, nil, s, same)
	if err != nil {
		return counts, err
	}
	if mix.equal {
		c := w.converter(t.DType, in[0].typ)
		err = w.again(ctx, in[:1], 0, n, func(chunks [][]byte, at int64) {
			size := int64(t.DType.Size())
			counts.Add(c.Convert(dst[at*size:][:int64(len(chunks[0]))/in[0].size*size], chunks[0]))
		})
		return counts, err
	}
	mixer := s.Mixer(&w.scratch)
	err = w.again(ctx, in, 0, n, func(chunks [][]byte, at int64) {
		size := int64(t.DType.Size())
		counts.Add(mixer.Mix(dst[at*size:][:int64(len(chunks[0]))/in[0].size*size], chunks, at))
	})
	if err == nil && counts.NonFinite > 0 {
		err = w.e.notFinite(v, i)
	}
	return counts, err
}

// load reads what has no views of a tensor of n elements into the hold buffer, and
// reports whether all operands have the same bytes.
func (w *worker) load(ctx context.Context, in []input, n int64) (same bool, err error) {
	w.parts(in, n)
	same = sameTypes(in)
	step := chunkElems(in)
	look := func(chunks [][]byte) {
		same = same && allEqual(chunks)
		for k, c := range chunks {
			w.held[k].there = w.held[k].there && &c[0] == &w.views.ranges[k].scratch[0]
		}
	}
	for at := int64(0); at < n; at += step {
		if err := w.show(ctx, in, at, min(step, n-at), look); err != nil {
			return false, err
		}
	}
	return same, nil
}
