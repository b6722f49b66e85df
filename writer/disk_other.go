//go:build !linux

package writer

import (
	"errors"
	"os"

	"slerpmerge/internal/disk"
)

// preallocate reserves size bytes for f from the start. An error that
// unsupported recognises means that f is as before.
func preallocate(*os.File, int64) error { return errors.ErrUnsupported }

// startWriteback asks the system to begin writing [off, off+n) of f to the
// disk, without waiting for it.
func startWriteback(*os.File, int64, int64) error { return errors.ErrUnsupported }

// awaitWriteback waits until [off, off+n) of f is on its way to the disk no
// more. It reports the error of a failed write-back, which the next disk.Flush
// then does not.
func awaitWriteback(*os.File, int64, int64) error { return errors.ErrUnsupported }

// dropPages takes [off, off+n) of f, which is on the disk, out of the page
// cache; all from off on if n is 0. It is best effort.
func dropPages(*os.File, int64, int64) {}

// openDirect opens a file once more, for writes past the page cache.
func openDirect(*disk.Folder, string) (*os.File, error) { return nil, errors.ErrUnsupported }

// writeUncached is WriteAt by a write whose pages are dropped once they are on the
// disk.
func writeUncached(*os.File, []byte, int64) (int, error) { return 0, errors.ErrUnsupported }

// adviseHuge would ask for huge pages for memory, or no longer.
func adviseHuge(p []byte, on bool) {}
