package torchbin

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/nlpodyssey/gopickle/types"

	"slerpmerge/internal/tensor"
)

// legacyMagic is the pickle of the magic number, of protocol 2. That of
// protocol 3 differs in its second byte.
const legacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"

// isLegacy reports whether a file begins as a legacy stream.
func isLegacy(head []byte) bool {
	n := len(legacyMagic)
	return len(head) >= n && head[0] == legacyMagic[0] && (head[1] == 2 || head[1] == 3) && string(head[2:n]) == legacyMagic[2:]
}

// tarBlock is the size of a tar header.
const tarBlock = 512

// isTar reports whether a file begins with a tar header by the rule of Python's
// tarfile, with which torch.load tries every file that is no ZIP archive: the
// checksum is all that matters. A legacy stream can be made to have one.
func isTar(head []byte) bool {
	if tensor.TarFile.Match(head) {
		return true
	}
	if len(head) < tarBlock {
		return false
	}
	const at, end = 148, 156 // the checksum counts as spaces
	unsigned, signed := int64(256), int64(256)
	for i, b := range head[:tarBlock] {
		if i < at || i >= end {
			unsigned += int64(b)
			signed += int64(int8(b))
		}
	}
	field := head[at:end]
	sum := int64(0)
	if field[0] == 0x80 || field[0] == 0xff { // base 256
		for _, b := range field[1:] {
			sum = sum<<8 | int64(b)
		}
		if field[0] == 0xff {
			sum -= 1 << 56
		}
	} else {
		text, _, _ := strings.Cut(string(field), "\x00")
		text = strings.ReplaceAll(strings.TrimSpace(text), "_", "")
		text = strings.TrimPrefix(strings.TrimPrefix(text, "0o"), "0O")
		if text == "" {
			text = "0"
		}
		var err error
		if sum, err = strconv.ParseInt(text, 8, 64); err != nil {
			return false
		}
	}
	return sum == unsigned || sum == signed
}

// legacyProtocol is the value of the second pickle.
const legacyProtocol = 1001

// openLegacy reads a checkpoint of the legacy stream.
func openLegacy(f File, size int64, opt Options) (*Checkpoint, error) {
	pos := int64(len(legacyMagic))
	next := func(what string) (*decoder, any, error) {
		d, v, err := unpickle(record{f, pos, size - pos}, pos, true, opt.Memory)
		if err != nil {
			return nil, nil, within(what, err)
		}
		pos += d.pos
		return d, v, nil
	}
	_, v, err := next("the protocol version")
	if err != nil {
		return nil, err
	}
	if n, ok := integer(v); !ok || n != legacyProtocol {
		return nil, malformed("the protocol version is not %d", legacyProtocol)
	}
	if _, v, err = next("the system info"); err != nil {
		return nil, err
	}
	info, ok := entries(v)
	if !ok {
		return nil, malformed("the system info is no dict")
	}
	for _, e := range info {
		if e.Key == "little_endian" && e.Value != true {
			return nil, malformed("the file is big-endian, which is not read")
		}
	}
	d, top, err := next("the object")
	if err != nil {
		return nil, err
	}
	if _, v, err = next("the storage keys"); err != nil {
		return nil, err
	}
	keys, ok := v.(*types.List)
	if !ok {
		return nil, malformed("the storage keys are no list")
	}
	for _, k := range *keys {
		key, ok := k.(string)
		if !ok {
			return nil, malformed("a storage key is no text")
		}
		s := d.storages[key]
		if s == nil || s.placed {
			return nil, malformed("the storage key %s is unknown or occurs twice", quote(key))
		}
		var count [8]byte
		bytes := s.count * s.size()
		if size-pos < int64(len(count)) || bytes > size-pos-int64(len(count)) {
			return nil, malformed("the storage %s of %d bytes at byte %d reaches past the end of the file", quote(key), bytes, pos)
		}
		if err := readFull(f, count[:], pos); err != nil {
			return nil, err
		}
		if n := binary.LittleEndian.Uint64(count[:]); n != uint64(s.count) {
			return nil, malformed("the storage %s has %d elements, but %d are declared", quote(key), n, s.count)
		}
		s.base, s.placed = pos+int64(len(count)), true
		pos = s.base + bytes
	}
	for _, s := range d.order {
		if !s.placed {
			return nil, malformed("the storage %s is missing from the list of keys", quote(s.key))
		}
	}
	d.release()
	return table("torch-legacy", top, opt.Entry)
}
