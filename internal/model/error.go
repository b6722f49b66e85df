package model

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/fault"
)

// A FormatError says that a file of a model is corrupt, unsafe, or no weight
// file at all. Hint, where it is not empty, proposes a remedy.
type FormatError struct {
	Path string
	Msg  string // what the file is or does: "is a web page"; "" if Err says it all
	Hint string
	Err  error
}

func (e *FormatError) Error() string      { return sentence(e.Path, e.Msg, e.Err) }
func (e *FormatError) Unwrap() error      { return e.Err }
func (e *FormatError) Class() fault.Class { return fault.Corrupt }

// Hints returns the Hint.
func (e *FormatError) Hints() []fault.Hint { return fault.Advise(e.Hint) }

// fileError wraps the error of opening or reading a file of a model: what the
// system refuses or fails to do is an I/O error; that nothing stands there, or
// no file, is the model's own defect.
func fileError(path string, err error) error {
	if number := syscall.Errno(0); errors.As(err, &number) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, disk.Bare(err))
	}
	return &FormatError{Path: path, Err: disk.Bare(err)}
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

func (e *MemoryError) Class() fault.Class { return fault.Space }

// An UnusableError says that a path holds no model that can be merged, though
// nothing in it is corrupt: no such folder, an adapter, quantised weights.
type UnusableError struct {
	Path string
	Msg  string // what the path is or does: "is not a folder"; "" if Err says it all
	Hint string
	Err  error

	entries []fault.Hint // in place of Hint
}

func (e *UnusableError) Error() string      { return sentence(e.Path, e.Msg, e.Err) }
func (e *UnusableError) Unwrap() error      { return e.Err }
func (e *UnusableError) Class() fault.Class { return fault.Request }

// Hints returns the Hint.
func (e *UnusableError) Hints() []fault.Hint {
	if e.entries != nil {
		return e.entries
	}
	return fault.Advise(e.Hint)
}

// sentence puts a path before what it is or does, and the reason.
func sentence(path, msg string, err error) string {
	if msg != "" {
		path += " " + msg
	}
	if err != nil {
		path += ": " + err.Error()
	}
	return path
}
