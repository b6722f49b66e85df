package safetensors

import (
	"fmt"
	"io"
	"math/bits"
	"unicode/utf8"
)

const (
	windowSize = 64 << 10

	// maxDepth bounds the containers that are open at once: the reference's
	// decoder stops at its recursion limit of 128.
	maxDepth = 127

	// longestToken bytes must be in the window at once: an escaped pair of
	// surrogates takes 12, 2^64-1 and the byte after it 21.
	longestToken = 24
)

// A scanner reads JSON by RFC 8259, strictly, from a stretch of a file. It
// sees the text through a window, so that neither white space nor anything
// that is skipped takes memory, however long.
//
// Failing to read is sticky: the text seems to end there, and the error that
// follows from that is replaced by the cause.
type scanner struct {
	r     io.ReaderAt
	noun  string // for the text, in messages
	base  int64  // where the text begins in r
	size  int64  // its length
	buf   []byte // the window
	off   int64  // where the window begins in the text
	pos   int    // the next byte in the window
	depth int
	err   error // from reading

	tmp      []byte // for text that is not in the window as it stands
	borrowed bool   // the last text is part of the window
}

func newScanner(r io.ReaderAt, noun string, base, size int64) *scanner {
	return &scanner{r: r, noun: noun, base: base, size: size, buf: make([]byte, 0, min(size, windowSize))}
}

func (s *scanner) offset() int64 { return s.off + int64(s.pos) }

// seek goes back to a place that has been passed.
func (s *scanner) seek(off int64) {
	if off >= s.off {
		s.pos = int(off - s.off)
		return
	}
	s.buf, s.off, s.pos = s.buf[:0], off, 0
}

// want brings n bytes into the window, or as many as the text still has, and
// returns them with the rest of the window.
func (s *scanner) want(n int) []byte {
	if len(s.buf)-s.pos < n && s.off+int64(len(s.buf)) < s.size && s.err == nil {
		s.refill()
	}
	return s.buf[s.pos:]
}

func (s *scanner) refill() {
	kept := copy(s.buf, s.buf[s.pos:])
	s.off += int64(s.pos)
	s.pos = 0
	n := int(min(int64(cap(s.buf)), s.size-s.off))
	s.buf = s.buf[:n]
	got, err := s.r.ReadAt(s.buf[kept:], s.base+s.off+int64(kept))
	if got < n-kept {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		s.err = fmt.Errorf("reading the %s: %w", s.noun, err)
		s.buf = s.buf[:kept+got]
	}
}

// fail makes the error for the place that the scanner has reached.
func (s *scanner) fail(format string, args ...any) error {
	if s.err != nil {
		return s.err
	}
	return malformed("%s at byte %d of the %s", fmt.Sprintf(format, args...), s.offset(), s.noun)
}

// expected fails on the next byte.
func (s *scanner) expected(what string) error {
	b := s.want(1)
	if len(b) == 0 {
		return s.fail("expected %s but found the end", what)
	}
	if b[0] < ' ' || b[0] > '~' {
		return s.fail("expected %s but found byte 0x%02x", what, b[0])
	}
	return s.fail("expected %s but found %q", what, rune(b[0]))
}

// peek skips white space and returns the next byte, 0 at the end of the text.
// A NUL in the text reads as 0 too; no value begins with either.
func (s *scanner) peek() byte {
	for {
		for i, c := range s.buf[s.pos:] {
			if c != ' ' && c != '\n' && c != '\r' && c != '\t' {
				s.pos += i
				return c
			}
		}
		s.pos = len(s.buf)
		if len(s.want(1)) == 0 {
			return 0
		}
	}
}

// end checks that nothing but white space is left.
func (s *scanner) end() error {
	if s.peek() != 0 || s.offset() < s.size || s.err != nil {
		return s.expected("nothing more")
	}
	return nil
}

// object reads an object. The name given to member is valid until member
// calls the scanner; member must read the value.
func (s *scanner) object(member func(name []byte) error) error {
	if s.peek() != '{' {
		return s.expected("an object")
	}
	more, err := s.open('}')
	for more && err == nil {
		var name []byte
		if name, err = s.name(); err != nil {
			break
		}
		if err = member(name); err == nil {
			more, err = s.next('}')
		}
	}
	return err
}

// open passes the bracket at the scanner's position and reports whether the
// container has any content.
func (s *scanner) open(closing byte) (more bool, err error) {
	if s.depth == maxDepth {
		return false, s.fail("more than %d arrays and objects are open", maxDepth)
	}
	s.pos++
	if s.peek() == closing {
		s.pos++
		return false, nil
	}
	s.depth++
	return true, nil
}

// next passes the comma or the bracket after a value and reports whether another
// value follows.
func (s *scanner) next(closing byte) (more bool, err error) {
	switch s.peek() {
	case ',':
		s.pos++
		return true, nil
	case closing:
		s.pos++
		s.depth--
		return false, nil
	}
	if closing == ']' {
		return false, s.expected("a comma or the end of the array")
	}
	return false, s.expected("a comma or the end of the object")
}

// name reads the name of a member and the colon.
func (s *scanner) name() ([]byte, error) {
	name, err := s.text()
	if err != nil {
		return nil, err
	}
	if s.pos >= len(s.buf) || s.buf[s.pos] != ':' {
		if s.borrowed { // and the window may move
			s.tmp = append(s.tmp[:0], name...)
			name = s.tmp
		}
		if s.peek() != ':' {
			return nil, s.expected("a colon")
		}
	}
	s.pos++
	return name, nil
}

// skip checks a value of any kind and drops it.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func([]byte) error { return s.skip() })
	case c == '[':
		more, err := s.open(']')
		for more && err == nil {
			if err = s.skip(); err == nil {
				more, err = s.next(']')
			}
		}
		return err
	case c == '"':
		s.pos++
		_, _, err := s.characters(nil)
		return err
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	case c == '-' || isDigit(c):
		return s.number()
	}
	return s.expected("a value")
}

func (s *scanner) word(w string) error {
	if b := s.want(longestToken); len(b) < len(w) || string(b[:len(w)]) != w {
		return s.expected("a value")
	}
	s.pos += len(w)
	return nil
}

// uint reads an integer from 0 to 2^64-1 written without sign, fraction,
// exponent or leading zero.
func (s *scanner) uint() (uint64, error) {
	if !isDigit(s.peek()) {
		return 0, s.expected("an integer from 0")
	}
	b := s.want(longestToken)
	var n uint64
	i := 0
	for ; i < len(b) && isDigit(b[i]); i++ {
		hi, lo := bits.Mul64(n, 10)
		sum, carry := bits.Add64(lo, uint64(b[i]-'0'), 0)
		if hi != 0 || carry != 0 {
			return 0, s.fail("an integer beyond 2^64-1")
		}
		n = sum
	}
	switch {
	case b[0] == '0' && i > 1:
		return 0, s.fail("an integer with a leading zero")
	case i < len(b) && (b[i] == '.' || b[i]|' ' == 'e'):
		return 0, s.fail("an integer with a fraction or an exponent")
	}
	s.pos += i
	return n, nil
}

// uints appends an array of integers to dst, at most that many.
func (s *scanner) uints(dst []uint64, most int) ([]uint64, error) {
	if s.peek() != '[' {
		return dst, s.expected("an array")
	}
	more, err := s.open(']')
	for n := 0; more && err == nil; n++ {
		if n == most {
			return dst, s.fail("more than %d numbers", most)
		}
		var v uint64
		if v, err = s.uint(); err == nil {
			dst = append(dst, v)
			more, err = s.next(']')
		}
	}
	return dst, err
}

// text reads a string and decodes its escapes. The result is valid until the
// scanner is called again.
//
// A first pass checks the string and finds its length. As a rule that leaves
// it in the window as it stands; else a second pass decodes it into a buffer
// of just that length.
func (s *scanner) text() ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.expected("a string")
	}
	s.pos++
	start := s.offset()
	n, plain, err := s.characters(nil)
	if err != nil {
		return nil, err
	}
	s.borrowed = plain && start >= s.off
	if s.borrowed {
		return s.buf[start-s.off:][:n], nil
	}
	s.seek(start)
	dst := s.tmp[:0]
	if cap(dst) < n {
		dst = make([]byte, 0, n)
		if n <= windowSize {
			s.tmp = dst
		}
	}
	if _, _, err := s.characters(&dst); err != nil {
		return nil, err
	}
	return dst, nil
}

// characters reads a string from behind its opening quote to behind its
// closing one. It returns the length of the decoded text and whether that is
// spelled without escapes, and appends the text to dst unless that is nil.
func (s *scanner) characters(dst *[]byte) (n int, plain bool, err error) {
	plain = true
	for {
		b := s.want(longestToken)
		i := 0
		for i < len(b) && plainByte[b[i]] {
			i++
		}
		if dst != nil {
			*dst = append(*dst, b[:i]...)
		}
		n += i
		s.pos += i
		if i > 0 && len(b)-i < longestToken {
			continue // what follows may be cut by the window's end
		}
		if i == len(b) {
			return 0, false, s.fail("a string that does not end")
		}
		var r rune
		var size int
		switch c := b[i]; {
		case c == '"':
			s.pos++
			return n, plain, nil
		case c == '\\':
			plain = false
			if r, size = unescape(b[i:]); size == 0 {
				return 0, false, s.fail("a bad escape")
			}
		case c < ' ':
			return 0, false, s.fail("a raw control character in a string")
		default:
			if r, size = utf8.DecodeRune(b[i:]); r == utf8.RuneError && size <= 1 {
				return 0, false, s.fail("invalid UTF-8")
			}
		}
		if dst != nil {
			*dst = utf8.AppendRune(*dst, r)
		}
		n += utf8.RuneLen(r)
		s.pos += size
	}
}

// plainByte marks the ASCII characters that stand for themselves in a string.
var plainByte = func() (t [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return
}()

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
