package torchbin

import (
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

	// alignment is what the place of every body is a multiple of.
	alignment = 64

	// maxOverhead is more than all bytes that are no values: a pickle and
	// as many headers as there can be tensors.
	maxOverhead = 1 << 30
)

// A Layout is a file before its values: everything but the values and their
// checksums follows from the names, types, shapes and ties of the tensors.
type Layout struct {
	// Parts are the bytes known beforehand, in the order of the file. What
	// they leave out are the values; for checksums they hold zeros.
	Parts []Part

	// Offsets holds for each tensor, in the order given to Encode, where its
	// values begin, in bytes from the start of the file.
	Offsets []int64

	// Sums are the places of the checksums in Parts, in the order of the
	// file. All of them are behind the values that they belong to, so that
	// the file can be written front to back.
	Sums []Sum

	// Size is the size of the whole file in bytes.
	Size int64
}

// A Part is a piece of the file and its place.
type Part struct {
	Off  int64
	Data []byte
}

// A Sum is a place for the CRC-32 (IEEE) of a storage: 4 bytes, little-endian.
type Sum struct {
	Tensor int // the one that owns the storage
	At     int64
}

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
func Encode(tensors []tensor.Info, storage []int) (*Layout, error) {
	if storage == nil {
		storage = make([]int, len(tensors))
		for i := range storage {
			storage[i] = i
		}
	}
	if err := check(tensors, storage); err != nil {
		return nil, err
	}
	pkl, err := pickleOf(tensors, storage)
	if err != nil {
		return nil, err
	}
	d := draft{
		Layout:    Layout{Offsets: make([]int64, len(tensors)), Sums: make([]Sum, 0, 2*len(tensors))},
		buf:       make([]byte, 0, 1<<10+2*alignment*len(tensors)),
		directory: make([]byte, 0, 1<<10+80*len(tensors)),
	}
	d.whole("data.pkl", pkl)
	d.whole("byteorder", []byte("little"))
	key := int64(0)
	for i, owner := range storage {
		if owner == i {
			d.begin("data/"+strconv.FormatInt(key, 10), tensors[i].Bytes(), 0, i)
			d.Offsets[i] = d.Size
			d.values(i, tensors[i].Bytes())
			key++
		}
		d.Offsets[i] = d.Offsets[owner]
	}
	d.whole("version", []byte("3\n"))
	d.end()
	return &d.Layout, nil
}

// check refuses names, ties and sizes that a file can't have.
func check(tensors []tensor.Info, storage []int) error {
	if len(storage) != len(tensors) {
		return fmt.Errorf("%d tensors, but storages for %d", len(tensors), len(storage))
	}
	if len(tensors) == 0 {
		return errors.New("a checkpoint without tensors can't be told from another pickle")
	}
	if name, twice := tensor.Repeated(len(tensors), func(i int) string { return tensors[i].Name }); twice {
		return fmt.Errorf("the tensor %s occurs twice", quote(name))
	}
	left := uint64(math.MaxInt64 - maxOverhead)
	for i := range tensors {
		t := &tensors[i]
		if !utf8.ValidString(t.Name) {
			return fmt.Errorf("the tensor name %s is not UTF-8", quote(t.Name))
		}
		size, err := t.ByteLen()
		if err != nil {
			return fmt.Errorf("tensor %s: %s: %w", quote(t.Name), t.DType, err)
		}
		owner := storage[i]
		if owner == i {
			if size > left {
				return fmt.Errorf("tensor %s: the file would exceed 2^63-1 bytes", quote(t.Name))
			}
			left -= size
			continue
		}
		if owner < 0 || owner > i || storage[owner] != owner ||
			t.DType != tensors[owner].DType || !t.SameShape(tensors[owner]) {
			return fmt.Errorf("tensor %s: tied to tensor %d, which is no earlier one like it with a storage", quote(t.Name), owner)
		}
	}
	return nil
}

// A draft is a Layout in the making. What is written goes to buf until it is
// cut off as a part; Size is where the next part begins.
type draft struct {
	Layout
	buf       []byte
	directory []byte
	late      []Sum // in the directory, counted from its start
	entries   int64
}

// cut makes what was written a part.
func (d *draft) cut() {
	d.part(d.buf[:len(d.buf):len(d.buf)])
	d.buf = d.buf[len(d.buf):]
}

func (d *draft) part(b []byte) {
	d.Parts = append(d.Parts, Part{d.Size, b})
	d.Size += int64(len(b))
}

// whole writes an entry whose content is known.
func (d *draft) whole(name string, body []byte) {
	d.begin(name, int64(len(body)), crc32.ChecksumIEEE(body), -1)
	d.part(body)
}

// begin writes what stands before the body of an entry, which begins at Size
// then, and its place in the directory. Values of the tensor owner have no
// checksum yet; the owner of anything else is -1.
func (d *draft) begin(name string, size int64, crc uint32, owner int) {
	e := entry{name: "archive/" + name, flags: flagUTF8, crc: crc, size: size, header: d.Size + int64(len(d.buf))}
	if owner >= 0 && size > 0 { // without bytes the checksum is 0
		e.flags |= flagDescriptor
		d.late = append(d.late, Sum{owner, int64(len(d.directory)) + 16})
	}
	d.buf = appendLocal(d.buf, &e)
	d.cut()
	d.directory = appendCentral(d.directory, &e)
	d.entries++
}

// version is the least that a reader must know: 4.5 has ZIP64.
func (e *entry) version() int64 {
	if e.size >= full || e.header >= full {
		return 45
	}
	return 20
}

// appendLocal appends a local header, padded so that the body is aligned. If a
// descriptor follows the body, the sizes are there or in the ZIP64 field.
func appendLocal(b []byte, e *entry) []byte {
	var zip64 []byte
	size := min(e.size, full)
	if size == full {
		zip64 = put(put(nil, 2, 1, 16), 8, e.size, e.size)
	} else if e.flags&flagDescriptor != 0 {
		size = 0
	}
	name, extra := int64(len(e.name)), int64(len(zip64))+4
	pad := -(e.header + localLen + name + extra) & (alignment - 1)
	b = put(b, 4, localSignature)
	b = put(b, 2, e.version(), int64(e.flags), stored, 0, 0) // torch writes no date
	b = put(b, 4, int64(e.crc), size, size)
	b = put(b, 2, name, extra+pad)
	b = append(append(b, e.name...), zip64...)
	b = put(append(b, "FB"...), 2, pad)
	for range pad {
		b = append(b, 'Z')
	}
	return b
}

// appendCentral appends an entry of the directory.
func appendCentral(b []byte, e *entry) []byte {
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
	b = put(b, 2, int64(len(e.name)), int64(len(zip64)), 0, 0, 0)
	b = put(b, 4, 0, min(e.header, full))
	return append(append(b, e.name...), zip64...)
}

// values leaves out the values of a tensor and writes their descriptor.
func (d *draft) values(owner int, size int64) {
	d.Size += size
	if size == 0 {
		return
	}
	d.Sums = append(d.Sums, Sum{owner, d.Size + 4})
	wide := 4
	if size >= full {
		wide = 8
	}
	d.buf = put(put(d.buf, 4, descriptorSignature, 0), wide, size, size)
}

// end writes the directory and the end records.
func (d *draft) end() {
	start, n := d.Size, int64(len(d.directory))
	for _, s := range d.late {
		d.Sums = append(d.Sums, Sum{s.Tensor, start + s.At})
	}
	d.part(d.directory)

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
