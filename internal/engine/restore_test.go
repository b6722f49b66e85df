package engine

import (
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// A run can't resume from a mark inside an element.
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

// Tensors that a note has measured, and that are not written, count as measured
// ahead: a resumed run measures no more of them than another.
func TestRestoreCountsWhatIsMeasured(t *testing.T) {
	p := &plan.Plan{Budget: plan.Budget{Threads: 1, Piece: 1 << 10, Hold: 2 << 10, Buffers: 2}}
	var infos []tensor.Info
	for _, name := range []string{"a", "b", "c"} {
		infos = append(infos, tensor.Info{Name: name, DType: tensor.F32, Shape: []uint64{1000}})
		p.Tensors = append(p.Tensors, plan.Tensor{Info: infos[len(infos)-1], Op: method.Slerp{T: 0.5}, Operands: make([]operand.Operand, 2)})
	}
	l, err := writer.NewLayout(infos, nil, 1<<40, writer.Safetensors)
	if err != nil {
		t.Fatal(err)
	}
	e := New(p, l, nil, Options{})
	note := `{"under":[{"i":0,"f":8,"w":[1,2]},{"i":1,"f":8,"w":[1,2]},{"i":2}]}`
	if err := e.Restore(writer.Mark{Off: l.Files[0].Extents[0].Off + 400}, [][]byte{[]byte(note)}); err != nil {
		t.Fatal(err)
	}
	if e.ahead != 2 || e.next == nil || e.next.spans[0].off != 400 || !e.large[0] {
		t.Errorf("%d tensors are measured ahead, the next piece is %+v", e.ahead, e.next)
	}
}
