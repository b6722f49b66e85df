//go:build unix

package disk

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// Rename renames a file or folder within d, in one step. It replaces a file by
// a file, and an empty folder by a folder.
func (d *Folder) Rename(from, to string) error {
	fd := int(d.dir.Fd())
	return retry(func() error { return unix.Renameat(fd, from, fd, to) })
}

// Sync waits until the names in the folder are on the disk.
func (d *Folder) Sync() error { return d.dir.Sync() }

// Release lets go of the folder where an open one can't be renamed.
func (d *Folder) Release() {}

// retry calls f again as long as a signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
