//go:build !unix

package mmapio

import "io/fs"

// inode is the number of a file in its file system, 0 if there is none.
func inode(fs.FileInfo) uint64 { return 0 }
