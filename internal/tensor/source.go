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
