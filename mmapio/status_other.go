//go:build !linux && !darwin

package mmapio

import "io/fs"

// statusOf knows nothing here.
func statusOf(fs.FileInfo) (status, bool) { return status{}, false }
