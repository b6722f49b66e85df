//go:build !unix

package disk

import (
	"os"
	"path/filepath"
)

// device names the file system of a file or folder that exists.
func device(path string) (string, error) {
	if _, err := os.Stat(path); err != nil {
		return "", err
	}
	return filepath.VolumeName(path), nil
}
