package writer

import (
	"errors"
	"os"
)

// renameFolder renames folder from to to, in one step, replacing to if that is
// an empty folder.
func renameFolder(from, to string) error {
	if fi, err := os.Lstat(to); err == nil && fi.IsDir() {
		if err := os.Remove(to); err != nil { // Windows replaces no folder, not even an empty one
			return err
		}
	}
	return os.Rename(from, to)
}

// exchangeFolders swaps two folders in one step. An error that unsupported
// recognises means that nothing was done.
func exchangeFolders(a, b string) error { return errors.ErrUnsupported }

// flushFolder waits until the names in a folder are on the disk.
func flushFolder(string) error { return nil } // Windows has no such call; NTFS journals names

// mountPoint reports whether something is mounted at folder path, so that it
// can't be renamed.
func mountPoint(string) bool { return false }
