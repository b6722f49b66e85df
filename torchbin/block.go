package torchbin

import (
	"math/bits"
	"slices"
	"time"
)

// A block is part of a result, and the elements that it is gathered from: so
// many steps of one dimension, and all of the dimensions inside it. Its
// dimensions are sorted by the stride in the file, widest first.
type block struct {
	out  []byte
	in   int64 // in the file
	dims []dim
}

// read gathers whole elements.
func (g *gather) read(p []byte, off int64, w *[window]byte) error {
	for len(p) > 0 {
		b := g.first(p, off)
		if err := g.block(b, w[:]); err != nil {
			return err
		}
		p, off = p[len(b.out):], off+int64(len(b.out))
	}
	return nil
}

// first returns the longest block at the beginning of p, whose bytes are those of the
// result from off on.
func (g *gather) first(p []byte, off int64) block {
	// the outermost dimension of which whole steps begin here and fit
	in, rest := g.base, off
	for i, d := range g.dims {
		at := rest / d.out
		rest -= at * d.out
		in += at * d.in
		if rest == 0 && int64(len(p)) >= d.out {
			n := min(d.n-at, int64(len(p))/d.out)
			dims := append([]dim{{n, d.in, d.out}}, g.dims[i+1:]...)
			slices.SortStableFunc(dims, func(a, b dim) int { return compareWide(a.in, b.in) })
			return block{p[:n*d.out], in, dims}
		}
	}
	return block{p[:g.item], in, nil}
}

// compareWide sorts the widest first.
func compareWide(a, b int64) int {
	switch {
	case a > b:
		return -1
	case a < b:
		return 1
	}
	return 0
}

// shares are the blocks that a range is cut in for readers that work at it
// together: parts of the file one after the other, as far as that can be.
const shares = 16

// share appends the blocks of a range of whole elements, cut in shares.
func (g *gather) share(p []byte, off int64) (parts []block) {
	for len(p) > 0 {
		b := g.first(p, off)
		p, off = p[len(b.out):], off+int64(len(b.out))
		k := slices.IndexFunc(b.dims, func(d dim) bool { return d.n >= shares && d.in > 0 })
		if k < 0 || len(b.out) < window {
			parts = append(parts, b)
			continue
		}
		// Parts that begin in the middle of a line would write it twice.
		d := b.dims[k]
		step := (d.n + shares - 1) / shares
		if d.out < line {
			n := line / d.out
			step = (step + n - 1) / n * n
		}
		for i := int64(0); i < d.n; i += step {
			dims := slices.Clone(b.dims)
			dims[k].n = min(step, d.n-i)
			parts = append(parts, block{b.out[i*d.out:], b.in + i*d.in, dims})
		}
	}
	return parts
}

// block gathers a block. Its inner dimensions, those with the narrowest strides,
// make up a run, which is read at once, as far as dense finds that worth it. The
// window takes as many runs of the next dimension as fit. Where elements that are
// neighbors in the result lie further apart than that, a window is a tile: it
// takes so many steps of their dimension, and of each only some runs. The other
// dimensions are stepped through.
func (g *gather) block(b block, w []byte) error {
	dims := b.dims
	near := 0 // where elements are neighbors in the result
	for i, d := range dims {
		if d.out < dims[near].out {
			near = i
		}
	}
	run, use, room := g.item, g.item, int64(len(w))
	k := len(dims)
	if k > 0 {
		room /= min(line/g.item, dims[near].n) // whole lines of the result
	}
	for ; k > 0; k-- {
		d := dims[k-1]
		if near == k-1 {
			room = int64(len(w))
		}
		hi, more := bits.Mul64(uint64(d.n-1), uint64(d.in))
		if hi != 0 || run > room || more > uint64(room-run) || !dense(run+int64(more), use*max(1, d.n), d.in) {
			break
		}
		run += int64(more)
		if d.in != 0 {
			use *= d.n
		}
	}
	if k == 0 {
		if err := readFull(g.file, w[:run], b.in); err != nil {
			return err
		}
		scatter(b.out, w, forWrites(dims), g.item)
		return nil
	}
	d := dims[k-1]
	t := tile{g: g, d: d, run: run, pitch: run, w: w, inner: dims[k:], rows: dim{n: 1}}
	t.together = dense(d.in, use, d.in) // the gaps are read, too
	if t.together {
		t.pitch = d.in
	}
	outer := dims[:k-1]
	if near < k-1 {
		t.rows = dims[near]
		outer = slices.Concat(dims[:near], dims[near+1:k-1])
	}
	t.steps = min(d.n, (room-run)/t.pitch+1)
	t.high = min(t.rows.n, int64(len(w))/t.width())
	return walk(outer, b.out, b.in, t.gather)
}

// A tile is a window of high times steps runs.
type tile struct {
	g           *gather
	rows, d     dim // rows has one step where there is no such dimension
	inner       []dim
	run, pitch  int64
	together    bool // the runs of a row are read at once
	high, steps int64
	w           []byte
	cold        bool
}

// width returns the elements of the window that a row takes.
func (t *tile) width() int64 { return (t.steps-1)*t.pitch + t.run }

// gather does all tiles of both dimensions.
func (t *tile) gather(out []byte, in int64) error {
	for j := int64(0); j < t.rows.n; j += t.high {
		high := min(t.high, t.rows.n-j)
		for i := int64(0); i < t.d.n; i += t.steps {
			n := min(t.steps, t.d.n-i)
			for row := range high {
				if err := t.read(t.w[row*t.width():], in+(j+row)*t.rows.in+i*t.d.in, n); err != nil {
					return err
				}
			}
			dims := []dim{{n, t.pitch, t.d.out}}
			if t.rows.n > 1 {
				dims = []dim{{high, t.width(), t.rows.out}, dims[0]}
			}
			scatter(out[j*t.rows.out+i*t.d.out:], t.w, forWrites(append(dims, t.inner...)), t.g.item)
		}
	}
	return nil
}

// read reads n runs.
func (t *tile) read(w []byte, in, n int64) error {
	if t.together {
		size := t.run + (n-1)*t.pitch
		return t.g.pieces(w[:size], in, 0, size)
	}
	// Every band needs a little of every page. So the first one has all of them
	// read in their order rather than one by one.
	if t.cold {
		t.g.file.Prefetch(in, (n-1)*t.d.in+t.run)
	}
	start := time.Now()
	if err := t.g.pieces(w[:n*t.run], in, t.d.in, t.run); err != nil {
		return err
	}
	t.cold = time.Since(start) > time.Duration(n)*slowPiece
	return nil
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
func walk(dims []dim, out []byte, in int64, do func(out []byte, in int64) error) error {
	if len(dims) == 0 {
		return do(out, in)
	}
	for i := range dims[0].n {
		if err := walk(dims[1:], out[i*dims[0].out:], in+i*dims[0].in, do); err != nil {
			return err
		}
	}
	return nil
}
