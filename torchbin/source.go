package torchbin

import (
	"slices"

	"slerpmerge/internal/tensor"
)

// window is the most bytes of a file that a strided tensor is read through at
// once.
const window = 256 << 10

// Source gives the values of Tensors[i], read from f. Tensors that lie
// row-major in the file are read from there without a detour. Others are put
// in order window by window. Where many elements apart in the file are next to
// each other in the result, as in a transposed matrix, more is gathered than
// was asked for and kept for the requests that follow, see Gatherer.
func (c *Checkpoint) Source(f File, i int) Source {
	t := &c.Tensors[i]
	if t.Strides == nil {
		return tensor.NewSection(f, t.Offset)
	}
	g := newGather(f, t)
	g.bands = c.gatherer().bands
	return g
}

// A dim is one dimension of a block of elements, its strides in bytes.
type dim struct {
	n   int64
	in  int64 // in the file
	out int64 // in the row-major result
}

// A gather is a tensor whose elements lie in another order in the file.
type gather struct {
	file   File
	tensor *Tensor
	base   int64
	item   int64
	dims   []dim // those of more than one element, outermost first
	// scattered says that it can't be read at once.
	scattered bool
	bands     *bands
}

func newGather(f File, t *Tensor) *gather {
	g := &gather{file: f, tensor: t, base: t.Offset, item: itemSize(t.DType)}
	shape := t.Shape
	if t.stored != nil {
		shape = t.stored
	}
	out := g.item
	for i := len(shape) - 1; i >= 0; i-- {
		n, in := int64(shape[i]), int64(t.Strides[i])
		if n == 1 {
			continue
		}
		// Dimensions that go on where the one inside them ends are one.
		if k := len(g.dims); k > 0 && in == g.dims[k-1].in*g.dims[k-1].n {
			g.dims[k-1].n *= n
		} else {
			g.dims = append(g.dims, dim{n, in, out})
		}
		out *= n
	}
	slices.Reverse(g.dims)
	g.scattered = g.extent() > window
	return g
}

// size returns the size of the result.
func (g *gather) size() int64 {
	if len(g.dims) == 0 {
		return g.item
	}
	return g.dims[0].n * g.dims[0].out
}

// rows returns the size of those rows of the result that share the places to be
// read, so that it pays to gather many of them together, of limit bytes at most:
// rows of the outermost dimension that lies narrower in the file than one inside
// it, and of which two are not too many. It is 0 if there is none, and the
// elements come in order anyway.
func (g *gather) rows(limit int64) int64 {
	if !g.scattered {
		return 0
	}
	for i, d := range g.dims {
		if d.out <= limit/2 && slices.ContainsFunc(g.dims[i+1:], func(inner dim) bool { return inner.in > d.in }) {
			return d.out
		}
	}
	return 0
}

// extent returns the size of what the elements lie in, in the file.
func (g *gather) extent() int64 {
	extent := g.item
	for _, d := range g.dims {
		extent += (d.n - 1) * d.in
	}
	return extent
}

// Prefetch hints at the extent of the rows asked for, if that is not much more
// than what is needed of it.
func (g *gather) Prefetch(off, n int64) {
	if len(g.dims) == 0 || n <= 0 {
		return
	}
	d := g.dims[0]
	first, last := off/d.out, min((off+n-1)/d.out, d.n-1)
	span := (last-first)*d.in + g.item
	for _, d := range g.dims[1:] {
		span += (d.n - 1) * d.in
	}
	if span/4 <= n+window {
		g.file.Prefetch(g.base+first*d.in, span)
	}
}

// ReadAt gives the bytes [off, off+len(p)) of the result.
func (g *gather) ReadAt(p []byte, off int64) error {
	if g.scattered {
		n := g.bands.read(g, p, off)
		p, off = p[n:], off+int64(n)
	}
	return g.direct(p, off)
}

// direct gathers the elements of [off, off+len(p)).
func (g *gather) direct(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	w := g.bands.windows.Get().(*[window]byte)
	defer g.bands.windows.Put(w)
	// The first and the last element may be asked for in part.
	if part := off % g.item; part != 0 || int64(len(p)) < g.item {
		var one [16]byte
		if err := g.read(one[:g.item], off-part, w); err != nil {
			return err
		}
		n := copy(p, one[part:g.item])
		p, off = p[n:], off+int64(n)
		if len(p) == 0 {
			return nil
		}
	}
	whole := int64(len(p)) / g.item * g.item
	if err := g.read(p[:whole], off, w); err != nil {
		return err
	}
	if rest := p[whole:]; len(rest) > 0 {
		var one [16]byte
		if err := g.read(one[:g.item], off+whole, w); err != nil {
			return err
		}
		copy(rest, one[:])
	}
	return nil
}
