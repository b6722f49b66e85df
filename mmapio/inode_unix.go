//go:build unix

package mmapio

import (
	"io/fs"
	"syscall"
)

// inode is the number of a file in its file system, 0 if there is none.
func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Ino)
	}
	return 0
}
