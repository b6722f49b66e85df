package disk

import (
	"os"

	"golang.org/x/sys/unix"
)

// Flush waits until the contents of f are on the disk.
func Flush(f *os.File) error {
	return Retry(func() error { return unix.Fdatasync(int(f.Fd())) })
}
