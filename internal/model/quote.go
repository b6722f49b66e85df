package model

import (
	"strconv"
	"unicode/utf8"
)

// maxQuoted is how much of a name from a file goes into a message.
const maxQuoted = 200

// Quote makes a name that comes from a file fit for a message: plain names
// as they are, others quoted and escaped so that they can't write to the
// terminal, and long ones shortened.
func Quote(name string) string {
	cut := ""
	if len(name) > maxQuoted {
		n := maxQuoted
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
