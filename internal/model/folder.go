package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"slerpmerge/internal/disk"
)

// files looks up names on the disk. fault is set by tests: an error that it
// returns is that of the call.
type files struct {
	fault func(call, path string) error
}

func (f files) stat(path string) (fs.FileInfo, error) {
	if f.fault != nil {
		if err := f.fault("stat", path); err != nil {
			return nil, err
		}
	}
	return os.Stat(path)
}

func (f files) readDir(path string) ([]fs.DirEntry, error) {
	if f.fault != nil {
		if err := f.fault("readDir", path); err != nil {
			return nil, err
		}
	}
	return os.ReadDir(path)
}

// present reports whether a name stands in a folder, be it a dangling link:
// what is there but can't be read must not be passed over.
func present(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// readSmall reads a whole regular file of at most max bytes. Anything else (a
// FIFO would never end) is an error.
func readSmall(path string, max int64) ([]byte, error) {
	f, err := disk.OpenRegular(path)
	if errors.As(err, new(*disk.KindError)) {
		return nil, errors.New("not a regular file")
	}
	if err != nil {
		return nil, disk.Bare(err)
	}
	defer f.Close()
	var text bytes.Buffer
	if st, err := f.Stat(); err == nil {
		if st.Size() > max {
			return nil, fmt.Errorf("%d bytes long, the limit is %d", st.Size(), max)
		}
		text.Grow(int(st.Size()) + bytes.MinRead) // growing would copy it again and again
	}
	_, err = text.ReadFrom(io.LimitReader(f, max+1))
	b := text.Bytes()
	if err != nil {
		return nil, disk.Bare(err)
	}
	if int64(len(b)) > max {
		return nil, fmt.Errorf("longer than the limit of %d bytes", max)
	}
	return b, nil
}
