package operand

import (
	"context"
	"sync"

	"slerpmerge/internal/tensor"
)

// A Source gives the values of an operand as row-major, contiguous,
// little-endian bytes. Offsets and lengths are whole elements. It may be used
// from several goroutines.
type Source interface {
	// ReadAt fills p from byte off of the values. It fills p or fails.
	ReadAt(ctx context.Context, p []byte, off int64) error

	// Use calls use with the len(scratch) bytes from byte off: with a view of
	// them where the source has one, else with scratch, which it fills. The
	// bytes are valid until use returns, and use must not change them.
	Use(ctx context.Context, scratch []byte, off int64, use func(p []byte) error) error

	// Prefetch hints that [off, off+n) will be read soon; Drop that it will not
	// be read again. Neither waits.
	Prefetch(off, n int64)
	Drop(off, n int64)

	// Copier is for values that the system can copy from file to file; nil
	// where they must be read.
	Copier() tensor.Copier

	// Memory returns the most that the source holds, in bytes, beside the pages of
	// mapped files and the buffers that its callers pass.
	Memory() int64

	// Key returns the identity of the operand, see [Operand.Key].
	Key() Operand
}

// An Opener opens the operands of one run. The zero value is ready for use.
type Opener struct {
	// Wrap, where it is set, is put around every source. Tests count reads so.
	Wrap func(Operand, Source) Source

	mu        sync.Mutex           // guards roundings
	roundings map[types]*sync.Pool // of *rounding
}

type types struct{ to, from tensor.DType }

// Open returns the values of an operand.
func (r *Opener) Open(o Operand) Source {
	src := r.tree(o)
	if r.Wrap != nil {
		src = r.Wrap(o, src)
	}
	return src
}

func (r *Opener) tree(o Operand) Source {
	if o.None() {
		return Zeros{}
	}
	bare := Operand{Model: o.Model, Index: o.Index}
	var src Source = Stored{o.Model.Source(int(o.Index)), bare}
	if from := o.Tensor().DType; o.As != tensor.BOOL && o.As != from {
		src = r.cast(src, from, o.As)
	}
	if o.Rows != nil {
		src = r.rows(src, o)
	}
	return src
}

// fill is Use for a source that has no views.
func fill(ctx context.Context, s Source, scratch []byte, off int64, use func([]byte) error) error {
	if err := s.ReadAt(ctx, scratch, off); err != nil {
		return err
	}
	return use(scratch)
}
