package disk

import "os"

// Rename renames a file or folder within d. It replaces a file by a file, and an
// empty folder by a folder.
func (d *Folder) Rename(from, to string) error {
	if fi, err := d.Lstat(to); err == nil && fi.IsDir() {
		if err := d.Remove(to); err != nil { // Windows replaces no folder, not even an empty one
			return err
		}
	}
	return os.Rename(d.Path(from), d.Path(to))
}

// Sync waits until the names in the folder are on the disk.
func (d *Folder) Sync() error { return nil } // Windows has no such call; NTFS journals names

// Release lets go of the folder where an open one can't be renamed.
func (d *Folder) Release() { d.Close() }
