//go:build !linux

package writer

import (
	"errors"
	"os"
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
