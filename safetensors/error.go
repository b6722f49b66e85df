package safetensors

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// A FormatError is an error in the content of a file. Its text is one
// line of printable ASCII, well below 4,096 bytes whatever the file holds.
type FormatError struct {
	Reason string
	Short  bool // the file is shorter than its header says
}

func (e *FormatError) Error() string { return e.Reason }

// malformed makes a FormatError. Text from a file goes through quote first.
func malformed(format string, args ...any) *FormatError {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// short makes a FormatError about a file that ends too early.
func short(format string, args ...any) *FormatError {
	e := malformed(format, args...)
	e.Short = true
	return e
}

// within says where in the file a FormatError belongs; other errors, which
// come from reading, pass unchanged.
func within(place string, err error) error {
	if e, ok := err.(*FormatError); ok {
		return &FormatError{Reason: place + ": " + e.Reason, Short: e.Short}
	}
	return err
}

// quote makes text from a file fit for a message: quoted, ASCII, without
// control characters, and short.
func quote[T string | []byte](text T) string {
	const most = 100
	if len(text) <= most {
		return strconv.QuoteToASCII(string(text))
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.QuoteToASCII(string(text[:cut])), len(text))
}
