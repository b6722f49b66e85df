package plan

import (
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tensor"
)

// oldTypes are those that have a storage class in PyTorch. All others are
// rebuilt by a function that PyTorch 1.13 does not have (docs/formats.md 3.2).
var oldTypes = []tensor.DType{tensor.F64, tensor.F32, tensor.F16, tensor.BF16, tensor.I64, tensor.I32, tensor.I16, tensor.I8,
	tensor.U8, tensor.BOOL, tensor.C64}

// newTypes warns about tensors that old releases of PyTorch can't open.
func (p *Plan) newTypes() {
	n := 0
	var names []string
	for i := range p.Tensors {
		if d := p.Tensors[i].DType; !slices.Contains(oldTypes, d) {
			n++
			if !slices.Contains(names, d.String()) {
				names = append(names, d.String())
			}
		}
	}
	if n > 0 {
		p.warn("%s %s of types that old releases of PyTorch do not know (%s): 1.13 can't open this .bin", tensors(n), isAre(n), strings.Join(names, ", "))
	}
}

// tie finds the output tensors that can share their bytes: those that are
// made in the same way of operands that are tied in their parents.
func (p *Plan) tie() {
	if !slices.ContainsFunc(p.Models, func(m *model.Model) bool {
		return slices.ContainsFunc(m.Tensors, func(t model.Tensor) bool { return t.SharesWith != "" })
	}) {
		return
	}
	type made struct {
		action       Action
		t            float64
		a, b         Operand
		zeroA, zeroB bool
	}
	owner := map[made]int{}
	// A weighted sum has too many parts to be compared; none is shared.
	storage := make([]int, len(p.Tensors))
	shared := false
	for i := range p.Tensors {
		t := &p.Tensors[i]
		if t.Action == Linear {
			storage[i] = i
			continue
		}
		k := made{action: t.Action, a: t.A.root(), b: t.B.root(), zeroA: t.ZeroA, zeroB: t.ZeroB}
		if t.Mixed {
			k.t = t.T
		}
		j, ok := owner[k]
		if !ok {
			owner[k], j = i, i
		}
		storage[i] = j
		shared = shared || j != i
	}
	if shared {
		p.Storage = storage
	}
}

// root is the first of the tensors that an operand is tied to, itself as a
// rule.
func (o Operand) root() Operand {
	if o.None() {
		return o
	}
	if name := o.Tensor().SharesWith; name != "" {
		if i, ok := o.Model.Lookup(name); ok {
			return Operand{Model: o.Model, Index: int32(i), As: o.As, Rows: o.Rows}
		}
	}
	return o
}
