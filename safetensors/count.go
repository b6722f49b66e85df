package safetensors

import (
	"bytes"
	"io"
)

// A tensor takes at least minHeaderEntry bytes of a header, and MinIndexEntry
// of an index.
const (
	minHeaderEntry = 48
	MinIndexEntry  = 12
)

// CountHeader counts the tensors of a file of size bytes, and the bytes of
// their names and of the metadata, without keeping any of them. If it need not
// be exact it reads the length of the header alone, and gives the most that can
// be in it. What it does not look at may be malformed.
func CountHeader(r io.ReaderAt, size int64, exact bool) (tensors, text int64, err error) {
	n, err := headerLength(r, size)
	if err != nil || !exact {
		return n / minHeaderEntry, n, err
	}
	s := newScanner(r, "header", lengthSize, n)
	err = s.count(func(name []byte) error {
		start := s.offset()
		if err := s.skip(); err != nil {
			return err
		}
		if string(name) == metadataName {
			text += s.offset() - start
		} else {
			tensors++
		}
		return nil
	}, &text)
	return tensors, text, err
}

// An IndexCount is what an index holds.
type IndexCount struct {
	Tensors int64
	Text    int64 // bytes of their names
	Largest int64 // tensors of the file that has most; 0 if there are too many files to tell
}

// Files of an index are told apart by the first bytes of their names, up to so many
// files.
const (
	countedFiles = 1 << 14
	countedName  = 256
)

// CountIndex counts what is in an index of size bytes, without holding it.
func CountIndex(r io.ReaderAt, size int64) (c IndexCount, err error) {
	if size > MaxIndex {
		return c, malformed("an index of %d bytes is longer than %d", size, MaxIndex)
	}
	s := newScanner(r, "index", 0, max(0, size))
	files := map[string]int64{}
	var ignored int64
	err = s.count(func(name []byte) error {
		if string(name) != "weight_map" || s.peek() != '{' {
			return s.skip()
		}
		return s.count(func([]byte) error {
			c.Tensors++
			if s.peek() == '"' && len(files) <= countedFiles {
				value := s.want(countedName)
				value = value[:min(len(value), countedName)]
				if end := bytes.IndexByte(value[1:], '"'); end >= 0 {
					value = value[:end+1]
				}
				files[string(value)]++
			}
			return s.skip()
		}, &c.Text)
	}, &ignored)
	for _, n := range files {
		c.Largest = max(c.Largest, n)
	}
	if len(files) > countedFiles {
		c.Largest = 0
	}
	return c, err
}

// count reads an object as object does, and adds up the bytes of its names
// without holding a long one. member gets the first bytes of each.
func (s *scanner) count(member func(name []byte) error, text *int64) error {
	if s.peek() != '{' {
		return s.expected("an object")
	}
	var first [len(metadataName) + 1]byte
	more, err := s.open('}')
	for more && err == nil {
		if s.peek() != '"' {
			return s.expected("a string")
		}
		s.pos++
		head := first[:copy(first[:], s.want(len(first)))]
		for i, c := range head {
			if c == '"' {
				head = head[:i]
				break
			}
		}
		n, _, err := s.characters(nil)
		if err != nil {
			return err
		}
		*text += int64(n)
		if s.peek() != ':' {
			return s.expected("a colon")
		}
		s.pos++
		if err = member(head); err != nil {
			return err
		}
		if more, err = s.next('}'); err != nil {
			return err
		}
	}
	return err
}
