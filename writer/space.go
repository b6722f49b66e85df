package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"path/filepath"
)

// FreeSpace is the number of bytes that this user may still write to the file
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

// times is a*b, or math.MaxInt64 if that is less.
func times(a, b uint64) int64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 || lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(lo)
}
