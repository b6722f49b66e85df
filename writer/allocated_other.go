//go:build !unix

package writer

import "io/fs"

// allocated is the number of bytes that a file takes on the disk.
func allocated(fi fs.FileInfo) int64 { return fi.Size() }
