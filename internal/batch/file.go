package batch

import (
	"errors"
	"os"
	"path/filepath"
)

// replaceFile puts a file in the place of another in one step, so that whoever
// reads it sees the old or the new one whole. The lock on the manifest keeps
// others from the name in between.
func replaceFile(path string, data []byte) error {
	dir, base := filepath.Split(path)
	// Collectors read *.prom, which this is not.
	tmp := filepath.Join(dir, "."+base+".tmp")
	if err := writeFile(tmp, data); err != nil {
		os.Remove(tmp)
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return err
	}
	return nil
}

func writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil { // or a power cut could leave an empty file under the name
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
