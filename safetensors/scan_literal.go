package safetensors

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// unescape decodes the escape at the start of b, which holds all of it unless
// the text ends before. Size 0 means that it is not a valid one; half of a
// surrogate pair is not.
func unescape(b []byte) (r rune, size int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, ok := hex4(b[2:])
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
			return 0, 0
		}
		low, ok := hex4(b[8:])
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return 0, 0
		}
		return r, 12
	}
	return 0, 0
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case isDigit(c):
			c -= '0'
		case 'a' <= c|' ' && c|' ' <= 'f':
			c = c | ' ' - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// maxNumber is the greatest length of a number in an ignored member. Any
// double can be written exactly in fewer bytes.
const maxNumber = 1 << 10

// number checks the number at the scanner's position, of which nothing but its
// syntax and range matter: other readers decode it to a double.
func (s *scanner) number() error {
	b := s.want(maxNumber + 1)
	b = b[:min(len(b), maxNumber+1)]
	n := 0
	next := func() byte {
		if n < len(b) {
			return b[n]
		}
		return 0
	}
	digits := func() bool {
		start := n
		for isDigit(next()) {
			n++
		}
		return n > start
	}
	sign := func(set string) {
		if n < len(b) && strings.IndexByte(set, b[n]) >= 0 {
			n++
		}
	}
	sign("-")
	start := n
	ok := digits()
	if ok && n > start+1 && b[start] == '0' {
		s.pos += start + 1
		return s.fail("a number with a leading zero")
	}
	if ok && next() == '.' {
		n++
		ok = digits()
	}
	exponent := ok && next()|' ' == 'e'
	if exponent {
		n++
		sign("+-")
		ok = digits()
	}
	if n > maxNumber {
		return s.fail("a number of more than %d bytes", maxNumber)
	}
	text := b[:n]
	s.pos += n
	if !ok {
		return s.expected("a digit")
	}
	if !exponent && n < 300 { // far below the largest double
		return nil
	}
	if _, err := strconv.ParseFloat(string(text), 64); err != nil {
		return s.fail("a number beyond the range of a double")
	}
	return nil
}
