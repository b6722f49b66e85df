package plan

import (
	"slices"
	"strings"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// oldTypes are those that have a storage class in PyTorch. All others are
// rebuilt by a function that PyTorch 1.13 does not have (docs/formats.md 3.2).
var oldTypes = []tensor.DType{tensor.F64, tensor.F32, tensor.F16, tensor.BF16, tensor.I64, tensor.I32, tensor.I16, tensor.I8,
	tensor.U8, tensor.BOOL, tensor.C64}

// newTypes warns about tensors that old releases of PyTorch can't open.
func (p *planner) newTypes() {
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
		p.warn("%s %s of types that old releases of PyTorch do not know (%s): 1.13 can't open this .bin", text.Count(n, "tensor"), text.Verb(n, "is", "are"), strings.Join(names, ", "))
	}
}

// tie finds the output tensors that can share their bytes: those that are one
// parameter in all parents.
func (p *planner) tie() {
	if p.own == nil {
		return
	}
	owner := map[string]int{}
	storage := make([]int, len(p.Tensors))
	shared := false
	for i := range p.Tensors {
		own := p.ownOf(p.Tensors[i].Name)
		if j, ok := owner[own]; ok {
			storage[i], shared = j, true
		} else {
			owner[own], storage[i] = i, i
		}
	}
	if shared {
		p.Storage = storage
	}
}
