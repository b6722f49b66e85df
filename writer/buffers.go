package writer

import "unsafe"

// hugePage is that of most processors and systems.
const hugePage = 2 << 20

// Buffers is memory for pieces, in one block.
type Buffers struct {
	list [][]byte
	huge []byte // the part of it that asked for huge pages
}

// NewBuffers makes so many buffers for pieces of n bytes, which should be a
// multiple of Alignment. Each is longer than that by Alignment, so that a piece can
// lie in it as it lies in its file, wherever that is. With huge, all of them are
// going to be used: they ask the system for huge pages, with which
// kernels and writes lose less time to translations of addresses.
func NewBuffers(count int, n int64, huge bool) *Buffers {
	size := (n + 2*Alignment - 1) / Alignment * Alignment
	// The runtime aligns blocks of this size to its pages, of 8 KiB.
	slab := make([]byte, int64(count)*size)
	b := new(Buffers)
	for k := range int64(count) {
		b.list = append(b.list, slab[k*size:][:n+Alignment:size])
	}
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(slab)))) & (hugePage - 1)
	if whole := (len(slab) - skip) / hugePage * hugePage; huge && whole > 0 {
		b.huge = slab[skip:][:whole]
		adviseHuge(b.huge, true)
	}
	return b
}

// List returns the buffers.
func (b *Buffers) List() [][]byte { return b.list }

// Release lets the memory go, and leaves it as the runtime gave it.
func (b *Buffers) Release() {
	if b.huge != nil {
		adviseHuge(b.huge, false)
	}
	*b = Buffers{}
}
