package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain returns a text without what no page can hold or show.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// escaped returns a text with escapes for control and format characters, and for what
// is no UTF-8.
func escaped(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// printable returns a text of several lines without control characters and without
// those that turn the direction of writing, and whether it had none. The others
// that show nothing, such as joiners, stay.
func printable(s string) (text string, same bool) {
	same = utf8.ValidString(s)
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r >= 0xE0000 && r < 0xE0080:
			same = false
			return '\uFFFD'
		}
		return r
	}, strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")), same
}

// short returns a count for people: 1.24 B.
func short(n int64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}} {
		if float64(n) >= 0.9995*u.of {
			return strconv.FormatFloat(float64(n)/u.of, 'g', 3, 64) + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// angle writes degrees; nothing for none.
func angle(x float64) string {
	switch {
	case math.IsNaN(x):
		return ""
	case x == 0:
		return "0°"
	case x >= 0.1:
		return strconv.FormatFloat(x, 'f', 2, 64) + "°"
	case x >= 0.001:
		return strconv.FormatFloat(x, 'f', 4, 64) + "°"
	}
	return strconv.FormatFloat(x, 'e', 1, 64) + "°"
}

// figure has four digits; nothing for none.
func figure(x float64) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return ""
	}
	return strconv.FormatFloat(x, 'g', 4, 64)
}

func cosine(x float64) string {
	if math.IsNaN(x) {
		return ""
	}
	return strconv.FormatFloat(x, 'f', 6, 64)
}

// span returns one figure, or two that differ.
func span(from, to float64) string {
	if from == to || math.IsNaN(from) {
		return figure(from)
	}
	return figure(from) + " to " + figure(to)
}

// grouped returns a count with commas: 1,043.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
