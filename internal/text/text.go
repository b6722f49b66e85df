// Package text has the words of messages and pages: counted nouns, lists of
// names, shapes, quoting.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Count is a counted noun: "1 tensor", "2 tensors".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Verb is the form of a verb that goes with n: one or many.
func Verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// Shape is a shape as messages have it: "[2, 3]".
func Shape(shape []uint64) string {
	return strings.ReplaceAll(fmt.Sprint(shape), " ", ", ")
}

// maxQuoted is the most bytes of a name that Quote shows.
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

// maxNamed is how many names a Names shows.
const maxNamed = 4

// Names gathers the names that one message is about. The zero value is ready for
// use.
type Names struct {
	First string // the detail given with the first name
	named []string
	more  int // beyond those named
}

// Add adds a name. detail is what a message can say of it; the first one is
// kept.
func (n *Names) Add(name, detail string) {
	if n.First == "" {
		n.First = detail
	}
	n.AddText(Quote(name))
}

// AddText adds words that need no quotes.
func (n *Names) AddText(words string) {
	if len(n.named) < maxNamed {
		n.named = append(n.named, words)
	} else {
		n.more++
	}
}

// Count is the number of names.
func (n *Names) Count() int { return len(n.named) + n.more }

// String lists the first names, and says how many more there are.
func (n *Names) String() string {
	s := strings.Join(n.named, ", ")
	if n.more > 0 {
		s += fmt.Sprintf(" and %d more", n.more)
	}
	return s
}
