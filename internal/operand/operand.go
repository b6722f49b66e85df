// Package operand describes what a parent contributes to one tensor of the output.
//
// An [Operand] describes the contribution; a plan holds a million of them. An
// [Opener] makes a [Source] of it, a tree of readers:
//
//	Stored   the bytes of the parent's file
//	Cast     the values of another source, rounded to a type
//	Rows     the rows of another source in another order, and rows made up
//	Zeros    a tensor that the parent lacks
//
// A new kind of operand, such as a weight with scales or a weight with an
// adapter, is one more file with a field in Operand and a node in the tree.
package operand

import (
	"slices"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tensor"
)

// An Operand is one parent's tensor and how it is read. The zero Operand stands
// for no tensor, and reads as zeros.
type Operand struct {
	Model *model.Model
	Index int32 // into Model.Tensors
	// As is the type that the values are rounded to before anything is done
	// with them; BOOL, the zero value, leaves them as they are stored.
	As tensor.DType
	// Rows makes up an operand that has other rows than its tensor; nil as a
	// rule.
	Rows *Rows
}

// None reports whether there is no tensor.
func (o Operand) None() bool { return o.Model == nil }

// Tensor returns the operand's entry in its model's table.
func (o Operand) Tensor() *model.Tensor { return &o.Model.Tensors[o.Index] }

// Info returns the operand as it is read.
func (o Operand) Info() tensor.Info {
	info := o.Tensor().Info
	if o.As != tensor.BOOL {
		info.DType = o.As
	}
	if o.Rows != nil {
		info.Shape = slices.Clone(info.Shape)
		info.Shape[o.Rows.Axis] = uint64(o.Rows.Len())
	}
	return info
}

// Key returns the identity of the data that are read: operands that are names of one
// parameter, read in the same way, have the same Key.
func (o Operand) Key() Operand {
	if !o.None() {
		o.Index = o.Model.Parameters().First(o.Index)
	}
	return o
}

// Type returns the element type of operand k as it is read; one without a tensor
// takes the type of the first that has one.
func Type(list []Operand, k int) tensor.DType {
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
