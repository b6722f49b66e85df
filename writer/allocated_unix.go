//go:build unix

package writer

import (
	"io/fs"
	"syscall"
)

// allocated is the number of bytes that a file takes on the disk.
func allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512 // whatever the block size, by POSIX
	}
	return fi.Size()
}
