package writer

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

// checkLiterals compares the literals of f that begin before end with those of
// its layout. The checksums of tensors in them are not known.
func checkLiterals(r io.ReaderAt, f *File, end int64) error {
	var slots []int64
	for i := range f.Extents {
		slots = append(slots, f.Extents[i].CRCSlots...)
	}
	slices.Sort(slots)
	buf := make([]byte, checkBytes+4)
	for _, l := range f.Literals {
		if l.Off >= end {
			break
		}
		for at, n := 0, 0; at < len(l.Data); at += n {
			n = min(checkBytes, len(l.Data)-at)
			off := l.Off + int64(at)
			// A slot is not cut in two.
			k, _ := slices.BinarySearch(slots, off+int64(n)-3)
			if k < len(slots) && slots[k] < off+int64(n) {
				n = int(slots[k]+4-l.Off) - at
			}
			got := buf[:n]
			if m, err := r.ReadAt(got, off); m < n {
				return errors.Join(io.ErrUnexpectedEOF, err)
			}
			for k, _ := slices.BinarySearch(slots, off); k < len(slots) && slots[k] < off+int64(n); k++ {
				i := slots[k] - off
				copy(got[i:i+4], l.Data[int64(at)+i:])
			}
			if !bytes.Equal(got, l.Data[at:at+n]) {
				return errors.New("its header is not the one that was written")
			}
		}
	}
	return nil
}
