package torchbin

import (
	"testing"
)

// The estimate knows sizes that stand in a ZIP64 field, and believes no size
// that the packed one makes impossible.
func TestCount(t *testing.T) {
	pkl := object(matrix)
	r := func(f func([]item)) []item { r := records(pkl); f(r); return r }
	plain := zipFile(ending{}, records(pkl)...)
	tensors, text, err := Count(newMemory(plain), int64(len(plain)))
	if err != nil || tensors != int64(len(records(pkl))) {
		t.Fatalf("%d tensors, %d bytes of names, %v", tensors, text, err)
	}
	for name, b := range map[string][]byte{
		"zip64":    zipFile(ending{zip64: true}, r(func(r []item) { r[0].zip64, r[2].zip64 = true, true })...),
		"deflated": zipFile(ending{}, r(func(r []item) { r[0].method = deflated })...),
		"a lie":    zipFile(ending{}, r(func(r []item) { r[0].size = 1 << 30 })...),
	} {
		n, txt, err := Count(newMemory(b), int64(len(b)))
		if err != nil || n != tensors || txt != text && (name != "a lie" || txt > n*longName) {
			t.Errorf("%s: %d tensors, %d bytes of names, %v; want %d, %d", name, n, txt, err, tensors, text)
		}
	}
}
