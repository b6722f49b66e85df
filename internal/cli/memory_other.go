//go:build !unix

package cli

// peakMemory returns the most resident memory that the process had, mapped pages
// included, in bytes; 0 where the system does not say.
func peakMemory() int64 { return 0 }

// freeMemory returns the memory that programs and the page cache could have, in
// bytes; 0 where the system does not say.
func freeMemory() int64 { return 0 }
