package text

import (
	"fmt"
	"strings"
)

// maxNamed is the largest number of names that a Names shows.
const maxNamed = 4

// Names gathers the names that one message is about. The zero value is ready for
// use.
type Names struct {
	First string // the detail given with the first name
	named []string
	more  int // beyond those named
}

// Add adds a name. detail may go into a message beside it; the first one is
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

// Count returns the number of names.
func (n *Names) Count() int { return len(n.named) + n.more }

// String lists the first names, and says how many more there are.
func (n *Names) String() string {
	return Some(n.named, n.Count())
}

// Some lists the first of n things: "a, b and 3 more".
func Some(first []string, n int) string {
	s := strings.Join(first, ", ")
	if more := n - len(first); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
