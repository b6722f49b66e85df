package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"slerpmerge/internal/disk"
)

// A place is an output folder and the names beside it.
type place struct {
	asked   string // OUT as the caller wrote it, for messages
	out     string // OUT, absolute and free of symbolic links
	above   string // the folder that OUT is in
	base    string // the name of OUT in it, and those beside it:
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
	out, err := disk.Resolve(dir)
	if isForeign(err) {
		return place{}, err
	}
	if err != nil {
		return place{}, fmt.Errorf("output folder %s: %w", dir, err)
	}
	above, base := filepath.Split(out)
	if base == "" {
		return place{}, &UnsafeError{dir, "it is the root of a file system"}
	}
	hidden := "." + base
	return place{asked: dir, out: out, above: filepath.Clean(above), base: base,
		partial: hidden + ".partial", old: hidden + ".old", lock: hidden + ".lock"}, nil
}

// check refuses places where even a new folder would do harm.
func (p place) check(inputs []string) error {
	for _, in := range inputs {
		input, err := disk.RealPath(in)
		if errors.Is(err, fs.ErrNotExist) {
			continue // what does not exist can't be harmed
		}
		if err != nil {
			return fmt.Errorf("input %s: %w", in, err)
		}
		switch {
		case p.out == input:
			return &UnsafeError{p.asked, "it is the input " + in}
		case inside(p.out, input):
			return &UnsafeError{p.asked, "it lies inside the input " + in}
		case inside(input, p.out):
			return &UnsafeError{p.asked, "it contains the input " + in}
		}
		entries, err := os.ReadDir(input)
		if err != nil && !errors.Is(err, syscall.ENOTDIR) { // a file has none
			return fmt.Errorf("input %s: %w", in, err)
		}
		for _, e := range entries {
			if e.Type()&fs.ModeSymlink == 0 {
				continue
			}
			if target, err := disk.RealPath(filepath.Join(input, e.Name())); err == nil && inside(target, p.out) {
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
	if disk.MountPoint(p.out) {
		return &UnsafeError{p.asked, "a file system is mounted there, and only a folder inside it can be renamed into place"}
	}
	return nil
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
func (p place) occupied(up *disk.Folder) (bool, error) {
	fi, err := up.Lstat(p.base)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !fi.IsDir() {
		return true, nil
	}
	there, err := up.Sub(p.base)
	if err != nil {
		return false, err
	}
	defer there.Close()
	entries, err := there.ReadDir()
	return len(entries) > 0, err
}

// replaceable opens an OUT that may be replaced. It refuses one that does not
// look like a model, or that somebody else owns.
func (p place) replaceable(up *disk.Folder) (*disk.Folder, error) {
	fi, err := up.Lstat(p.base)
	if err == nil && !fi.IsDir() {
		return nil, &UnsafeError{p.asked, "it is not a folder"}
	}
	there, err := up.Sub(p.base)
	if err != nil {
		return nil, err
	}
	if err = p.looksLikeModel(there); err == nil {
		err = up.VetOwner(p.base, there.Info())
	}
	if err != nil {
		there.Close()
		return nil, err
	}
	return there, nil
}

func (p place) looksLikeModel(there *disk.Folder) error {
	entries, err := there.ReadDir()
	if err != nil {
		return err
	}
	model := false
	for _, e := range entries {
		name := e.Name()
		if name == ".git" {
			return &UnsafeError{p.asked, "it is a git repository"}
		}
		model = model || name == "config.json" || name == "slerpmerge.json" || IsWeightFile(name)
	}
	if !model {
		return &UnsafeError{p.asked, "it does not look like a model folder"}
	}
	return nil
}
