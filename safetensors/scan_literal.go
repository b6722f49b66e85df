package safetensors

import (
	"math"
	"strconv"
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

// number checks a number that nobody asks for. It must be in the range of a
// double, as other readers decode it into one.
//
// A number may be as long as the header, so only its first significant digits
// are kept: 800 and a mark that others follow decide any rounding, because no
// point half-way between two doubles has more than 767.
func (s *scanner) number() error {
	if b := s.want(longestToken); isDigit(b[0]) { // as a rule a short integer
		n := 1
		for b[0] != '0' && n < len(b) && isDigit(b[n]) {
			n++
		}
		if n < min(len(b), longestToken) && b[n] != '.' && b[n]|' ' != 'e' && !isDigit(b[n]) {
			s.pos += n
			return nil
		}
	}
	const most = 800
	kept := make([]byte, 0, 32)
	var lost bool   // digits other than 0 have been dropped
	var scale int64 // the value is 0.kept * 10^scale

	// digits reads one digit or more; each moves the scale while before the
	// point, and so do zeros that lead a fraction.
	digits := func(fraction bool) bool {
		some := false
		for ; isDigit(s.here()); s.pos++ {
			c := s.here()
			some = true
			if len(kept) == 0 && c == '0' {
				if fraction {
					scale--
				}
				continue
			}
			if !fraction {
				scale++
			}
			if len(kept) < most {
				kept = append(kept, c)
			} else if c != '0' {
				lost = true
			}
		}
		return some
	}

	if s.here() == '-' {
		s.pos++
	}
	if s.here() == '0' {
		s.pos++ // the only number with a leading zero is 0
		if isDigit(s.here()) {
			return s.fail("a number with a leading zero")
		}
	} else if !digits(false) {
		return s.expected("a digit")
	}
	if s.here() == '.' {
		s.pos++
		if !digits(true) {
			return s.expected("a digit")
		}
	}
	if s.here()|' ' == 'e' {
		s.pos++
		sign := int64(1)
		switch s.here() {
		case '-':
			sign = -1
			s.pos++
		case '+':
			s.pos++
		}
		if !isDigit(s.here()) {
			return s.expected("a digit")
		}
		var exp int64
		for ; isDigit(s.here()); s.pos++ {
			exp = min(exp*10+int64(s.here()-'0'), math.MaxInt32) // far beyond any header's digits
		}
		scale += sign * exp
	}
	if len(kept) == 0 {
		return nil
	}
	if lost {
		kept = append(kept, '1')
	}
	text := strconv.AppendInt(append(append([]byte("0."), kept...), 'e'), scale, 10)
	if _, err := strconv.ParseFloat(string(text), 64); err != nil {
		return s.fail("a number beyond the range of a double")
	}
	return nil
}

// here is the next byte, 0 at the end of the text.
func (s *scanner) here() byte {
	if b := s.want(1); len(b) > 0 {
		return b[0]
	}
	return 0
}
