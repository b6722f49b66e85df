package torchbin

import (
	"bytes"
	"compress/flate"
	"errors"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
)

// find returns an entry by its name below the prefix.
func (a *archive) find(name string) *entry {
	if i, ok := a.byName[name]; ok {
		return &a.entries[i]
	}
	return nil
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
	if e.size > most {
		return record{}, malformed("%s has %d bytes, more than %d", quote(e.name), e.size, most)
	}
	rec := record{a.f, e.body, e.size}
	switch e.method {
	case stored:
	case deflated:
		packed := io.NewSectionReader(a.f, e.body, e.packed)
		buf := bytes.NewBuffer(make([]byte, 0, min(e.size, 1<<20)+bytes.MinRead))
		_, err := io.Copy(buf, io.LimitReader(flate.NewReader(packed), e.size+1))
		var corrupt flate.CorruptInputError
		if errors.As(err, &corrupt) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && int64(buf.Len()) != e.size {
			return record{}, malformed("%s can't be unpacked to its %d bytes", quote(e.name), e.size)
		}
		if err != nil {
			return record{}, err
		}
		rec = record{bytes.NewReader(buf.Bytes()), 0, e.size}
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
func openZip(f File, size int64) (*Checkpoint, error) {
	a, err := openArchive(f, size)
	if err != nil {
		return nil, err
	}
	if err := a.checkKind(); err != nil {
		return nil, err
	}
	rec, err := a.content(a.find("data.pkl"), maxPickle)
	if err != nil {
		return nil, err
	}
	d, top, err := unpickle(rec, 0, false)
	if err != nil {
		return nil, within("data.pkl", err)
	}
	for _, s := range d.storages {
		if err := a.place(s); err != nil {
			return nil, err
		}
	}
	return table("torch-zip", top)
}

// checkKind makes sure that the archive is a checkpoint of a known version.
func (a *archive) checkKind() error {
	pkl, version := a.find("data.pkl"), a.find("version")
	if pkl == nil || version == nil {
		return malformed("the archive has no data.pkl and version, so torch.save did not write it")
	}
	text, err := a.text(version)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(strings.TrimSuffix(text, "\n"), 10, 8); err != nil || n < 1 || n > 10 {
		return malformed("the version %s of the archive is not known", quote(text))
	}
	order := a.find("byteorder")
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
	e := a.find("data/" + s.key)
	switch {
	case e == nil:
		return malformed("the archive lacks the storage %s", quote(s.key))
	case e.method != stored:
		return malformed("the storage %s is compressed; torch.save stores them", quote(s.key))
	case e.size != s.count*s.size():
		return malformed("the storage %s has %d bytes, but %d elements of %d bytes are declared", quote(s.key), e.size, s.count, s.size())
	}
	s.base, s.placed = e.body, true
	return nil
}

// unpickle scans a pickle and then decodes it. Messages count bytes from
// origin.
func unpickle(rec record, origin int64, legacy bool) (*decoder, any, error) {
	n, err := newScanner(rec.r, rec.base, rec.size, rec.base-origin).scan()
	if err != nil {
		return nil, nil, err
	}
	if !legacy && n != rec.size {
		return nil, nil, malformed("%d bytes follow STOP at byte %d", rec.size-n, n-1)
	}
	d := newDecoder(newScanner(rec.r, rec.base, n, rec.base-origin), legacy)
	v, err := d.decode()
	return d, v, err
}
