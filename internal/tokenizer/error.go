package tokenizer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrNone says that a folder has none of the files that Read understands.
var ErrNone = errors.New("no tokenizer files")

// A FormatError says that a tokenizer file is corrupt, or contradicts itself.
type FormatError struct {
	File string
	Msg  string
}

func (e *FormatError) Error() string { return e.File + " " + e.Msg }

// An UnsupportedError says that a tokenizer is of a kind that can't be read or
// changed here. Hint proposes a remedy.
type UnsupportedError struct {
	File string
	Msg  string
	Hint string
}

func (e *UnsupportedError) Error() string { return e.File + " " + e.Msg }

func corrupt(file, format string, args ...any) error {
	return &FormatError{File: file, Msg: fmt.Sprintf(format, args...)}
}

// A sourceError marks an error of the file that a stream reads, so that it can be
// found below those of the JSON decoder.
type sourceError struct{ error }

func (e *sourceError) Unwrap() error { return e.error }

// readError returns the error of reading a file in words: JSON's own become a
// *FormatError with the offset, those of the system keep their kind.
func readError(file string, err error) error {
	var known *FormatError
	if err == nil {
		return nil
	}
	if errors.As(err, &known) {
		return known
	}
	var bad *jsontext.SyntacticError
	if errors.As(err, &bad) {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return corrupt(file, "is cut short: it ends at byte %d", bad.ByteOffset)
		}
		reason := strings.TrimPrefix(bad.Err.Error(), "jsontext: ")
		return corrupt(file, "is corrupt JSON at byte %d: %s", bad.ByteOffset, reason)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt(file, "is cut short")
	}
	if source, ok := errors.AsType[*sourceError](err); ok {
		err = source.error
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("reading %s: %w", file, err)
}
