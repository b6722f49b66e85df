package writer

import (
	"encoding/binary"
	"fmt"
	"sort"

	"slerpmerge/torchbin"
)

// A File is one file of weights. Its bytes are of two kinds: Literals, known
// beforehand except for checksums, and Extents, the tensors' values. The caller
// passes each byte of the latter to Write once; then the file is complete.
//
// The literals of all files together are as large as the table of tensors.
// NewTableLayout leaves them out; MakeLiterals makes those of a file, and
// DropLiterals frees their memory.
type File struct {
	Name     string    // in the output folder, with a slash if it is in a folder of that
	Size     int64     // bytes
	Tensors  int       // those that share another's bytes included
	Literals []Literal // in offset order
	Extents  []Extent  // in offset order, those of tensors without elements included
	HasCRCs  bool      // the format has checksums of the extents

	which []int32 // its tensors, in the order of the model
	cut   int     // of their names, so many bytes are left out
	place func(shard) (File, error)
}

// MakeLiterals makes the literals of a file of NewTableLayout, if they are not
// there. Their slots for checksums hold zeros.
func (l *Layout) MakeLiterals(f *File) error {
	if f.Literals != nil || f.place == nil {
		return nil
	}
	made, err := f.place(shard{l.tensors, l.storage, f.which, f.cut, true})
	if err != nil {
		return err
	}
	if made.Size != f.Size {
		return fmt.Errorf("laying out %s again: internal error: %d bytes instead of %d", f.Name, made.Size, f.Size)
	}
	f.Literals = made.Literals
	return nil
}

// DropLiterals frees the literals if MakeLiterals can make them again.
func (f *File) DropLiterals() {
	if f.place != nil {
		f.Literals = nil
	}
}

// A Literal is bytes of the format, between tensors, and their place.
type Literal = torchbin.Literal

// An Extent is the place of a tensor's bytes in a file.
type Extent struct {
	Tensor   int // index into the tensors of the layout
	Off, Len int64
	// CRCSlots are the offsets, in literals, where the CRC-32 (IEEE) of the bytes
	// is stored: 4 bytes each, little-endian. Write fills them in.
	CRCSlots []int64
}

// CRCSlot returns the slot for a checksum at offset at of the file: 4 bytes of
// Literals[k].
func (f *File) CRCSlot(at int64) (k int, place []byte) {
	k = sort.Search(len(f.Literals), func(k int) bool { return f.Literals[k].Off > at }) - 1
	return k, f.Literals[k].Data[at-f.Literals[k].Off:][:4]
}

// SetCRC stores the CRC-32 of an extent in its slots.
func (f *File) SetCRC(x Extent, crc uint32) {
	for _, at := range x.CRCSlots {
		_, place := f.CRCSlot(at)
		binary.LittleEndian.PutUint32(place, crc)
	}
}
