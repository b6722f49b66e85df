package operand

import (
	"context"

	"slerpmerge/internal/tensor"
)

// Zeros is the tensor that stands in for one that a parent lacks.
type Zeros struct{}

// ReadAt clears p.
func (Zeros) ReadAt(_ context.Context, p []byte, _ int64) error { clear(p); return nil }

// Use clears scratch.
func (z Zeros) Use(ctx context.Context, scratch []byte, off int64, use func([]byte) error) error {
	return fill(ctx, z, scratch, off, use)
}

// Prefetch does nothing.
func (Zeros) Prefetch(off, n int64) {}

// Drop does nothing.
func (Zeros) Drop(off, n int64) {}

// Copier returns nil.
func (Zeros) Copier() tensor.Copier { return nil }

// Memory returns 0.
func (Zeros) Memory() int64 { return 0 }

// Key returns the zero Operand.
func (Zeros) Key() Operand { return Operand{} }
