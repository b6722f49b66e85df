package torchbin

import (
	"encoding/binary"
	"strings"
)

// Count estimates how many tensors a file has, and the bytes of their names,
// from the end of its ZIP archive alone. A legacy stream has no such list: 0.
// What it does not look at may be malformed.
func Count(f File, size int64) (tensors, text int64, err error) {
	head := make([]byte, max(0, min(size, 4)))
	if err := readFull(f, head, 0); err != nil || string(head) != "PK\x03\x04" {
		return 0, 0, err
	}
	start, length, count, err := findDirectory(f, size)
	if err != nil {
		return 0, 0, err
	}
	tensors = int64(count)
	text = tensors * usualName
	entry := make([]byte, min(length, 1<<10))
	if err := readFull(f, entry, start); err != nil {
		return 0, 0, err
	}
	if n := int64(len(entry)); n >= centralLen { // the pickle comes first, as a rule
		name := entry[centralLen:min(n, centralLen+int64(binary.LittleEndian.Uint16(entry[28:])))]
		if pickle := int64(binary.LittleEndian.Uint32(entry[24:])); strings.HasSuffix(string(name), "/data.pkl") {
			text = max(pickle-pickled*tensors, 0)
		}
	}
	return tensors, text, nil
}

const (
	usualName = 64
	pickled   = 96 // bytes of a tensor in the pickle beside its name
)
