package mmapio

import (
	"reflect"
	"unsafe"

	"golang.org/x/exp/mmap"
)

// mappedBytes returns the bytes of a mapping of size bytes, which stay valid until
// it is closed, or nil where they can't be had: x/exp/mmap gives out copies only.
// Its ReaderAt has one field, the mapping as a slice, on Unix and Windows; where
// it has not, or does not look as if it had, callers do with copies.
func mappedBytes(m mapping, size int64) []byte {
	r, ok := m.(*mmap.ReaderAt)
	if !ok || r == nil {
		return nil
	}
	t := reflect.TypeFor[mmap.ReaderAt]()
	if t.Kind() != reflect.Struct || t.NumField() != 1 || t.Field(0).Type != reflect.TypeFor[[]byte]() || t.Size() != unsafe.Sizeof([]byte{}) {
		return nil
	}
	data := *(*[]byte)(unsafe.Pointer(r))
	if int64(len(data)) != size || r.Len() != len(data) {
		return nil
	}
	return data
}

// agrees reports whether data is what m reads at both ends of [off, off+n). A
// page that can't be had agrees: whoever uses it will meet the error.
func agrees(m mapping, data []byte, off, n int64) bool {
	same := true
	var one [1]byte
	for _, at := range [2]int64{off, off + n - 1} {
		if _, err := copyOut(m, one[:], at); err != nil {
			continue
		}
		_, _ = guard(data[at:at+1], func(p []byte) error {
			same = same && p[0] == one[0]
			return nil
		})
	}
	return same
}
