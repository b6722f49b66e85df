package torchbin

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"slerpmerge/internal/tensor"
)

// A FormatError is an error in the content of a file. Its text is one
// line of printable ASCII, well below 4,096 bytes whatever the file holds.
type FormatError struct {
	Reason string

	// Code reports that the pickle names a global that is not on the list: a
	// loader that looked it up could be made to run it.
	Code bool

	// Quantised reports that the file is valid, but holds quantised tensors.
	Quantised bool
}

func (e *FormatError) Error() string { return e.Reason }

// A MemoryError reports that a pickle takes more memory than it may.
type MemoryError struct {
	Need int64 // bytes
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("its pickle takes %d MiB of memory", (e.Need+1<<20-1)>>20)
}

// malformed makes a FormatError. Text from a file goes through quote first.
func malformed(format string, args ...any) *FormatError {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// within says where in the file a FormatError belongs; other errors, which
// come from reading, pass unchanged.
func within(place string, err error) error {
	var e *FormatError
	if errors.As(err, &e) {
		return &FormatError{Reason: place + ": " + e.Reason, Code: e.Code, Quantised: e.Quantised}
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

// shrunk replaces io.EOF, which in a file that was longer when it was opened is
// unexpected.
func shrunk(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readFull fills p from off.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	if err := tensor.ReadFull(r, p, off); err != nil {
		return fmt.Errorf("reading at byte %d: %w", off, err)
	}
	return nil
}
