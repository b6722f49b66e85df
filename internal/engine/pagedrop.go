package engine

import (
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
)

// dropDistance is the distance in bytes behind the writer at which pages are
// dropped: those that are still mapped can't be.
const dropDistance = 64 << 20

// A pageDropper tells the system which parts of parents are no longer needed,
// so that models larger than the memory do not push out of the page cache what
// other programs have there.
type pageDropper struct {
	tensors []plan.Tensor
	opener  *operand.Opener
	queue   []used
	bytes   int64

	current int // the tensor whose operands are opened
	opened  []operand.Source
}

// A used range of an operand was read for the last time.
type used struct {
	src    operand.Source
	off, n int64
}

// open returns the operands of a tensor. The spans of one tensor follow each
// other, so that its operands are opened once.
func (d *pageDropper) open(i int) []operand.Source {
	if d.opened == nil || d.current != i {
		d.current, d.opened = i, nil
		for _, o := range d.tensors[i].Operands {
			d.opened = append(d.opened, d.opener.Open(o))
		}
	}
	return d.opened
}

// written is called for every piece that is written, in order.
func (d *pageDropper) written(p *piece) {
	for _, s := range p.spans {
		t := &d.tensors[s.tensor]
		srcs := d.open(s.tensor)
		for k, o := range t.Operands {
			if o.None() {
				continue
			}
			info := o.Info()
			off, n := s.off, s.len
			if info.DType != t.DType { // such types have elements of whole bytes
				own, size := int64(info.DType.Size()), int64(t.DType.Size())
				off, n = off/size*own, n/size*own
			}
			if n = min(n, info.Bytes()-off); n <= 0 { // it has fewer rows
				continue
			}
			d.queue = append(d.queue, used{srcs[k], off, n})
			d.bytes += n
		}
	}
	for d.bytes > dropDistance {
		u := d.queue[0]
		d.queue = d.queue[1:]
		d.bytes -= u.n
		u.src.Drop(u.off, u.n)
	}
}
