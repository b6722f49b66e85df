package torchbin

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"unicode/utf8"

	"slerpmerge/internal/tensor"
)

const (
	descriptorSignature = 0x08074b50

	flagUTF8 = 1 << 11

	// full stands in a field of 4 bytes whose value is in a ZIP64 field.
	full = math.MaxUint32

	// The offset of every body is a multiple of alignment.
	alignment = 64

	// maxOverhead is more than all bytes that are no values: a pickle and
	// as many headers as there can be tensors.
	maxOverhead = 1 << 30
)

// A Layout is a file before its values: everything but the values and their
// checksums follows from the names, types, shapes and ties of the tensors.
type Layout struct {
	// Literals are the bytes known beforehand, in the order of the file. The
	// values lie between them; their slots for checksums hold zeros.
	Literals []Literal

	// Offsets holds for each tensor, in the order given to Encode, where its
	// values begin, in bytes from the start of the file.
	Offsets []int64

	// CRCSlots are the slots for checksums in Literals, in the order of the
	// file. Each one is behind the values that it belongs to, so that the file
	// can be written front to back.
	CRCSlots []CRCSlot

	// Size is the size of the whole file in bytes.
	Size int64
}

// A Literal is bytes of the file and their offset.
type Literal struct {
	Off  int64
	Data []byte
}

// A CRCSlot is a place for the CRC-32 (IEEE) of a storage: 4 bytes, little-endian.
type CRCSlot struct {
	Tensor int // the one that owns the storage
	At     int64
}

// A Table gives tensors one by one.
type Table interface {
	Len() int
	Info(i int) Info
}

type infos []Info

func (t infos) Len() int        { return len(t) }
func (t infos) Info(i int) Info { return t[i] }

// Encode lays out a file as docs/formats.md 3.4 says: an archive of the pickled
// dict, the byte order, one storage for each tensor that is not tied to an
// earlier one, in the order of the tensors, and the version. It follows from
// the arguments alone.
//
// storage[i] is the tensor whose storage tensor i uses: i itself or an earlier
// one that uses its own and has the same type and shape. If storage is nil,
// every tensor has its own.
//
// It is an error if there is no tensor; if a name occurs twice or is not UTF-8;
// if torch has no such type or can't count its elements; if the file would
// exceed 2^63-1 bytes; and if it would exceed a limit of Open.
func Encode(tensors []Info, storage []int) (*Layout, error) {
	l, err := EncodeTable(infos(tensors), storage)
	if err != nil {
		return nil, err
	}
	l.Literals, _, err = Literals(infos(tensors), storage)
	return l, err
}

// EncodeTable is Encode without Literals.
func EncodeTable(tensors Table, storage []int) (*Layout, error) {
	filled, err := check(tensors, storage)
	if err != nil {
		return nil, err
	}
	pickle, err := pickleOf(tensors, storage)
	if err != nil {
		return nil, err
	}
	// Nothing is written that Open would refuse.
	if _, err := newScanner(bytes.NewReader(pickle), 0, int64(len(pickle)), 0).scan(); err != nil {
		return nil, fmt.Errorf("a checkpoint of %d tensors could not be read again: %w", tensors.Len(), err)
	}
	d := draft{Layout: Layout{Offsets: make([]int64, tensors.Len()), CRCSlots: make([]CRCSlot, 0, 2*filled)}}
	d.file(tensors, storage, pickle)
	return &d.Layout, nil
}

// Literals returns the literals of a file that EncodeTable laid out, and its size.
func Literals(tensors Table, storage []int) ([]Literal, int64, error) {
	pickle, err := pickleOf(tensors, storage)
	if err != nil {
		return nil, 0, err
	}
	var size draft
	size.file(tensors, storage, pickle)
	d := draft{
		Layout:    Layout{Literals: make([]Literal, 0, size.parts)},
		kept:      true,
		buf:       make([]byte, 0, size.Size-size.values-size.listed-int64(len(pickle))),
		directory: make([]byte, 0, size.listed),
	}
	d.file(tensors, storage, pickle)
	return d.Literals, d.Size, nil
}

// ownerOf returns the tensor whose storage tensor i uses.
func ownerOf(storage []int, i int) int {
	if storage == nil {
		return i
	}
	return storage[i]
}

// check refuses names, ties and sizes that a file can't have. It counts the
// storages that are not empty.
func check(tensors Table, storage []int) (filled int, err error) {
	n := tensors.Len()
	if storage != nil && len(storage) != n {
		return 0, fmt.Errorf("%d tensors, but storages for %d", n, len(storage))
	}
	if n == 0 {
		return 0, errors.New("a checkpoint without tensors can't be told from another pickle")
	}
	if name, twice := tensor.Repeated(n, func(i int) string { return tensors.Info(i).Name }); twice {
		return 0, fmt.Errorf("the tensor %s occurs twice", quote(name))
	}
	left := uint64(math.MaxInt64 - maxOverhead)
	for i := range n {
		t := tensors.Info(i)
		if !utf8.ValidString(t.Name) {
			return 0, fmt.Errorf("the tensor name %s is not UTF-8", quote(t.Name))
		}
		size, err := t.ByteLen()
		if err != nil {
			return 0, fmt.Errorf("tensor %s: %s: %w", quote(t.Name), t.DType, err)
		}
		owner := ownerOf(storage, i)
		if owner == i {
			if size > left {
				return 0, fmt.Errorf("tensor %s: the file would exceed 2^63-1 bytes", quote(t.Name))
			}
			left -= size
			if size > 0 {
				filled++
			}
			continue
		}
		if owner < 0 || owner > i || storage[owner] != owner || t.DType != tensors.Info(owner).DType || !t.SameShape(tensors.Info(owner)) {
			return 0, fmt.Errorf("tensor %s: tied to tensor %d, which is no earlier one like it with a storage", quote(t.Name), owner)
		}
	}
	return filled, nil
}

// A draft is an unfinished Layout. Bytes of the format collect in buf until a
// literal is made of them, which begins at Size. Literals are kept, or
// only counted. Offsets and CRCSlots are made if there is room for them.
type draft struct {
	Layout
	kept      bool
	parts     int
	buf       []byte
	directory []byte // if it is kept
	listed    int64  // bytes of the directory
	late      int    // of CRCSlots, those from here on are counted from the start of the directory
	entries   int64
	values    int64 // bytes
	name      []byte
}

// file drafts the whole file.
func (d *draft) file(tensors Table, storage []int, pickle []byte) {
	d.whole("data.pkl", pickle)
	d.whole("byteorder", []byte("little"))
	d.storages(tensors, storage)
	d.whole("version", []byte("3\n"))
	d.end()
}

func (d *draft) storages(tensors Table, storage []int) {
	key := int64(0)
	half := cap(d.CRCSlots) / 2
	d.late = half
	d.CRCSlots = d.CRCSlots[:cap(d.CRCSlots)]
	filled := 0
	for i := range tensors.Len() {
		owner := ownerOf(storage, i)
		if owner == i {
			size := tensors.Info(i).Bytes()
			place := d.listed + 16
			d.name = strconv.AppendInt(append(d.name[:0], "archive/data/"...), key, 10)
			d.begin(d.name, size, 0, size > 0)
			if d.Offsets != nil {
				d.Offsets[i] = d.Size
			}
			d.skip(size)
			if size > 0 && half > 0 {
				d.CRCSlots[filled], d.CRCSlots[half+filled] = CRCSlot{i, d.Size + 4}, CRCSlot{i, place}
				filled++
			}
			key++
		}
		if d.Offsets != nil {
			d.Offsets[i] = d.Offsets[owner]
		}
	}
}

// cut makes a literal of the bytes in buf.
func (d *draft) cut() {
	d.part(d.buf[:len(d.buf):len(d.buf)])
	if d.kept {
		d.buf = d.buf[len(d.buf):]
	} else {
		d.buf = d.buf[:0]
	}
}

func (d *draft) part(b []byte) {
	if d.kept {
		d.Literals = append(d.Literals, Literal{d.Size, b})
	}
	d.parts++
	d.Size += int64(len(b))
}

// whole writes an entry whose content is known.
func (d *draft) whole(name string, body []byte) {
	crc := uint32(0)
	if d.kept {
		crc = crc32.ChecksumIEEE(body)
	}
	d.begin([]byte("archive/"+name), int64(len(body)), crc, false)
	d.part(body)
}

// begin writes the header of an entry, whose body begins at Size then, and its
// line in the directory. A checksum that is not known yet stands
// in a descriptor behind the body; that of no bytes is 0.
func (d *draft) begin(name []byte, size int64, crc uint32, descriptor bool) {
	e := entry{flags: flagUTF8, crc: crc, size: size, header: d.Size + int64(len(d.buf))}
	if descriptor {
		e.flags |= flagDescriptor
	}
	d.buf = appendLocal(d.buf, &e, name)
	d.cut()
	if !d.kept {
		d.directory = d.directory[:0]
	}
	before := len(d.directory)
	d.directory = appendCentral(d.directory, &e, name)
	d.listed += int64(len(d.directory) - before)
	d.entries++
}

// version returns the least that a reader must know: 4.5 has ZIP64.
func (e *entry) version() int64 {
	if e.size >= full || e.header >= full {
		return 45
	}
	return 20
}

// appendLocal appends a local header, padded so that the body is aligned. If a
// descriptor follows the body, the sizes are there or in the ZIP64 field.
func appendLocal(b []byte, e *entry, file []byte) []byte {
	var zip64 []byte
	size := min(e.size, full)
	if size == full {
		zip64 = put(put(nil, 2, 1, 16), 8, e.size, e.size)
	} else if e.flags&flagDescriptor != 0 {
		size = 0
	}
	name, extra := int64(len(file)), int64(len(zip64))+4
	pad := -(e.header + localLen + name + extra) & (alignment - 1)
	b = put(b, 4, localSignature)
	b = put(b, 2, e.version(), int64(e.flags), stored, 0, 0) // torch writes no date
	b = put(b, 4, int64(e.crc), size, size)
	b = put(b, 2, name, extra+pad)
	b = append(append(b, file...), zip64...)
	b = put(append(b, "FB"...), 2, pad)
	for range pad {
		b = append(b, 'Z')
	}
	return b
}

// appendCentral appends an entry of the directory.
func appendCentral(b []byte, e *entry, file []byte) []byte {
	var wide []int64
	if e.size >= full {
		wide = append(wide, e.size, e.size)
	}
	if e.header >= full {
		wide = append(wide, e.header)
	}
	var zip64 []byte
	if len(wide) > 0 {
		zip64 = put(put(nil, 2, 1, int64(8*len(wide))), 8, wide...)
	}
	size := min(e.size, full)
	b = put(b, 4, centralSignature)
	b = put(b, 2, e.version(), e.version(), int64(e.flags), stored, 0, 0)
	b = put(b, 4, int64(e.crc), size, size)
	b = put(b, 2, int64(len(file)), int64(len(zip64)), 0, 0, 0)
	b = put(b, 4, 0, min(e.header, full))
	return append(append(b, file...), zip64...)
}

// skip leaves out the values of a tensor and writes their descriptor.
func (d *draft) skip(size int64) {
	d.Size += size
	d.values += size
	if size == 0 {
		return
	}
	wide := 4
	if size >= full {
		wide = 8
	}
	d.buf = put(put(d.buf, 4, descriptorSignature, 0), wide, size, size)
}

// end writes the directory and the end records.
func (d *draft) end() {
	start, n := d.Size, d.listed
	if d.kept {
		d.part(d.directory)
	} else {
		d.parts++
		d.Size += n
	}
	for i := d.late; i < len(d.CRCSlots); i++ {
		d.CRCSlots[i].At += start
	}

	b := put(d.buf, 4, end64Signature)
	b = put(b, 8, end64Len-12)
	b = put(b, 2, 45, 45)
	b = put(b, 4, 0, 0)
	b = put(b, 8, d.entries, d.entries, n, start)
	b = put(b, 4, locator64Signature, 0)
	b = put(b, 8, d.Size)
	b = put(b, 4, 1)

	count := min(d.entries, math.MaxUint16)
	b = put(b, 4, endSignature)
	b = put(b, 2, 0, 0, count, count)
	b = put(b, 4, min(n, full), min(start, full))
	d.buf = put(b, 2, 0)
	d.cut()
}

// put appends integers of size bytes, little-endian.
func put(b []byte, size int, values ...int64) []byte {
	for _, v := range values {
		for range size {
			b = append(b, byte(v))
			v >>= 8
		}
	}
	return b
}
