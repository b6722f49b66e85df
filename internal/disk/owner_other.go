//go:build !unix

package disk

import "io/fs"

func effectiveUser() uint32 { return 0 }

// ownerOf reports that files have no owners here.
func ownerOf(fs.FileInfo) (uid uint32, ok bool) { return 0, false }

// othersWrite reports whether the mode lets the group or others write.
func othersWrite(fs.FileInfo) bool { return false }

// linksOf returns the number of names that a file has.
func linksOf(fs.FileInfo) uint64 { return 1 }

// Allocated returns the number of bytes that a file takes on the disk.
func Allocated(fi fs.FileInfo) int64 { return fi.Size() }

// Identity distinguishes a file from all others of this system, as text; "" if
// there is no such identity.
func Identity(fs.FileInfo) string { return "" }
