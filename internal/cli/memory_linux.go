package cli

import (
	"bytes"
	"os"
	"strconv"
)

// peakMemory returns the most resident memory that the process had, mapped pages
// included, in bytes; 0 where the system does not say.
func peakMemory() int64 { return kibOf("/proc/self/status", "VmHWM:") }

// freeMemory returns the memory that programs and the page cache could have, in
// bytes; 0 where the system does not say.
func freeMemory() int64 { return kibOf("/proc/meminfo", "MemAvailable:") }

// kibOf reads a line of a file in /proc, in bytes.
func kibOf(path, name string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(b, []byte(name))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kib, _ := strconv.ParseInt(string(fields[0]), 10, 64)
	return kib << 10
}
