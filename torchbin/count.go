package torchbin

import (
	"encoding/binary"
	"strings"
)

// Count estimates how many tensors a file has, and the bytes of their names,
// from the end of its ZIP archive alone. A legacy stream has no such list: 0.
// The rest of the file may be malformed.
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
	if pickle, ok := pickleSize(entry, size); ok {
		least := max(pickle-pickledMost*tensors, 0) // bytes of names
		text = min(max(text, least), max(pickle-pickled*tensors, 0), tensors*longName)
	}
	return tensors, text, nil
}

// pickleSize returns the length of the pickle that the first entry of a directory
// is, as a rule. size is that of the file.
func pickleSize(entry []byte, size int64) (n int64, ok bool) {
	if len(entry) < centralLen {
		return 0, false
	}
	rest := entry[centralLen:]
	name, extra := int(binary.LittleEndian.Uint16(entry[28:])), int(binary.LittleEndian.Uint16(entry[30:]))
	if name+extra > len(rest) || !strings.HasSuffix(string(rest[:name]), "/data.pkl") {
		return 0, false
	}
	fields := []uint64{
		uint64(binary.LittleEndian.Uint32(entry[24:])),
		uint64(binary.LittleEndian.Uint32(entry[20:])),
		uint64(binary.LittleEndian.Uint32(entry[42:])),
	}
	if !widen(rest[name:name+extra], fields) || fields[1] > uint64(size) {
		return 0, false
	}
	if method := binary.LittleEndian.Uint16(entry[10:]); method == 0 {
		return int64(fields[1]), true
	}
	return int64(min(fields[0], maxInflate*fields[1])), true
}

// maxInflate is the largest ratio of a text's length to that of its deflated form.
const maxInflate = 1032

const (
	usualName = 64
	longName  = 512 // a longer pickle holds other things than names

	// Bytes of a tensor in the pickle beside its name: as Encode writes it at
	// least, as torch does at most.
	pickled     = 48
	pickledMost = 110
)
