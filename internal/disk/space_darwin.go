package disk

import (
	"math"

	"golang.org/x/sys/unix"
)

// freeSpace asks the system for the bytes free to this user at path, which
// exists. math.MaxInt64 if it does not say.
func freeSpace(path string) (int64, error) {
	var st unix.Statfs_t
	if err := Retry(func() error { return unix.Statfs(path, &st) }); err != nil {
		return 0, err
	}
	if st.Blocks == 0 {
		return math.MaxInt64, nil
	}
	return times(uint64(max(0, int64(st.Bavail))), uint64(st.Bsize)), nil
}
