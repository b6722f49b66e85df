package disk

import (
	"math"

	"golang.org/x/sys/windows"
)

// freeSpace asks the system for the bytes free to this user at path, which
// exists. math.MaxInt64 if it does not say.
func freeSpace(path string) (int64, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, err
	}
	return int64(min(free, math.MaxInt64)), nil
}
