package writer

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// renameFolder renames folder from to to, in one step, replacing to if that is
// an empty folder.
func renameFolder(from, to string) error {
	return retry(func() error { return syscall.Rename(from, to) }) // os.Rename refuses any folder at to
}

// exchangeFolders swaps two folders in one step. An error that unsupported
// recognises means that nothing was done.
func exchangeFolders(a, b string) error {
	return retry(func() error {
		return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	})
}

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
	var st unix.Statx_t
	err := retry(func() error { return unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_TYPE, &st) })
	return err == nil && st.Attributes_mask&st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
