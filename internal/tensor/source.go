package tensor

import "os"

// A Source gives the values of one tensor as row-major, contiguous,
// little-endian bytes, whatever the file below it looks like.
type Source interface {
	// ReadAt fills p from byte off of the tensor's values. It may be called
	// from several goroutines. Unlike io.ReaderAt it either fills p or fails.
	ReadAt(p []byte, off int64) error

	// Prefetch hints that [off, off+n) will be read soon. It does not wait.
	Prefetch(off, n int64)
}

// A Viewer is a Source that can show its values where they are.
type Viewer interface {
	// View calls use with the len(scratch) bytes from byte off of the values,
	// where they are or in scratch. They are valid until use returns, and use
	// must not change them. An error of use is returned as it is; others are
	// those of ReadAt. Views can be nested.
	View(scratch []byte, off int64, use func(p []byte) error) error
}

// View is that of a Source which may be no Viewer: then it reads into scratch.
func View(s Source, scratch []byte, off int64, use func(p []byte) error) error {
	if v, ok := s.(Viewer); ok {
		return v.View(scratch, off, use)
	}
	if err := s.ReadAt(scratch, off); err != nil {
		return err
	}
	return use(scratch)
}

// A Dropper is a Source that takes another hint: [off, off+n) will not be read
// again.
type Dropper interface {
	Drop(off, n int64)
}

// A Copier is a Source that the system can copy to a file without the bytes
// passing through this program: within it, or by sharing them.
type Copier interface {
	// CopyTo copies [off, off+n) to byte at of dst. An error that is
	// errors.ErrUnsupported means that it has to be done by reading; a part
	// may be copied then.
	CopyTo(dst *os.File, at, off, n int64) error
}
