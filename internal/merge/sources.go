package merge

import (
	"sync"

	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
)

// A sources opens the operands of one run. What several readers of an operand
// share is kept here, so that it is freed with the run.
type sources struct {
	fillings sync.Map // *plan.Rows -> *filling
	casters  sync.Map // [2]tensor.DType -> *sync.Pool of *caster
}

// watch wraps every source that is opened; only tests set it.
var watch func(plan.Operand, tensor.Source) tensor.Source

// open returns the values of an operand; zeros where there is no tensor.
func (s *sources) open(o plan.Operand) tensor.Source {
	src := s.bare(o)
	if watch != nil {
		src = watch(o, src)
	}
	return src
}

func (s *sources) bare(o plan.Operand) tensor.Source {
	if o.None() {
		return zeros{}
	}
	src := o.Model.Source(int(o.Index))
	if from := o.Tensor().DType; o.As != tensor.BOOL && o.As != from {
		src = s.cast(src, from, o.As)
	}
	if o.Rows != nil {
		return s.rows(src, o)
	}
	return src
}

// zeros is the tensor that stands in for a missing one.
type zeros struct{}

func (zeros) ReadAt(p []byte, off int64) error { clear(p); return nil }
func (zeros) Prefetch(off, n int64)            {}
