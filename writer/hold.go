package writer

import (
	"errors"
	"path/filepath"

	"slerpmerge/internal/disk"
)

// Hold takes the lock at path, which has no links in it, as Create takes that of
// an output, for work that has no output of its own. A *LockedError names the
// holder; the lock of a dead process is no obstacle.
func Hold(path string) (release func() error, err error) {
	up, err := disk.OpenFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	l, err := acquire(up, filepath.Base(path), realSystem())
	if err != nil {
		up.Close()
		return nil, err
	}
	return func() error {
		defer up.Close()
		return l.release()
	}, nil
}

// Resolve is the absolute path of a file or folder, without symbolic links. Its
// last parts need not exist.
func Resolve(path string) (string, error) { return disk.Resolve(path) }

// DiskUsage is the disk space that the files of a folder take, 0 if it does not
// exist.
func DiskUsage(dir string) int64 {
	up, err := openPath(dir)
	if err != nil {
		return 0
	}
	defer up.Close()
	return diskUsage(up)
}

// openPath opens a folder by any path.
func openPath(dir string) (*disk.Folder, error) {
	real, err := filepath.Abs(dir)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return nil, err
	}
	return disk.OpenFolder(real)
}

func diskUsage(d *disk.Folder) int64 {
	var n int64
	entries, _ := d.ReadDir() // an unreadable folder frees nothing
	for _, e := range entries {
		if e.IsDir() {
			if s, err := d.Sub(e.Name()); err == nil {
				n += diskUsage(s)
				s.Close()
			}
			continue
		}
		if fi, err := d.Lstat(e.Name()); err == nil && fi.Mode().IsRegular() {
			n += disk.Allocated(fi)
		}
	}
	return n
}

// PartialBytes is the disk space that the unfinished run to the output dir takes,
// which the next one will use or free.
func PartialBytes(dir string) int64 {
	p, err := locate(dir)
	if err != nil {
		return 0
	}
	up, err := disk.OpenFolder(p.above)
	if err != nil {
		return 0
	}
	defer up.Close()
	work, err := up.Sub(p.partial)
	if err != nil {
		return 0
	}
	defer work.Close()
	if up.Vet(p.partial, work.Info()) != nil {
		return 0
	}
	return diskUsage(work)
}

// isForeign reports whether an error says that something is not ours.
func isForeign(err error) bool {
	return errors.As(err, new(*ForeignError))
}
