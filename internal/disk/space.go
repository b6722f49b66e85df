package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"path/filepath"
)

// FreeSpace returns the number of bytes that this user may still write to the file
// system that holds dir, or the nearest parent of dir that exists. A file
// system that reports no number counts as having math.MaxInt64.
func FreeSpace(dir string) (int64, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	for {
		n, err := freeSpace(path)
		if err == nil {
			return n, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return 0, fmt.Errorf("free space of %s: %w", path, err)
		}
		path = filepath.Dir(path)
	}
}

// times returns a*b, or math.MaxInt64 if that is less.
func times(a, b uint64) int64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}

// Shortage returns the words of a message about missing room.
func Shortage(need, free int64) string {
	unit, name := 1e6, "MB"
	if need >= 1e10 {
		unit, name = 1e9, "GB"
	}
	return fmt.Sprintf("%.1f %s are needed and %.1f %[2]s are free", float64(need)/unit, name, float64(free)/unit)
}

// Usage returns the disk space that the files of a folder take, 0 if it does not
// exist.
func Usage(dir string) int64 {
	real, err := RealPath(dir)
	if err != nil {
		return 0
	}
	d, err := OpenFolder(real)
	if err != nil {
		return 0
	}
	defer d.Close()
	return d.Usage()
}

// Usage returns the disk space that the files of the folder take.
func (d *Folder) Usage() int64 {
	var n int64
	entries, _ := d.ReadDir() // an unreadable folder frees nothing
	for _, e := range entries {
		if e.IsDir() {
			if s, err := d.Sub(e.Name()); err == nil {
				n += s.Usage()
				s.Close()
			}
			continue
		}
		if fi, err := d.Lstat(e.Name()); err == nil && fi.Mode().IsRegular() {
			n += Allocated(fi)
		}
	}
	return n
}

// Device names the file system of a path, whose last parts need not exist; ""
// if the system does not say.
func Device(path string) string {
	for {
		if name, err := device(path); err == nil {
			return name
		}
		up := filepath.Dir(path)
		if up == path {
			return ""
		}
		path = up
	}
}
