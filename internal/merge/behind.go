package merge

import (
	"slerpmerge/internal/operand"
	"slerpmerge/internal/plan"
)

// behindBytes is how far behind the writer pages are dropped: those that are
// mapped still can't be.
const behindBytes = 64 << 20

// A behind tells the system which parts of parents are of no use any more, so
// that models larger than the memory do not push out of the page cache what
// other programs have there.
type behind struct {
	tensors []plan.Tensor
	opener  *operand.Opener
	queue   []used
	bytes   int64
}

// A used range of an operand was read for the last time.
type used struct {
	o      operand.Operand
	off, n int64
}

// written is called for every piece that is written, in order.
func (b *behind) written(p *piece) {
	for _, s := range p.segs {
		t := &b.tensors[s.tensor]
		size := int64(t.DType.Size())
		for _, o := range operands(t) {
			if o.None() {
				continue
			}
			info := o.Info()
			own := int64(info.DType.Size())
			off, n := s.off/size*own, s.len/size*own
			if n = min(n, info.Bytes()-off); n <= 0 { // it has fewer rows
				continue
			}
			b.queue = append(b.queue, used{o, off, n})
			b.bytes += n
		}
	}
	for b.bytes > behindBytes {
		u := b.queue[0]
		b.queue = b.queue[1:]
		b.bytes -= u.n
		b.opener.Open(u.o).Drop(u.off, u.n)
	}
}
