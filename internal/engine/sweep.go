package engine

import (
	"context"
	"slices"

	"slerpmerge/internal/plan"
	"slerpmerge/slerp"
)

// region shows the elements of a region of all operands, chunk by chunk. at is the
// index of the first. If it is to look, it also reports whether all operands
// have the same bytes there.
func (w *arithmetic) region(ctx context.Context, in []input, r slerp.Region, grain int64, look bool, do func(chunks [][]byte, at int64)) (same bool, err error) {
	same = look && sameTypes(in)
	for k := range r.Count {
		at := r.From + k*r.Stride
		err := w.each(ctx, in, at, at+r.Len, grainStep(in, grain), func(chunks [][]byte) {
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

// mixRange computes elements from to to of a tensor that a sweep has measured. place
// returns the room for the next n bytes of the output, and done is called once they are there.
// Grains that lie in the range with a part alone are computed whole; each is counted where it
// begins.
func (w *arithmetic) mixRange(ctx context.Context, t *plan.Tensor, in []input, from, to int64, s slerp.Sweep,
	place func(n int64) []byte, done func(p []byte)) (counts slerp.Counts, err error) {
	mixer, size, grain := s.Mixer(&w.scratch), int64(t.DType.Size()), grainOf(s)
	at, begins := from/grain*grain, true
	mix := func(chunks [][]byte) {
		n := int64(len(chunks[0])) / in[0].size
		low, high := max(at, from), min(at+n, to)
		dst := place((high - low) * size)
		var c slerp.Counts
		if high-low == n {
			c = mixer.Mix(dst, chunks, at)
		} else {
			w.edge = slices.Grow(w.edge[:0], int(n*size))[:n*size]
			c = mixer.Mix(w.edge, chunks, at)
			copy(dst, w.edge[(low-at)*size:])
		}
		if begins {
			counts.Add(c)
		}
		done(dst)
		at += n
	}
	end := min((to+grain-1)/grain*grain, t.Elems())
	if at < from {
		begins = false
		if err := w.each(ctx, in, at, min(at+grain, end), grain, mix); err != nil {
			return counts, err
		}
		begins = true
	}
	return counts, w.each(ctx, in, at, end, grainStep(in, grain), mix)
}

// grainOf returns the number of elements that a sweep wants together.
func grainOf(s slerp.Sweep) int64 {
	if g, ok := s.(slerp.Grained); ok {
		return g.Grain()
	}
	return 1
}

// grainStep is chunkElems in whole grains.
func grainStep(in []input, grain int64) int64 {
	return max(1, chunkElems(in)/grain) * grain
}

// swept fills dst with part of a large tensor that a sweep has measured.
func (w *worker) swept(ctx context.Context, dst []byte, in []input, t *plan.Tensor, s *span, v int) (err error) {
	size := int64(t.DType.Size())
	s.counts, err = w.mixRange(ctx, t, in, s.off/size, (s.off+s.len)/size, s.mix.sweep, func(n int64) (p []byte) {
		p, dst = dst[:n], dst[n:]
		return p
	}, func([]byte) {})
	if err == nil && s.counts.NonFinite > 0 {
		err = w.e.notFinite(v, s.tensor)
	}
	return err
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
	step := grainStep(in, grainOf(s))
	if !same {
		for blocks := s.Pass(); blocks > 0; blocks = s.Pass() {
			for b := range blocks {
				if err := w.e.stopped(); err != nil {
					return counts, err
				}
				m, r := s.Meter(&w.scratch, b), s.Region(b)
				for k := range r.Count {
					if err := w.again(ctx, in, r.From+k*r.Stride, r.From+k*r.Stride+r.Len, step, m.Add); err != nil {
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
		err = w.again(ctx, in[:1], 0, n, step, func(chunks [][]byte, at int64) {
			size := int64(t.DType.Size())
			counts.Add(c.Convert(dst[at*size:][:int64(len(chunks[0]))/in[0].size*size], chunks[0]))
		})
		return counts, err
	}
	mixer := s.Mixer(&w.scratch)
	err = w.again(ctx, in, 0, n, step, func(chunks [][]byte, at int64) {
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
