package torchbin

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"
)

// A FormatError says what is wrong with the content of a file. Its text is one
// line of printable ASCII, well below 4,096 bytes whatever the file holds.
type FormatError struct {
	Reason string
}

func (e *FormatError) Error() string { return e.Reason }

// malformed makes a FormatError. Text from a file goes through quote first.
func malformed(format string, args ...any) *FormatError {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// within says where in the file a FormatError belongs; other errors, which
// come from reading, pass unchanged.
func within(place string, err error) error {
	var e *FormatError
	if errors.As(err, &e) {
		return &FormatError{Reason: place + ": " + e.Reason}
	}
	return err
}

// quote makes text from a file fit for a message: quoted, ASCII, without
// control characters, and short.
func quote(text string) string {
	const most = 100
	if len(text) <= most {
		return strconv.QuoteToASCII(text)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.QuoteToASCII(text[:cut]), len(text))
}

// shrunk tells the end of a file that was longer when it was opened.
func shrunk(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readFull fills p from off. All places are checked against the size before,
// so that an early end means that the file has shrunk.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || err == io.EOF {
		if c, ok := r.(interface{ Check() error }); ok {
			if cerr := c.Check(); cerr != nil {
				return cerr
			}
		}
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("reading at byte %d: %w", off, err)
}
