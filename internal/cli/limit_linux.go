package cli

import (
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// memoryLimit returns the least of the limits that the system sets on the memory of
// this process, in bytes: those of its control groups and that of its address
// space. 0 means none.
func memoryLimit() int64 {
	least := int64(math.MaxInt64)
	var space unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &space) == nil && space.Cur < uint64(least) {
		least = int64(space.Cur)
	}
	groups, _ := os.ReadFile("/proc/self/cgroup")
	least = min(least, cgroupLimit("/sys/fs/cgroup", string(groups)))
	if least > 1<<60 { // version 1 writes a number near the largest
		return 0
	}
	return least
}

// cgroupLimit returns the least limit of the groups that /proc/self/cgroup lists and
// of those above them, where root is the place of their file systems. What a
// container does not see counts as none.
func cgroupLimit(root, groups string) int64 {
	least := int64(math.MaxInt64)
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) < 3 {
			continue
		}
		base, file := root, "memory.max"
		switch {
		case parts[0] == "0" && parts[1] == "": // version 2
		case strings.Contains(","+parts[1]+",", ",memory,"):
			base, file = path.Join(root, "memory"), "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Join("/", parts[2]); ; group = path.Dir(group) {
			if text, err := os.ReadFile(path.Join(base, group, file)); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil { // else "max"
					least = min(least, n)
				}
			}
			if group == "/" {
				break
			}
		}
	}
	return least
}
