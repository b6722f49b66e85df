package mmapio

import (
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openFlags opens a file for reading without waiting for a writer, should it
// turn out to be a named pipe.
const openFlags = os.O_RDONLY | unix.O_NONBLOCK

// throughDescriptor returns a name that opens the very file that f is, if the
// system has one, else path.
func throughDescriptor(f *os.File, path string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(f.Fd()))
}

// willNeed asks for read-ahead of the n bytes at off. It is best effort.
func willNeed(f *os.File, off, n int64) {
	_ = unix.Fadvise(int(f.Fd()), off, n, unix.FADV_WILLNEED)
}

// dontNeed takes the n bytes at off out of the page cache. It is best effort.
func dontNeed(f *os.File, off, n int64) {
	_ = unix.Fadvise(int(f.Fd()), off, n, unix.FADV_DONTNEED)
}

// dropPages makes pages of a file's mapping not resident. They stay in the page
// cache.
func dropPages(p []byte) error { return unix.Madvise(p, unix.MADV_DONTNEED) }

// copyRange copies n bytes at off of src to byte at of dst within the system.
func copyRange(dst *os.File, at int64, src *os.File, off, n int64) error {
	for n > 0 {
		m, err := unix.CopyFileRange(int(src.Fd()), &off, int(dst.Fd()), &at, int(min(n, 1<<30)), 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ENOSPC || err == unix.EDQUOT || err == unix.EFBIG:
			return err
		case err != nil || m == 0: // another file system, a kernel that lacks it, a file that shrank, a bad disk
			return errors.ErrUnsupported
		}
		n -= int64(m)
	}
	return nil
}
