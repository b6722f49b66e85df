package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes a small file in one step, so that readers see the old or the
// new one whole. path has no links in it. A file that somebody else has put in
// the way is a *ForeignError. Two processes must not write the same file at a
// time.
func WriteFile(path string, data []byte) error {
	f, err := NewTemp(path, "."+filepath.Base(path)+".tmp")
	if err == nil {
		if _, err = f.Write(data); err == nil {
			err = f.Commit()
		} else {
			f.Abandon()
		}
	}
	if err != nil && !errors.As(err, new(*ForeignError)) {
		return &fs.PathError{Op: "writing", Path: path, Err: Bare(err)}
	}
	return err
}

// CreateFile writes a small file that must not exist yet, else the error is
// fs.ErrExist. After another error there is no file.
func CreateFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}
