//go:build unix && !linux

package writer

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// renameFolder renames folder from to to, in one step, replacing to if that is
// an empty folder.
func renameFolder(from, to string) error {
	return retry(func() error { return syscall.Rename(from, to) }) // os.Rename refuses any folder at to
}

// exchangeFolders swaps two folders in one step. An error that unsupported
// recognises means that nothing was done.
func exchangeFolders(a, b string) error { return errors.ErrUnsupported }

// flushFolder waits until the names in a folder are on the disk.
func flushFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// mountPoint reports whether something is mounted at folder path, so that it
// can't be renamed.
func mountPoint(path string) bool {
	var here, above syscall.Stat_t
	if syscall.Stat(path, &here) != nil || syscall.Stat(filepath.Dir(path), &above) != nil {
		return false
	}
	return here.Dev != above.Dev
}
