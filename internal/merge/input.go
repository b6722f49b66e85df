package merge

import (
	"fmt"

	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
)

// An input is one operand of a tensor, opened.
type input struct {
	e    *engine
	src  operand.Source
	of   operand.Operand
	size int64 // of an element in bytes
	typ  tensor.DType
}

func (o input) read(p []byte, off int64) error {
	if err := o.e.throttle.wait(o.e.ctx, len(p)); err != nil {
		return err
	}
	if err := o.src.ReadAt(o.e.ctx, p, off); err != nil {
		if o.of.None() || o.e.ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("reading tensor %s: %w", tensorName(o.of), err)
	}
	return nil
}

// watch wraps every source that is opened; only tests set it.
var watch func(operand.Operand, operand.Source) operand.Source

// inputs opens the operands of a tensor. Those of one that is read in several
// parts, by several workers perhaps, are opened once, and kept until close.
func (e *engine) inputs(i int, parts bool) []input {
	t := &e.tensors[i]
	if !parts {
		return e.openAll(t)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	list := e.opened[i]
	if list == nil {
		list = e.openAll(t)
		e.opened[i] = list
	}
	return list
}

func (e *engine) openAll(t *plan.Tensor) []input {
	of := operands(t)
	list := make([]input, len(of))
	for k, o := range of {
		typ := operandType(of, k)
		list[k] = input{e: e, src: e.opener.Open(o), of: o, typ: typ, size: int64(typ.Size())}
	}
	return list
}

// operandType is the element type of an operand as it is read; zeros take the
// type of another one.
func operandType(list []operand.Operand, k int) tensor.DType {
	if o := list[k]; !o.None() {
		return o.Info().DType
	}
	for _, o := range list {
		if !o.None() {
			return o.Info().DType
		}
	}
	return tensor.F32
}

// tail is the input whose last rows are taken as they are.
func tail(t *plan.Tensor, in []input) input {
	if t.Tail.Operand == in[1].of {
		return in[1]
	}
	return in[0]
}
