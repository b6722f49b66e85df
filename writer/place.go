package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A place is an output folder and the names beside it, but for asked absolute
// and free of symbolic links.
type place struct {
	asked   string // OUT as the caller wrote it, for messages
	out     string // OUT
	partial string // .OUT.partial: the run's work
	old     string // .OUT.old: the replaced OUT, where folders can't be exchanged
	lock    string // .OUT.lock
}

// locate finds the place of the output dir. A symbolic link there stands for
// the folder it names.
func locate(dir string) (place, error) {
	if dir == "" {
		return place{}, errors.New("no output folder is named")
	}
	out, err := filepath.Abs(dir)
	if err == nil {
		out, err = resolve(out)
	}
	if err != nil {
		return place{}, fmt.Errorf("output folder %s: %w", dir, err)
	}
	parent, base := filepath.Split(out)
	if base == "" {
		return place{}, &UnsafeError{dir, "it is the root of a file system"}
	}
	hidden := filepath.Join(parent, "."+base)
	return place{asked: dir, out: out, partial: hidden + ".partial", old: hidden + ".old", lock: hidden + ".lock"}, nil
}

// resolve follows the links of an absolute path, of which the last parts need
// not exist.
func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if _, lerr := os.Lstat(path); lerr == nil {
		return "", fmt.Errorf("%s is a symbolic link to something that does not exist", path)
	}
	up, base := filepath.Dir(path), filepath.Base(path)
	if up == path {
		return "", err
	}
	if up, err = resolve(up); err != nil {
		return "", err
	}
	return filepath.Join(up, base), nil
}

// check refuses places where even a new folder would do harm.
func (p place) check(inputs []string) error {
	for _, in := range inputs {
		input, err := realPath(in)
		if err != nil {
			continue // what does not exist can't be harmed
		}
		switch {
		case p.out == input:
			return &UnsafeError{p.asked, "it is the input " + in}
		case inside(p.out, input):
			return &UnsafeError{p.asked, "it lies inside the input " + in}
		case inside(input, p.out):
			return &UnsafeError{p.asked, "it contains the input " + in}
		}
		entries, _ := os.ReadDir(input) // fails for a file, which has none
		for _, e := range entries {
			if e.Type()&fs.ModeSymlink == 0 {
				continue
			}
			if target, err := realPath(filepath.Join(input, e.Name())); err == nil && inside(target, p.out) {
				return &UnsafeError{p.asked, fmt.Sprintf("it contains %s of the input %s", e.Name(), in)}
			}
		}
	}
	if cwd, err := os.Getwd(); err == nil && inside(cwd, p.out) {
		return &UnsafeError{p.asked, "it is or contains the current folder"}
	}
	if home, err := os.UserHomeDir(); err == nil && inside(home, p.out) {
		return &UnsafeError{p.asked, "it is or contains the home folder"}
	}
	if mountPoint(p.out) {
		return &UnsafeError{p.asked, "a file system is mounted there, and only a folder inside it can be renamed into place"}
	}
	return nil
}

// realPath is the absolute path of something that exists, without links.
func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// inside reports whether path is dir or lies below it. Folders are compared by
// identity too, for file systems that ignore case and bind mounts.
func inside(path, dir string) bool {
	want, err := os.Stat(dir)
	for {
		if path == dir {
			return true
		}
		if err == nil {
			if fi, serr := os.Stat(path); serr == nil && os.SameFile(fi, want) {
				return true
			}
		}
		up := filepath.Dir(path)
		if up == path {
			return false
		}
		path = up
	}
}

// occupied reports whether OUT holds anything: false where it is missing or
// an empty folder.
func (p place) occupied() (bool, error) {
	fi, err := os.Lstat(p.out)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !fi.IsDir() {
		return true, nil
	}
	entries, err := os.ReadDir(p.out)
	return len(entries) > 0, err
}

// replaceable refuses to replace an OUT that does not look like a model.
func (p place) replaceable() error {
	entries, err := os.ReadDir(p.out)
	if err != nil {
		if fi, serr := os.Stat(p.out); serr == nil && !fi.IsDir() {
			return &UnsafeError{p.asked, "it is not a folder"}
		}
		return err
	}
	model := false
	for _, e := range entries {
		name := e.Name()
		if name == ".git" {
			return &UnsafeError{p.asked, "it is a git repository"}
		}
		model = model || name == "config.json" || name == "slerpmerge.json" || strings.HasSuffix(name, ".safetensors") ||
			strings.HasPrefix(name, "pytorch_model") && strings.HasSuffix(name, ".bin")
	}
	if !model {
		return &UnsafeError{p.asked, "it does not look like a model folder"}
	}
	return nil
}
