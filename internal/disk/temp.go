package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A Temp is a file in the making. It lies beside the file that it will be, whose
// readers see the old or the new one whole.
type Temp struct {
	*os.File
	dir        *Folder
	temp, name string
}

// NewTemp makes the file temp in the folder of path, a path without links. One
// that a dead process has left is replaced if it is ours alone; else the error
// is a *ForeignError.
func NewTemp(path, temp string) (*Temp, error) {
	dir, err := OpenFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f, err := dir.Create(temp, 0o666)
	if errors.Is(err, fs.ErrExist) {
		var fi fs.FileInfo
		if fi, err = dir.Lstat(temp); err == nil {
			err = dir.notRegular(temp, fi)
		}
		if err == nil {
			err = dir.VetOwner(temp, fi)
		}
		if err == nil {
			if err = dir.Remove(temp); err == nil {
				f, err = dir.Create(temp, 0o666)
			}
		}
	}
	if err != nil {
		dir.Close()
		return nil, err
	}
	return &Temp{File: f, dir: dir, temp: temp, name: filepath.Base(path)}, nil
}

// Commit puts the file on the disk and in its place.
func (t *Temp) Commit() error {
	defer t.dir.Close()
	fi, err := t.Stat()
	if err == nil { // or a power cut could leave an empty file under the name
		err = t.Sync()
	}
	if err = errors.Join(err, t.File.Close()); err != nil {
		t.discard(fi)
		return err
	}
	same, err := t.dir.Is(t.temp, fi)
	if err == nil && same {
		if err = t.dir.Rename(t.temp, t.name); err != nil {
			t.discard(fi)
			return &fs.PathError{Op: "rename", Path: t.dir.Path(t.name), Err: err}
		}
		same, err = t.dir.Is(t.name, fi)
	}
	if err == nil && !same {
		err = fmt.Errorf("%s: the file was replaced while it was made", t.dir.Path(t.name))
	}
	return err
}

// Abandon removes the file. It does nothing after Commit.
func (t *Temp) Abandon() {
	fi, err := t.Stat()
	if err != nil {
		return
	}
	t.File.Close()
	t.discard(fi)
	t.dir.Close()
}

func (t *Temp) discard(fi fs.FileInfo) {
	if same, err := t.dir.Is(t.temp, fi); fi != nil && err == nil && same {
		t.dir.Remove(t.temp)
	}
}
