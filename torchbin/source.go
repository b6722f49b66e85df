package torchbin

import (
	"math/bits"
	"sync"

	"slerpmerge/internal/tensor"
)

// window is the most bytes of a file that a strided tensor is read through at
// once.
const window = 256 << 10

var windows = sync.Pool{New: func() any { return new([window]byte) }}

// Source gives the values of Tensors[i], read from f. Tensors that lie
// row-major in the file are read from there without a detour. Others are put
// in order window by window; they are read the faster the more is asked for at
// once.
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

// A dim is one dimension of a block of elements, its strides in bytes.
type dim struct {
	n   int64
	in  int64 // in the file
	out int64 // in the row-major result
}

// A gather is a tensor whose elements lie in another order in the file.
type gather struct {
	file File
	base int64
	item int64
	dims []dim // those of more than one element, outermost first
}

func newGather(f File, t *Tensor) *gather {
	g := &gather{file: f, base: t.Offset, item: itemSize(t.DType)}
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
	for i, j := 0, len(g.dims)-1; i < j; i, j = i+1, j-1 {
		g.dims[i], g.dims[j] = g.dims[j], g.dims[i]
	}
	return g
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

// ReadAt gathers the elements of [off, off+len(p)).
func (g *gather) ReadAt(p []byte, off int64) error {
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
// strides, are read through one window as long as dense finds that worth it;
// the others are stepped through.
func (g *gather) block(out []byte, in int64, dims []dim, w []byte) error {
	span, use := g.item, g.item
	k := len(dims)
	for ; k > 0; k-- {
		d := dims[k-1]
		hi, more := bits.Mul64(uint64(d.n-1), uint64(d.in))
		if hi != 0 || more > uint64(len(w))-uint64(span) || !dense(span+int64(more), use*max(1, d.n), d.in) {
			break
		}
		span += int64(more)
		if d.in != 0 {
			use *= d.n
		}
	}
	if k == 0 {
		if err := readFull(g.file, w[:span], in); err != nil {
			return err
		}
		scatter(out, w, dims, g.item)
		return nil
	}
	// as many steps of the next dimension as fit a window
	d, inner := dims[k-1], dims[k:]
	steps := int64(1)
	if d.in > 0 && dense(d.in, use, d.in) {
		steps = max(1, min(d.n, (int64(len(w))-span)/d.in+1))
	}
	part := append([]dim{{steps, d.in, d.out}}, inner...)
	return g.walk(dims[:k-1], out, in, func(out []byte, in int64) error {
		for i := int64(0); i < d.n; i += steps {
			n := min(steps, d.n-i)
			part[0].n = n
			if err := readFull(g.file, w[:span+(n-1)*d.in], in+i*d.in); err != nil {
				return err
			}
			scatter(out[i*d.out:], w, part, g.item)
		}
		return nil
	})
}

// dense reports whether a span is worth reading for the sake of use bytes: if
// no more than four times as much is read, or if the steps are so short that
// copying everything costs less than a call for each.
func dense(span, use, step int64) bool { return span/4 <= use || step <= 256 }

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

// scatter puts the elements of a window in their places.
func scatter(out, w []byte, dims []dim, item int64) {
	if len(dims) == 0 {
		copy(out[:item], w)
		return
	}
	d := dims[0]
	if len(dims) > 1 {
		for i := range d.n {
			scatter(out[i*d.out:], w[i*d.in:], dims[1:], item)
		}
		return
	}
	if d.in == item && d.out == item {
		copy(out[:d.n*item], w)
		return
	}
	switch item {
	case 1:
		for i := range d.n {
			out[i*d.out] = w[i*d.in]
		}
	case 2:
		for i := range d.n {
			*(*[2]byte)(out[i*d.out:]) = [2]byte(w[i*d.in:])
		}
	case 4:
		for i := range d.n {
			*(*[4]byte)(out[i*d.out:]) = [4]byte(w[i*d.in:])
		}
	default:
		for i := range d.n {
			*(*[8]byte)(out[i*d.out:]) = [8]byte(w[i*d.in:])
		}
	}
}
