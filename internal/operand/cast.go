package operand

import (
	"context"
	"sync"

	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// castBytes is the number of bytes that a Cast reads at a time.
const castBytes = 32 << 10

// A Cast is a source whose values are rounded to another type as they are
// read, before anything is computed with them.
type Cast struct {
	src      Source
	to       tensor.DType
	own      int64 // bytes of an element of src
	out      int64 // and of a rounded one
	rounding *sync.Pool
}

// A rounding is the scratch of one reader of a Cast.
type rounding struct {
	convert *slerp.Converter
	buf     [castBytes]byte
}

func (r *Opener) cast(src Source, from, to tensor.DType) *Cast {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := types{to, from}
	if r.roundings[k] == nil {
		if r.roundings == nil {
			r.roundings = map[types]*sync.Pool{}
		}
		r.roundings[k] = &sync.Pool{New: func() any { return &rounding{convert: slerp.NewConverter(to, from)} }}
	}
	return &Cast{src, to, int64(from.Size()), int64(to.Size()), r.roundings[k]}
}

// ReadAt reads and rounds.
func (c *Cast) ReadAt(ctx context.Context, p []byte, off int64) error {
	k := c.rounding.Get().(*rounding)
	defer c.rounding.Put(k)
	for at := off / c.out; len(p) > 0; {
		n := min(castBytes/c.own, int64(len(p))/c.out)
		if err := c.src.ReadAt(ctx, k.buf[:n*c.own], at*c.own); err != nil {
			return err
		}
		k.convert.Convert(p[:n*c.out], k.buf[:n*c.own])
		p, at = p[n*c.out:], at+n
	}
	return nil
}

// Use rounds into scratch.
func (c *Cast) Use(ctx context.Context, scratch []byte, off int64, use func([]byte) error) error {
	return fill(ctx, c, scratch, off, use)
}

// Prefetch is that of the source, for the same elements.
func (c *Cast) Prefetch(off, n int64) { c.src.Prefetch(off/c.out*c.own, n/c.out*c.own) }

// Drop likewise.
func (c *Cast) Drop(off, n int64) { c.src.Drop(off/c.out*c.own, n/c.out*c.own) }

// Copier returns nil.
func (*Cast) Copier() tensor.Copier { return nil }

// Memory returns the size of the buffer of one reader.
func (c *Cast) Memory() int64 { return castBytes + c.src.Memory() }

// Key returns the key of the source with the type.
func (c *Cast) Key() Operand {
	k := c.src.Key()
	k.As = c.to
	return k
}
