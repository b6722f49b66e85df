package torchbin

import (
	"bytes"
	"cmp"
	"compress/flate"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// maxUnpacked is the most bytes that a deflated entry may have, for they are
// held in memory. torch.save deflates nothing.
const maxUnpacked = 32 << 20

// find returns an entry by its name below the prefix, nil if there is none. It
// is an error if there is one in another case: torch's ZIP reader takes it, other
// readers do not.
func (a *archive) find(name string) (*entry, error) {
	i, ok := slices.BinarySearchFunc(a.byName, strings.ToLower(name), func(i int32, name string) int { return cmp.Compare(a.lower(i), name) })
	if !ok {
		return nil, nil
	}
	e := &a.entries[a.byName[i]]
	if e.name != name {
		return nil, malformed("the entry %s differs from %s only in case", quote(e.name), quote(name))
	}
	return e, nil
}

// A record is the content of an entry, or the place of a pickle in a legacy
// stream.
type record struct {
	r    io.ReaderAt
	base int64
	size int64
}

// content gives the content of an entry of at most most bytes: stored ones
// stay in the file, deflated ones are unpacked. If the directory has a
// checksum, it is verified.
func (a *archive) content(e *entry, most int64) (record, error) {
	if n := max(e.size, e.packed); n > most {
		return record{}, malformed("%s has %d bytes, more than %d", quote(e.name), n, most)
	}
	rec := record{a.f, e.body, e.size}
	switch e.method {
	case stored:
	case deflated:
		if e.size > maxUnpacked {
			return record{}, malformed("%s is compressed and has %d bytes, more than %d", quote(e.name), e.size, maxUnpacked)
		}
		packed := flate.NewReader(io.NewSectionReader(a.f, e.body, e.packed))
		buf := make([]byte, e.size)
		n, err := io.ReadFull(packed, buf)
		if err == nil { // the end must follow
			var more int
			if more, err = io.ReadFull(packed, make([]byte, 1)); err == io.EOF {
				err = nil
			}
			n += more
		}
		var corrupt flate.CorruptInputError
		if errors.As(err, &corrupt) || err == io.EOF || err == io.ErrUnexpectedEOF || err == nil && n != len(buf) {
			return record{}, malformed("%s can't be unpacked to its %d bytes", quote(e.name), e.size)
		}
		if err != nil {
			return record{}, err
		}
		rec = record{bytes.NewReader(buf), 0, e.size}
	default:
		return record{}, malformed("%s is compressed by method %d", quote(e.name), e.method)
	}
	if e.crc == 0 {
		return rec, nil
	}
	h := crc32.NewIEEE()
	n, err := io.CopyBuffer(h, io.NewSectionReader(rec.r, rec.base, rec.size), make([]byte, 64<<10))
	switch {
	case err != nil:
		return record{}, err
	case n != rec.size:
		return record{}, io.ErrUnexpectedEOF
	case h.Sum32() != e.crc:
		return record{}, malformed("%s is damaged: its checksum is wrong", quote(e.name))
	}
	return rec, nil
}

// text gives the content of a small entry.
func (a *archive) text(e *entry) (string, error) {
	rec, err := a.content(e, 64)
	if err != nil {
		return "", err
	}
	b := make([]byte, rec.size)
	err = readFull(rec.r, b, rec.base)
	return string(b), err
}

// openZip reads a checkpoint of the ZIP form.
func openZip(f File, size int64, opt Options) (*Checkpoint, error) {
	a, err := openArchive(f, size)
	if err != nil {
		return nil, err
	}
	if err := a.checkKind(); err != nil {
		return nil, err
	}
	pkl, err := a.find("data.pkl")
	if err != nil {
		return nil, err
	}
	rec, err := a.content(pkl, maxPickle)
	if err != nil {
		return nil, err
	}
	d, top, err := unpickle(rec, 0, false, opt.Memory)
	if err != nil {
		return nil, within("data.pkl", err)
	}
	for _, s := range d.order {
		if err := a.place(s); err != nil {
			return nil, err
		}
	}
	directory, many := a.start, len(d.order) >= manyStorages
	d.release() // it can go before the table is made, and so can the archive
	if many && opt.Memory > 0 {
		runtime.GC() // the table is made at once, and nearly as large
	}
	c, err := table("torch-zip", top, opt.Entry)
	if err != nil {
		return nil, err
	}
	c.Directory = directory
	return c, nil
}

// manyStorages: from here on it matters what the decoder leaves behind.
const manyStorages = 4096

// checkKind makes sure that the archive is a checkpoint of a known version.
func (a *archive) checkKind() error {
	var found [4]*entry
	for i, name := range []string{"data.pkl", "version", ".data/version", "byteorder"} {
		var err error
		if found[i], err = a.find(name); err != nil {
			return err
		}
	}
	pkl, version, order := found[0], found[1], found[3]
	if pkl == nil || version == nil {
		return malformed("the archive has no data.pkl and version, so torch.save did not write it")
	}
	if found[2] != nil { // torch prefers it
		return malformed("the archive has two versions")
	}
	text, err := a.text(version)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(strings.TrimSuffix(text, "\n"), 10, 8); err != nil || n < 1 || n > 10 {
		return malformed("the version %s of the archive is not known, only 1 to 10", quote(text))
	}
	if order == nil {
		return nil
	}
	if text, err = a.text(order); err != nil {
		return err
	}
	if text != "little" {
		return malformed("the byte order %s is not read, only little", quote(text))
	}
	return nil
}

// place finds the record of a storage.
func (a *archive) place(s *storage) error {
	e, err := a.find("data/" + s.key)
	switch {
	case err != nil:
		return err
	case e == nil:
		return malformed("the archive lacks the storage %s", quote(s.key))
	case e.method != stored:
		return malformed("the storage %s is compressed, which torch.save does not do", quote(s.key))
	case e.size != s.count*s.size():
		return malformed("the storage %s has %d bytes, but %d elements of %d bytes are declared", quote(s.key), e.size, s.count, s.size())
	}
	s.base, s.placed = e.body, true
	return nil
}

// unpickle scans a pickle and then decodes it. Messages call its first byte
// base. If memory is not 0, its values may take as much.
func unpickle(rec record, base int64, legacy bool, memory int64) (*decoder, any, error) {
	first := newScanner(rec.r, rec.base, rec.size, base)
	n, err := first.scan()
	if err != nil {
		return nil, nil, accuse(err, rec.r, rec.base, rec.size, base)
	}
	if need := first.peak * heldTruly / 100; memory > 0 && need > memory {
		return nil, nil, &MemoryError{need}
	}
	if !legacy && n != rec.size {
		return nil, nil, malformed("%d bytes follow STOP at byte %d", rec.size-n, base+n-1)
	}
	second := newScanner(rec.r, rec.base, n, base)
	second.keep = first.read
	d := newDecoder(second, legacy)
	v, err := d.decode()
	return d, v, err
}
