//go:build unix && !linux

package disk

import (
	"path/filepath"
	"syscall"
)

// MountPoint reports whether something is mounted at folder path, so that it
// can't be renamed.
func MountPoint(path string) bool {
	var here, above syscall.Stat_t
	if syscall.Stat(path, &here) != nil || syscall.Stat(filepath.Dir(path), &above) != nil {
		return false
	}
	return here.Dev != above.Dev
}
