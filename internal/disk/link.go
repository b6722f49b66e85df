package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// A DanglingError says that a symbolic link leads to nothing.
type DanglingError struct{ Path string }

func (e *DanglingError) Error() string {
	return e.Path + " is a symbolic link to something that does not exist"
}

// Resolve returns the absolute path of a file or folder, without symbolic links. Its
// last parts need not exist. A link that somebody else has put into a folder in
// which all can write is not followed: the error is a *ForeignError.
func Resolve(path string) (string, error) { return owners(ownerOf).resolve(path) }

func (o owners) resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if err := o.planted(abs, 0); err != nil {
		return "", err
	}
	return resolve(abs)
}

func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if _, lerr := os.Lstat(path); lerr == nil {
		return "", &DanglingError{path}
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

// RealPath returns the absolute path of something that exists, without links.
func RealPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}

// maxLinks bounds the links in a row that are looked at; the system follows fewer.
const maxLinks = 40

// planted looks for links on the way to path that a stranger could have put
// there.
func (o owners) planted(path string, depth int) error {
	for _, p := range prefixes(path) {
		fi, err := os.Lstat(p)
		if err != nil {
			return nil // what is wrong shows when it is opened
		}
		if fi.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		dir, err := os.Stat(filepath.Dir(p))
		if err != nil {
			return nil
		}
		if !o.ours(fi) && !o.same(fi, dir) && !o.system(fi) && everybodyWrites(dir) {
			return &ForeignError{Path: p, Owner: o.name(fi), Reason: fmt.Sprintf("is a symbolic link that %s put into a folder where all can write", o.name(fi))}
		}
		target, err := os.Readlink(p)
		if err != nil || depth == maxLinks {
			return nil
		}
		if !filepath.IsAbs(target) {
			here, err := filepath.EvalSymlinks(filepath.Dir(p))
			if err != nil {
				return nil
			}
			target = filepath.Join(here, target)
		}
		if err := o.planted(target, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// prefixes returns the folders above path, the outermost first, and path itself.
func prefixes(path string) []string {
	up := filepath.Dir(path)
	if up == path {
		return nil
	}
	return append(prefixes(up), path)
}

// everybodyWrites reports whether any user may make names in a folder.
func everybodyWrites(dir fs.FileInfo) bool { return dir.Mode().Perm()&0o002 != 0 }
