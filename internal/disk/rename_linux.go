package disk

import "golang.org/x/sys/unix"

// Exchange swaps two folders in one step. An error that is
// errors.ErrUnsupported or EINVAL means that nothing was done.
func (d *Folder) Exchange(a, b string) error {
	fd := int(d.dir.Fd())
	return Retry(func() error { return unix.Renameat2(fd, a, fd, b, unix.RENAME_EXCHANGE) })
}
