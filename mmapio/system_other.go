//go:build !linux

package mmapio

import (
	"errors"
	"os"
	"syscall"
)

// openFlags opens a file for reading without waiting for a writer, should it
// turn out to be a named pipe.
const openFlags = os.O_RDONLY | syscall.O_NONBLOCK

// throughDescriptor returns a name that opens the very file that f is, if the
// system has one, else path.
func throughDescriptor(f *os.File, path string) string { return path }

// willNeed asks for read-ahead of the n bytes at off. It is best effort.
func willNeed(f *os.File, off, n int64) {}

// dontNeed takes the n bytes at off out of the page cache. It is best effort.
func dontNeed(f *os.File, off, n int64) {}

// dropPages would make pages of a file's mapping not resident. Other systems
// leave it open whether they do so at once.
func dropPages(p []byte) error { return errors.ErrUnsupported }

// copyRange copies n bytes at off of src to byte at of dst within the system.
func copyRange(dst *os.File, at int64, src *os.File, off, n int64) error {
	return errors.ErrUnsupported
}
