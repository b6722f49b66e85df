package slerp

import "math/rand/v2"

// sweepAll runs a whole sweep on operands that are in memory, as the engine does, but with
// blocks in an order of its own, chunks of at most chunk elements (a multiple of 8), and
// goroutines' scratch that is used again.
func sweepAll(s Sweep, o Operands, x [][]byte, chunk int64, rng *rand.Rand) (dst []byte, counts Counts) {
	scratch := []*Scratch{{}, {}}
	if g, ok := s.(Grained); ok {
		chunk = max(1, chunk/g.Grain()) * g.Grain()
	}
	cut := func(at, n int64) [][]byte {
		var chunks [][]byte
		for k, d := range o.In {
			size := int64(d.Size())
			chunks = append(chunks, x[k][at*size:][:n*size])
		}
		return chunks
	}
	for n := s.Pass(); n > 0; n = s.Pass() {
		for _, block := range rng.Perm(n) {
			r := s.Region(block)
			m := s.Meter(scratch[rng.IntN(2)], block)
			for k := range r.Count {
				from := r.From + k*r.Stride
				for at := from; at < from+r.Len; at += chunk {
					m.Add(cut(at, min(chunk, from+r.Len-at)), at)
				}
			}
			s.Take(block, m)
		}
	}
	n, size := o.Elems(), int64(o.Out.Size())
	dst = make([]byte, n*size)
	var at []int64
	for from := int64(0); from < n; from += chunk {
		at = append(at, from)
	}
	rng.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
	for _, from := range at {
		m := min(chunk, n-from)
		counts.Add(s.Mixer(scratch[rng.IntN(2)]).Mix(dst[from*size:][:m*size], cut(from, m), from))
	}
	return dst, counts
}
