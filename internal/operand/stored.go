package operand

import (
	"context"

	"slerpmerge/internal/tensor"
)

// Stored is a tensor of a parent as its file has it.
type Stored struct {
	src tensor.Source
	of  Operand
}

// ReadAt reads from the parent's file. It begins no read once ctx has ended.
func (s Stored) ReadAt(ctx context.Context, p []byte, off int64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return s.src.ReadAt(p, off)
}

// Use has views of tensors whose values lie in the file in order.
func (s Stored) Use(ctx context.Context, scratch []byte, off int64, use func([]byte) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return tensor.View(s.src, scratch, off, use)
}

// Prefetch is that of the file.
func (s Stored) Prefetch(off, n int64) { s.src.Prefetch(off, n) }

// Drop is that of the file, if it has pages to drop.
func (s Stored) Drop(off, n int64) {
	if d, ok := s.src.(tensor.Dropper); ok {
		d.Drop(off, n)
	}
}

// Copier is that of the file, for tensors whose values lie there in order.
func (s Stored) Copier() tensor.Copier {
	c, _ := s.src.(tensor.Copier)
	return c
}

// Memory is 0: the memory in which strided tensors are put in order belongs to
// their model ([slerpmerge/internal/model.Model.GatherBytes]).
func (s Stored) Memory() int64 { return 0 }

// Key is that of the operand.
func (s Stored) Key() Operand { return s.of.Key() }
