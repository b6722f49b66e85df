//go:build !unix

package disk

// MountPoint reports whether something is mounted at folder path, so that it
// can't be renamed.
func MountPoint(string) bool { return false }
