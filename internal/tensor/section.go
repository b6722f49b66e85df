package tensor

import (
	"errors"
	"io"
	"os"
)

// A Section is the Source of a tensor that lies in its file row-major and
// without gaps. Hints are passed on if the file takes them.
type Section struct {
	file io.ReaderAt
	base int64
}

// NewSection returns a Source whose first byte is at base in the file.
func NewSection(file io.ReaderAt, base int64) *Section { return &Section{file, base} }

// ReadAt implements Source.
func (s *Section) ReadAt(p []byte, off int64) error { return ReadFull(s.file, p, s.base+off) }

// View implements Viewer, with the file's own bytes if it is one.
func (s *Section) View(scratch []byte, off int64, use func(p []byte) error) error {
	if f, ok := s.file.(Viewer); ok {
		return f.View(scratch, s.base+off, use)
	}
	if err := s.ReadAt(scratch, off); err != nil {
		return err
	}
	return use(scratch)
}

// Prefetch implements Source.
func (s *Section) Prefetch(off, n int64) {
	if f, ok := s.file.(interface{ Prefetch(off, n int64) }); ok {
		f.Prefetch(s.base+off, n)
	}
}

// Drop implements Dropper.
func (s *Section) Drop(off, n int64) {
	if f, ok := s.file.(Dropper); ok {
		f.Drop(s.base+off, n)
	}
}

// CopyTo implements Copier.
func (s *Section) CopyTo(dst *os.File, at, off, n int64) error {
	if f, ok := s.file.(Copier); ok {
		return f.CopyTo(dst, at, s.base+off, n)
	}
	return errors.ErrUnsupported
}

// ReadFull fills p with the bytes of a file from off on. The caller has checked
// that the file is long enough, so an early end means that it was changed: the
// error is that of the file's Check method, if it has one that fails, or else
// io.ErrUnexpectedEOF.
func ReadFull(file io.ReaderAt, p []byte, off int64) error {
	n, err := file.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err != nil && err != io.EOF {
		return err
	}
	if c, ok := file.(interface{ Check() error }); ok {
		if err := c.Check(); err != nil {
			return err
		}
	}
	return io.ErrUnexpectedEOF
}
