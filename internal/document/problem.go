package document

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"slerpmerge/internal/fault"
)

// A Pos is a place in a file, in lines and characters from 1.
type Pos struct{ Line, Column int }

// A Problem is something to say about one place of a file.
type Problem struct {
	Pos
	Message string
}

// An Error is everything that is wrong with a file.
type Error struct {
	Name     string // of the file
	Problems []Problem
	Advice   []fault.Hint // what to do about them

	lines []string
}

// maxShown is the largest number of problems that are shown; a file with more is
// hardly a recipe.
const maxShown = 50

// Class returns the class of a request.
func (e *Error) Class() fault.Class { return fault.Request }

// Hints returns the Advice.
func (e *Error) Hints() []fault.Hint { return e.Advice }

// Error shows every problem with its place, its line and a caret, one after
// the other.
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == maxShown {
			fmt.Fprintf(&b, "%s: %d more problems", e.Name, len(e.Problems)-i)
			break
		}
		fmt.Fprintf(&b, "%s:%d:%d: %s", e.Name, p.Line, p.Column, p.Message)
		if p.Line >= 1 && p.Line <= len(e.lines) {
			line, caret := excerpt(e.lines[p.Line-1], p.Column)
			fmt.Fprintf(&b, "\n%5d | %s\n      | %*s", p.Line, line, caret, "^")
		}
	}
	return b.String()
}

// NewError sorts problems by place and drops repetitions, which come
// from a mapping that several aliases stand for.
func NewError(name string, src []byte, problems []Problem) *Error {
	slices.SortStableFunc(problems, ByPlace)
	return &Error{Name: name, Problems: slices.Compact(problems), lines: lines(src)}
}

// ByPlace returns the order of the file.
func ByPlace(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// breaks are those of lines in YAML, which the parser counts by.
var breaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// lines splits a text at the line breaks of YAML.
func lines(src []byte) []string {
	s := strings.TrimPrefix(string(src), "\ufeff")
	return strings.Split(breaks.Replace(s), "\n")
}

// excerpt makes a line fit for a terminal, and says in which column of it the
// caret stands.
func excerpt(line string, column int) (string, int) {
	const width = 100
	text := []rune(line)
	for i, r := range text {
		if !unicode.IsPrint(r) {
			text[i] = ' '
		}
	}
	column = min(max(column, 1), len(text)+1)
	start := 0
	if column > width {
		start = column - width/2
	}
	end := min(len(text), start+width)
	shown := strings.TrimRight(string(text[start:end]), " ")
	if end < len(text) {
		shown += "..."
	}
	if start > 0 {
		return "..." + shown, column - start + 3
	}
	return shown, column
}
