//go:build unix

package disk

import (
	"fmt"
	"os"
	"syscall"
)

// device names the file system of a file or folder that exists.
func device(path string) (string, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(st.Dev), nil
	}
	return "", nil
}
