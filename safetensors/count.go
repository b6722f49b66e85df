package safetensors

import "io"

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

// CountIndex counts the tensors of an index of size bytes, and the bytes of
// their names.
func CountIndex(r io.ReaderAt, size int64) (tensors, text int64, err error) {
	if size > MaxIndex {
		return 0, 0, malformed("an index of %d bytes is longer than %d", size, MaxIndex)
	}
	s := newScanner(r, "index", 0, max(0, size))
	var ignored int64
	err = s.count(func(name []byte) error {
		if string(name) != "weight_map" || s.peek() != '{' {
			return s.skip()
		}
		return s.count(func([]byte) error {
			tensors++
			return s.skip()
		}, &text)
	}, &ignored)
	return tensors, text, err
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
