package engine

import (
	"testing"

	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// A mark inside an element can't be gone on from.
func TestBetween(t *testing.T) {
	e := &Engine{work: work{tensors: make([]plan.Tensor, 2)}}
	e.tensors[0].DType, e.tensors[1].DType = tensor.F32, tensor.BF16
	e.cut.files = []writer.File{{Extents: []writer.Extent{{Tensor: 0, Off: 100, Len: 40}, {Tensor: 1, Off: 140, Len: 10}}}}
	for off, ok := range map[int64]bool{100: true, 101: false, 102: false, 104: true, 138: false, 140: true, 141: false, 142: true, 150: true} {
		if err := e.between(writer.Mark{Off: off}); (err == nil) != ok {
			t.Errorf("at %d: %v", off, err)
		}
	}
	if err := e.between(writer.Mark{File: 1}); err != nil {
		t.Errorf("at the end: %v", err)
	}
}
