package disk

import (
	"io/fs"
	"os"
)

// A KindError says that a path is not a regular file.
type KindError struct {
	Path string
	Kind string // "a named pipe"
}

func (e *KindError) Error() string { return e.Path + " is " + e.Kind + ", not a regular file" }

// OpenRegular opens a regular file for reading, through links. Anything else (a
// folder, a pipe, a device) is a *KindError at once.
func OpenRegular(path string) (*os.File, error) {
	// Opening a device can have effects of its own, so look before.
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, &KindError{path, kindOf(fi.Mode())}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|noWait, 0)
	if err != nil {
		return nil, err
	}
	if fi, err = f.Stat(); err == nil && !fi.Mode().IsRegular() {
		err = &KindError{path, kindOf(fi.Mode())}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// OpenPipe opens a pipe or device for writing, without waiting for a reader of
// the pipe. A pipe of somebody else is a *ForeignError.
func OpenPipe(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|noWait, 0)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && fi.Mode()&fs.ModeNamedPipe != 0 && !Owned(fi) {
		err = belongs(path, OwnerName(fi))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
