//go:build !linux

package disk

import "os"

// Flush waits until the contents of f are on the disk.
func Flush(f *os.File) error { return f.Sync() }
