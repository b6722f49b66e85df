package batch

import (
	"errors"
	"fmt"
	"io/fs"
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
	err := writeFile(tmp, data)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
		return fmt.Errorf("%s: %w", path, bare(err))
	}
	return nil
}

// bare takes the name of the temporary file out of an error: nobody knows it.
func bare(err error) error {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return file.Err
	}
	if link, ok := errors.AsType[*os.LinkError](err); ok {
		return link.Err
	}
	return err
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
