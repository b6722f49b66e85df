package model

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// A FormatError says that a file of a model is corrupt, unsafe, or no weight
// file at all. Hint, when set, is what the user can do.
type FormatError struct {
	Path string
	Msg  string
	Hint string
	Err  error
}

func (e *FormatError) Error() string { return sentence(e.Path, join(e.Msg, e.Err)) }
func (e *FormatError) Unwrap() error { return e.Err }

// fileError wraps the error of opening or reading a file of a model: what the
// system refuses or fails to do is an I/O error; that nothing stands there, or
// no file, is the model's own defect.
func fileError(path string, err error) error {
	if number := syscall.Errno(0); errors.As(err, &number) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, bare(err))
	}
	return &FormatError{Path: path, Err: bare(err)}
}

// A MemoryError says that the table of a file takes more memory than Options
// allow.
type MemoryError struct {
	Path string
	Need int64 // bytes
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("%s: the table of its tensors takes %d MiB of memory", e.Path, (e.Need+1<<20-1)>>20)
}

// An UnusableError says that a path holds no model that can be merged, though
// nothing in it is corrupt: no such folder, an adapter, quantised weights.
type UnusableError struct {
	Path string
	Msg  string
	Hint string
}

func (e *UnusableError) Error() string { return sentence(e.Path, e.Msg) }

// sentence puts a path before what is said of it: as its subject when the
// text goes on with a verb, else before a colon.
func sentence(path, text string) string {
	for _, verb := range []string{"is ", "holds ", "has ", "names "} {
		if strings.HasPrefix(text, verb) {
			return path + " " + text
		}
	}
	return path + ": " + text
}

func join(msg string, err error) string {
	switch {
	case err == nil:
		return msg
	case msg == "":
		return err.Error()
	}
	return msg + ": " + err.Error()
}
