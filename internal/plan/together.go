package plan

import (
	"slices"

	"slerpmerge/internal/method"
)

// Alike reports whether two plans of the same models can be carried out together:
// the same files, and for each tensor the same operands, of which the same is
// measured. Operations of several passes measure for one output alone.
func (p *Plan) Alike(q *Plan) bool {
	if !slices.Equal(p.Models, q.Models) || len(p.Tensors) != len(q.Tensors) || !slices.Equal(p.Storage, q.Storage) || p.Layout.TotalBytes != q.Layout.TotalBytes {
		return false
	}
	for i := range p.Tensors {
		a, b := &p.Tensors[i], &q.Tensors[i]
		needs := a.Op.Needs()
		if a.Name != b.Name || a.DType != b.DType || !a.SameShape(b.Info) || !slices.Equal(a.Operands, b.Operands) ||
			needs != b.Op.Needs() || needs == method.Passes || method.BaseOf(a.Op) != method.BaseOf(b.Op) || !a.Tail.same(b.Tail) {
			return false
		}
	}
	return len(p.Layout.Files) == len(q.Layout.Files)
}

func (t *Tail) same(u *Tail) bool {
	if t == nil || u == nil {
		return t == u
	}
	return *t == *u
}

// Together gives the budget of plans that are Alike and are carried out together,
// within the limit of the first, while so many others are in memory. The parents are there
// once.
func Together(plans []*Plan, others int) (Budget, error) {
	first := plans[0]
	h := first.held
	h.more = len(plans) - 1
	var text int64
	for i := range first.Tensors {
		text += int64(len(first.Tensors[i].Name))
	}
	entries := int64(len(first.Tensors))
	own := entries*planEntry + text
	more := own*int64(h.more+others) + entries*writeEntry*int64(h.more)
	h.running += more
	h.before += more
	return newBudget(first.Run.MaxMemory, first.Run.Threads, h)
}
