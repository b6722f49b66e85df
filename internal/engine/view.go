package engine

import "context"

// A views shows ranges of several operands at once. Its lists serve again and
// again.
type views struct {
	ranges []viewRange
	chunks [][]byte

	ctx   context.Context
	do    func(chunks [][]byte)
	open  int                  // so many of the ranges are in chunks
	below bool                 // the error is of a range further on
	enter func(p []byte) error // is v.entered
}

// A viewRange is so many bytes of an operand as scratch is long.
type viewRange struct {
	in      *input
	scratch []byte
	off     int64
}

func newViews() *views {
	v := new(views)
	v.enter = v.entered
	return v
}

// reset begins a new list of ranges.
func (v *views) reset() { v.ranges, v.chunks = v.ranges[:0], v.chunks[:0] }

// add adds the range of an operand.
func (v *views) add(in *input, scratch []byte, off int64) {
	v.ranges, v.chunks = append(v.ranges, viewRange{in, scratch, off}), append(v.chunks, nil)
}

// show calls do with all ranges: as they are in the parents' files, where their
// sources can show that, else in scratch. They are valid until do returns. One
// that is read from the page cache again can do without the limit.
func (v *views) show(ctx context.Context, limit *throttle, do func(chunks [][]byte)) error {
	n := 0
	for _, r := range v.ranges {
		n += len(r.scratch)
	}
	// Before the first view: it would hold pages while it waits.
	if err := limit.wait(ctx, n); err != nil {
		return err
	}
	v.ctx, v.do, v.open, v.below = ctx, do, 0, false
	err := v.next()
	v.ctx, v.do = nil, nil
	clear(v.chunks) // they are mapped no longer
	return err
}

// next shows the first range that is not shown, and within that the others.
func (v *views) next() error {
	k := v.open
	if k == len(v.ranges) {
		v.do(v.chunks)
		return nil
	}
	r := &v.ranges[k]
	err := r.in.src.Use(v.ctx, r.scratch, r.off, v.enter)
	if err != nil && !v.below {
		err = r.in.failed(v.ctx, err)
	}
	return err
}

func (v *views) entered(p []byte) error {
	v.chunks[v.open] = p
	v.open++
	err := v.next()
	v.below = err != nil
	return err
}
