//go:build unix

package disk

import (
	"golang.org/x/sys/unix"
)

// Rename renames a file or folder within d, in one step. It replaces a file by
// a file, and an empty folder by a folder.
func (d *Folder) Rename(from, to string) error {
	fd := int(d.dir.Fd())
	return Retry(func() error { return unix.Renameat(fd, from, fd, to) })
}

// Sync waits until the names in the folder are on the disk.
func (d *Folder) Sync() error { return d.dir.Sync() }

// Release lets go of the folder where an open one can't be renamed.
func (d *Folder) Release() {}
