package mmapio

import "io"

// View calls use with the len(scratch) bytes at off, which must lie in the
// file. As a rule p is the file's mapping itself, and nothing is copied. Where
// the mapping's bytes can't be had, or the pool has no room for them until other
// views end, p is scratch, filled as by ReadAt. View never waits for another
// view, so views may be nested to any depth, and within use all methods of all
// files may be called, except Close of this one.
//
// p is valid until use returns, and must not be written to. Its pages count
// towards the pool's limit until then. If somebody writes to the file meanwhile,
// p changes: Check finds out afterwards.
//
// An error of use is returned as it is. A page of p that can't be had, which
// would be a panic or a signal in use, ends use and becomes an error of the
// kinds that ReadAt has. That is so in assembly too, but only on the goroutine
// that called View. A panic of use passes through, and so does a fault elsewhere
// than in p.
func (f *File) View(scratch []byte, off int64, use func(p []byte) error) error {
	if err := f.begin("read"); err != nil {
		return err
	}
	defer f.end()
	n := int64(len(scratch))
	switch {
	case off < 0:
		return f.fail("read", errNegativeOffset)
	case n > f.size-off:
		return f.short()
	}
	if n > 0 && !f.unmappable.Load() {
		l, err := f.lease(off, n)
		if err != nil {
			return err
		}
		if l.region != nil {
			if l.data != nil {
				return f.useLease(l, off, n, use)
			}
			f.pool.release(l)
		}
	}
	if _, err := f.read(scratch, off); err != nil {
		return err
	}
	return use(scratch)
}

// short is the error of a range beyond the end of the file. Callers know the
// size, so the file has most likely changed.
func (f *File) short() error {
	if err := f.check(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// useLease calls use with a range of a lease, which it releases.
func (f *File) useLease(l lease, off, n int64, use func([]byte) error) error {
	defer f.pool.release(l)
	faulted, err := guard(l.data[off:off+n:off+n], use)
	if !faulted {
		return err
	}
	// The fault need not be at the first page that is missing: some code begins at
	// the end.
	return f.diagnose(off, n, errFault)
}
