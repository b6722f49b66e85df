package disk

import "golang.org/x/sys/unix"

// MountPoint reports whether something is mounted at folder path, so that it
// can't be renamed.
func MountPoint(path string) bool {
	var st unix.Statx_t
	err := Retry(func() error { return unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_TYPE, &st) })
	return err == nil && st.Attributes_mask&st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}
