//go:build unix

package disk

import (
	"io/fs"
	"os"
	"syscall"
)

// effectiveUser returns the number of the user for whom the process acts.
func effectiveUser() uint32 { return uint32(os.Geteuid()) }

// ownerOf returns the number of the user who owns a file.
func ownerOf(fi fs.FileInfo) (uid uint32, ok bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return st.Uid, true
}

// othersWrite reports whether the mode lets the group or others write.
func othersWrite(fi fs.FileInfo) bool { return fi.Mode().Perm()&0o022 != 0 }

// linksOf returns the number of names that a file has.
func linksOf(fi fs.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}

// Allocated returns the number of bytes that a file takes on the disk.
func Allocated(fi fs.FileInfo) int64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512 // whatever the block size, by POSIX
	}
	return fi.Size()
}

// Identity distinguishes a file from all others of this system, as text; "" if
// there is no such identity.
func Identity(fi fs.FileInfo) string {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return identity(uint64(st.Dev), uint64(st.Ino))
	}
	return ""
}
