//go:build unix && !linux

package cli

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// peakMemory returns the most resident memory that the process had, mapped pages
// included, in bytes; 0 where the system does not say.
func peakMemory() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss) // bytes here, KiB elsewhere
	}
	return int64(u.Maxrss) << 10
}

// freeMemory returns the memory that programs and the page cache could have, in
// bytes; 0 where the system does not say.
func freeMemory() int64 { return 0 }
