package torchbin

import (
	"encoding/binary"

	"github.com/nlpodyssey/gopickle/types"
)

// legacyMagic is the pickle of the magic number.
const legacyMagic = "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"

// legacyProtocol is what the second pickle holds.
const legacyProtocol = 1001

// openLegacy reads a checkpoint of the legacy stream.
func openLegacy(f File, size int64) (*Checkpoint, error) {
	pos := int64(len(legacyMagic))
	next := func(what string) (*decoder, any, error) {
		d, v, err := unpickle(record{f, pos, size - pos}, pos, true)
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
	return table("torch-legacy", top)
}
