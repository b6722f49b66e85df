package tensor

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
