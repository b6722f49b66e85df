package batch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"

	"slerpmerge/writer"
)

// A BusyError says that another run has the manifest.
type BusyError struct{ *writer.LockedError }

// Lock takes the manifest for this run: .NAME.lock beside it, or where nothing
// may be written there, the file itself, by which a holder can't be named. The
// error is a *BusyError if another run has it.
func Lock(manifest string) (release func() error, err error) {
	real, err := writer.Resolve(manifest)
	if err != nil {
		return nil, err
	}
	dir, base := filepath.Split(real)
	release, err = writer.Hold(filepath.Join(dir, "."+base+".lock"))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		release, err = lockItself(real)
	}
	if locked := (*writer.LockedError)(nil); errors.As(err, &locked) {
		return nil, &BusyError{locked}
	}
	return release, err
}

func lockItself(path string) (release func() error, err error) {
	f := flock.New(path, flock.SetFlag(os.O_RDONLY|syscall.O_NONBLOCK))
	switch ok, err := f.TryLock(); {
	case err != nil: // no locks here: those of the outputs remain
		f.Close()
		return func() error { return nil }, nil
	case !ok:
		f.Close()
		return nil, &writer.LockedError{Path: path}
	}
	return f.Unlock, nil
}
