package text

import (
	"strconv"
	"unicode/utf8"
)

const (
	maxName = 200 // bytes of a name that Quote shows
	maxWord = 80  // characters of a text that QuoteWord shows
)

// Quote makes a name that comes from a file fit for a message: plain names
// as they are, others quoted and escaped so that they can't write to the
// terminal, and long ones shortened.
func Quote(name string) string {
	cut := ""
	if len(name) > maxName {
		n := maxName
		for n > 0 && !utf8.RuneStart(name[n]) {
			n--
		}
		name, cut = name[:n], "..."
	}
	for i := 0; i < len(name); i++ {
		if c := name[i]; c <= ' ' || c > '~' || c == '"' || c == '\'' || c == '\\' {
			return strconv.QuoteToASCII(name) + cut
		}
	}
	if name == "" {
		return `""`
	}
	return name + cut
}

// QuoteWord makes a text that a person wrote, or a token, fit for a message:
// always in quotes, with letters of every script as they are, and shortened.
func QuoteWord(s string) string {
	n := 0
	for i := range s {
		if n == maxWord {
			return strconv.Quote(s[:i]) + "..."
		}
		n++
	}
	return strconv.Quote(s)
}
