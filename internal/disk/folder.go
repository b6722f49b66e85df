package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// A Folder is an open folder. Names in it are plain: no links are followed, and
// another folder that takes its place is another one.
type Folder struct {
	root   *os.Root
	dir    *os.File
	info   fs.FileInfo
	path   string
	up     *Folder // nil for one that was opened by its path
	name   string  // in up
	trust  *Trust
	owners owners
}

// OpenFolder opens the folder at a path that has no links in it, as Resolve
// returns it.
func OpenFolder(path string) (*Folder, error) {
	// OpenRoot would wait at a pipe, which this path can't be.
	root, err := os.OpenRoot(path + string(filepath.Separator) + ".")
	if err != nil {
		return nil, err
	}
	d, err := newFolder(root, path)
	if err != nil {
		return nil, err
	}
	// Somebody may have swapped a folder on the way for a link meanwhile.
	real, err := filepath.EvalSymlinks(path)
	var now fs.FileInfo
	if err == nil {
		now, err = os.Lstat(real)
	}
	if err == nil && (real != path || !os.SameFile(now, d.info)) {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("it was replaced while it was opened")}
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func newFolder(root *os.Root, path string) (*Folder, error) {
	dir, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	info, err := dir.Stat()
	if err != nil {
		dir.Close()
		root.Close()
		return nil, err
	}
	return &Folder{root: root, dir: dir, info: info, path: path, owners: ownerOf}, nil
}

// Sub opens a folder within d.
func (d *Folder) Sub(name string) (*Folder, error) {
	before, err := d.root.Lstat(name)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	if !before.IsDir() {
		return nil, d.fail("open", name, errNoFolder)
	}
	root, err := d.root.OpenRoot(name + "/.") // as in OpenFolder
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	s, err := newFolder(root, d.Path(name))
	if err != nil {
		return nil, err
	}
	s.up, s.name, s.owners = d, name, d.owners
	// OpenRoot follows links that stay within d.
	if !os.SameFile(before, s.info) {
		s.Close()
		return nil, d.fail("open", name, errors.New("it was replaced while it was opened"))
	}
	return s, nil
}

var errNoFolder = errors.New("not a folder")

// Mkdir makes a folder and opens it. A replacement in between is detected: the
// opened folder is empty and ours.
func (d *Folder) Mkdir(name string, perm fs.FileMode) (*Folder, error) {
	if err := d.root.Mkdir(name, perm); err != nil {
		return nil, d.fail("mkdir", name, err)
	}
	s, err := d.Sub(name)
	if err != nil {
		return nil, err
	}
	err = d.Vet(name, s.info)
	if err == nil {
		var there []fs.DirEntry
		if there, err = s.ReadDir(); err == nil && len(there) > 0 {
			err = d.fail("mkdir", name, errors.New("it was replaced while it was made"))
		}
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// MakeSub makes a folder, or takes the one that is there, and opens it.
func (d *Folder) MakeSub(name string, perm fs.FileMode) (s *Folder, made bool, err error) {
	switch err := d.root.Mkdir(name, perm); {
	case err == nil:
		made = true
	case !errors.Is(err, fs.ErrExist):
		return nil, false, d.fail("mkdir", name, err)
	}
	s, err = d.Sub(name)
	return s, made, err
}

// Path returns the path of a name in the folder, for messages.
func (d *Folder) Path(name string) string { return filepath.Join(d.path, name) }

// Info returns the FileInfo of the folder when it was opened.
func (d *Folder) Info() fs.FileInfo { return d.info }

// Private reports whether only the owner can look up names in the folder.
func (d *Folder) Private() bool { return d.info.Mode().Perm()&0o077 == 0 }

// Close closes the folder. Files opened in it stay open.
func (d *Folder) Close() {
	d.dir.Close()
	d.root.Close()
}

func (d *Folder) fail(op, name string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return &fs.PathError{Op: op, Path: d.Path(name), Err: err}
}

// Lstat returns the FileInfo of a name in the folder. It follows no link.
func (d *Folder) Lstat(name string) (fs.FileInfo, error) {
	fi, err := d.root.Lstat(name)
	if err != nil {
		return nil, d.fail("lstat", name, err)
	}
	return fi, nil
}

// Is reports whether name is the file or folder that fi is of.
func (d *Folder) Is(name string, fi fs.FileInfo) (bool, error) {
	now, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(now, fi), err
}

// InPlace reports whether the folder, which Sub or Mkdir opened, still has its
// name.
func (d *Folder) InPlace() (bool, error) { return d.up.Is(d.name, d.info) }

// Create makes a file for reading and writing. One that is there is an error.
func (d *Folder) Create(name string, perm fs.FileMode) (*os.File, error) {
	f, err := d.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|openFlags, perm)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	return f, nil
}

// Open opens a regular file that is there, with the flags of os.OpenFile.
// Anything else, such as a link, is a *ForeignError.
func (d *Folder) Open(name string, flag int) (*os.File, error) {
	before, err := d.Lstat(name)
	if err != nil {
		return nil, err
	}
	if err := d.notRegular(name, before); err != nil {
		return nil, err
	}
	f, err := d.root.OpenFile(name, flag&^os.O_CREATE|openFlags, 0)
	if err != nil {
		return nil, d.fail("open", name, err)
	}
	fi, err := f.Stat()
	if err == nil && (!fi.Mode().IsRegular() || !os.SameFile(fi, before)) {
		err = d.fail("open", name, errors.New("it was replaced while it was opened"))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// notRegular returns the error for anything but a regular file.
func (d *Folder) notRegular(name string, fi fs.FileInfo) error {
	if fi.Mode().IsRegular() {
		return nil
	}
	if err := d.Vet(name, fi); err != nil {
		return err
	}
	return &ForeignError{Path: d.Path(name), Reason: "is " + kindOf(fi.Mode()) + ", not a file"}
}

// Remove removes a file or an empty folder.
func (d *Folder) Remove(name string) error {
	if err := d.root.Remove(name); err != nil {
		return d.fail("remove", name, err)
	}
	return nil
}

// Discard removes a file or folder, whatever it is. It follows no links.
func (d *Folder) Discard(name string) error {
	if err := d.root.RemoveAll(name); err != nil {
		return d.fail("remove", name, err)
	}
	return nil
}

// Clear removes all that is in the folder; the files called last go last.
func (d *Folder) Clear(last ...string) error {
	entries, err := d.ReadDir()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains(last, e.Name()) {
			if err := d.Discard(e.Name()); err != nil {
				return err
			}
		}
	}
	for _, name := range last {
		if err := d.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// ReadDir lists the folder.
func (d *Folder) ReadDir() ([]fs.DirEntry, error) {
	f, err := d.root.Open(".")
	if err != nil {
		return nil, d.fail("open", "", err)
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, d.fail("readdir", "", err)
	}
	return entries, nil
}

// Chmod changes the mode of the folder itself.
func (d *Folder) Chmod(mode fs.FileMode) error { return d.dir.Chmod(mode) }

func identity(dev, ino uint64) string { return fmt.Sprintf("%d:%d", dev, ino) }

// tempName returns a name that nobody has.
func tempName(what string) string {
	return ".slerpmerge-" + what + "-" + strconv.FormatUint(rand.Uint64(), 36)
}
