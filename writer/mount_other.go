//go:build !unix

package writer

// mountPoint reports whether something is mounted at folder path, so that it
// can't be renamed.
func mountPoint(string) bool { return false }
