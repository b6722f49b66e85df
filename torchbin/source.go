package torchbin

import (
	"errors"
	"math/bits"
	"os"
	"slices"
	"sync"
	"time"

	"slerpmerge/internal/tensor"
)

// window is the most bytes of a file that a strided tensor is read through at
// once.
const window = 256 << 10

var windows = sync.Pool{New: func() any { return new([window]byte) }}

// Source gives the values of Tensors[i], read from f. Tensors that lie
// row-major in the file are read from there without a detour. Others are put
// in order window by window. Where many elements apart in the file are next to
// each other in the result, as in a transposed matrix, more is gathered than
// was asked for and kept for the requests that follow, see GatherMemory.
func (c *Checkpoint) Source(f File, i int) tensor.Source {
	t := &c.Tensors[i]
	if t.Strides == nil {
		return &section{file: f, base: t.Offset}
	}
	return newGather(f, t)
}

// A section is a tensor that lies in its file as it is.
type section struct {
	file File
	base int64
}

func (s *section) ReadAt(p []byte, off int64) error { return readFull(s.file, p, s.base+off) }

func (s *section) Prefetch(off, n int64) { s.file.Prefetch(s.base+off, n) }

// Drop is a hint for files that can use it.
func (s *section) Drop(off, n int64) {
	if d, ok := s.file.(tensor.Dropper); ok {
		d.Drop(s.base+off, n)
	}
}

// CopyTo is for files that can.
func (s *section) CopyTo(dst *os.File, at, off, n int64) error {
	if c, ok := s.file.(tensor.Copier); ok {
		return c.CopyTo(dst, at, s.base+off, n)
	}
	return errors.ErrUnsupported
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
	row    int64 // see shared
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
	g.row = g.shared()
	return g
}

// size is the size of the result.
func (g *gather) size() int64 {
	if len(g.dims) == 0 {
		return g.item
	}
	return g.dims[0].n * g.dims[0].out
}

// shared returns the size of those rows of the result that share the places
// to be read, so that it pays to gather many of them together: rows of the
// outermost dimension that lies narrower in the file than one inside it. It is 0
// if there is none, and the elements come in order anyway.
func (g *gather) shared() int64 {
	extent := g.item
	for _, d := range g.dims {
		extent += (d.n - 1) * d.in
	}
	if extent <= window {
		return 0 // read at once
	}
	for i, d := range g.dims {
		if slices.ContainsFunc(g.dims[i+1:], func(inner dim) bool { return inner.in > d.in }) {
			return d.out
		}
	}
	return 0
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
	if g.row > 0 && len(p) < maxBand {
		n := kept.read(g, p, off)
		p, off = p[n:], off+int64(n)
	}
	return g.direct(p, off)
}

// direct gathers the elements of [off, off+len(p)).
func (g *gather) direct(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	w := windows.Get().(*[window]byte)
	defer windows.Put(w)
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

// read gathers whole elements. It cuts the range into blocks: so many steps of
// one dimension, and all of the dimensions inside it.
func (g *gather) read(p []byte, off int64, w *[window]byte) error {
	for len(p) > 0 {
		// the outermost dimension of which whole steps begin here and fit
		in, rest := g.base, off
		k, n := len(g.dims), int64(1)
		for i, d := range g.dims {
			at := rest / d.out
			rest -= at * d.out
			in += at * d.in
			if rest == 0 && int64(len(p)) >= d.out {
				k, n = i, min(d.n-at, int64(len(p))/d.out)
				break
			}
		}
		block := make([]dim, 0, 8)
		size := g.item
		if k < len(g.dims) {
			size = n * g.dims[k].out
			block = append(block, dim{n, g.dims[k].in, g.dims[k].out})
			block = append(block, g.dims[k+1:]...)
		}
		sortDims(block)
		if err := g.block(p[:size], in, block, w[:]); err != nil {
			return err
		}
		p, off = p[size:], off+size
	}
	return nil
}

// sortDims sorts by the stride in the file, widest first.
func sortDims(dims []dim) {
	for i := 1; i < len(dims); i++ {
		for j := i; j > 0 && dims[j].in > dims[j-1].in; j-- {
			dims[j], dims[j-1] = dims[j-1], dims[j]
		}
	}
}

// block gathers a block. Its inner dimensions, those with the narrowest
// strides, make up a run, which is read at once, as far as dense finds that
// worth it. The window takes as many runs of the next dimension as fit, the
// others are stepped through.
func (g *gather) block(out []byte, in int64, dims []dim, w []byte) error {
	run, use := g.item, g.item
	k := len(dims)
	for ; k > 0; k-- {
		d := dims[k-1]
		hi, more := bits.Mul64(uint64(d.n-1), uint64(d.in))
		if hi != 0 || more > uint64(len(w))-uint64(run) || !dense(run+int64(more), use*max(1, d.n), d.in) {
			break
		}
		run += int64(more)
		if d.in != 0 {
			use *= d.n
		}
	}
	if k == 0 {
		if err := readFull(g.file, w[:run], in); err != nil {
			return err
		}
		scatter(out, w, forWrites(dims), g.item)
		return nil
	}
	d := dims[k-1]
	together := dense(d.in, use, d.in) // the gaps are read, too
	pitch := run
	if together {
		pitch = d.in
	}
	steps := min(d.n, (int64(len(w))-run)/pitch+1)
	part := forWrites(append([]dim{{steps, pitch, d.out}}, dims[k:]...))
	last := forWrites(append([]dim{{(d.n-1)%steps + 1, pitch, d.out}}, dims[k:]...))
	cold := false
	return g.walk(dims[:k-1], out, in, func(out []byte, in int64) error {
		for i := int64(0); i < d.n; i += steps {
			n, dims := steps, part
			if i+steps >= d.n {
				n, dims = d.n-i, last
			}
			if together {
				size := run + (n-1)*pitch
				if err := g.pieces(w[:size], in+i*d.in, 0, size); err != nil {
					return err
				}
			} else {
				// Every band needs a little of every page. So the first one has
				// all of them read in their order rather than one by one.
				if cold {
					g.file.Prefetch(in+i*d.in, (n-1)*d.in+run)
				}
				start := time.Now()
				if err := g.pieces(w[:n*run], in+i*d.in, d.in, run); err != nil {
					return err
				}
				cold = time.Since(start) > time.Duration(n)*slowPiece
			}
			scatter(out[i*d.out:], w, dims, g.item)
		}
		return nil
	})
}

// pieces reads pieces of size bytes that lie step bytes apart.
func (g *gather) pieces(w []byte, in, step, size int64) error {
	if f, ok := g.file.(strided); ok && size <= maxPiece {
		return f.ReadStrided(w, in, step, int(size))
	}
	for ; len(w) > 0; in += step {
		if err := readFull(g.file, w[:size], in); err != nil {
			return err
		}
		w = w[size:]
	}
	return nil
}

// A strided file has a way of its own to read many short pieces.
type strided interface {
	ReadStrided(p []byte, off, step int64, size int) error
}

// slowPiece is longer than a piece takes that is in the page cache.
const slowPiece = 20 * time.Microsecond

// maxPiece is the longest piece that is read so.
const maxPiece = window

// dense reports whether a span is worth reading for the sake of use bytes: if
// no more than four times as much is read, or if the steps are so short that
// copying everything costs less than a call for each, and that every page is
// touched in any case.
func dense(span, use, step int64) bool { return span/4 <= use || step <= 4096 }

// walk steps through the outer dimensions of a block.
func (g *gather) walk(dims []dim, out []byte, in int64, do func(out []byte, in int64) error) error {
	if len(dims) == 0 {
		return do(out, in)
	}
	for i := range dims[0].n {
		if err := g.walk(dims[1:], out[i*dims[0].out:], in+i*dims[0].in, do); err != nil {
			return err
		}
	}
	return nil
}
