package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// Fail wraps the error of doing something to path; nil stays nil.
func Fail(doing, path string, err error) error {
	if err == nil {
		return nil
	}
	path = filepath.Clean(path) // files of a Folder have a "." in their names
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) && filepath.Clean(pe.Path) == path {
		err = pe.Err // named already
	}
	return fmt.Errorf("%s %s: %w", doing, path, err)
}

// Bare returns an error of the system without the operation and the path, for messages
// that name the path already.
func Bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// Full reports whether err means that the file system, a quota (EDQUOT) or a
// limit on the size of files (EFBIG) has no room.
func Full(err error) bool {
	for _, full := range fullErrors {
		if errors.Is(err, full) {
			return true
		}
	}
	return false
}

// Unsupported reports whether err means that the file system lacks an operation.
// File systems in user space often return EINVAL then.
func Unsupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL)
}

// Retry calls f again as long as a signal interrupts it.
func Retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
