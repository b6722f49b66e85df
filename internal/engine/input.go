package engine

import (
	"context"
	"fmt"

	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// An input is one operand of a tensor, opened.
type input struct {
	src      operand.Source
	of       operand.Operand
	size     int64 // of an element in bytes
	typ      tensor.DType
	throttle *throttle
}

// read fills p with the bytes from off on.
func (in input) read(ctx context.Context, p []byte, off int64) error {
	if err := in.throttle.wait(ctx, len(p)); err != nil {
		return err
	}
	if err := in.src.ReadAt(ctx, p, off); err != nil {
		return in.failed(ctx, err)
	}
	return nil
}

// failed says of an error which tensor could not be read.
func (in input) failed(ctx context.Context, err error) error {
	if in.of.None() || ctx.Err() != nil {
		return err
	}
	t := in.of.Tensor()
	return fmt.Errorf("reading tensor %s from %s: %w", text.Quote(t.Name), in.of.Model.Files[t.File].Path, err)
}

// width is the size of one element of all operands as they are read.
func width(list []operand.Operand) int64 {
	var n int64
	for k := range list {
		n += int64(operand.Type(list, k).Size())
	}
	return n
}

// parentBytes is the size of all operands as they are read.
func parentBytes(t *plan.Tensor) int64 {
	var n int64
	for _, o := range t.Operands {
		if !o.None() {
			n += o.Info().Bytes()
		}
	}
	return n
}
