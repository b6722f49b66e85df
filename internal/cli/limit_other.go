//go:build !linux

package cli

// memoryLimit returns the least of the limits that the system sets on the memory of
// this process, in bytes. 0 means none, or that it is not known.
func memoryLimit() int64 { return 0 }
