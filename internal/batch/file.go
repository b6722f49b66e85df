package batch

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"slerpmerge/internal/disk"
)

// replaceFile puts a file in the place of another in one step, so that whoever
// reads it sees the old or the new one whole. The lock on the manifest keeps
// others from the name in between.
func replaceFile(path string, data []byte) error {
	dir, base := filepath.Split(path)
	// Collectors read *.prom, which this is not.
	f, err := disk.NewTemp(path, "."+base+".tmp")
	if foreign := (*disk.ForeignError)(nil); errors.As(err, &foreign) {
		return err
	}
	if err == nil {
		if _, err = f.Write(data); err == nil {
			err = f.Commit()
		} else {
			f.Abandon()
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(dir, base), bare(err))
	}
	return nil
}

// bare takes the name of the temporary file out of an error: nobody knows it.
func bare(err error) error {
	if file, ok := errors.AsType[*fs.PathError](err); ok {
		return file.Err
	}
	return err
}
