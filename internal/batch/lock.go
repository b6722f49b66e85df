package batch

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/fault"
	"slerpmerge/writer"
)

// A BusyError says that another run has the manifest.
type BusyError struct{ *disk.LockedError }

// Class returns the class of an output that another run has.
func (e *BusyError) Class() fault.Class { return fault.Exists }

// Hints says to wait for the other run.
func (e *BusyError) Hints() []fault.Hint {
	return fault.Advise("wait for the other run of this manifest to end")
}

// Lock takes the manifest for this run: .NAME.lock beside it, or where nothing
// may be written there, the file itself, by which a holder can't be named. The
// error is a *BusyError if another run has it.
func Lock(manifest string) (release func() error, err error) {
	real, err := disk.Resolve(manifest)
	if err != nil {
		return nil, err
	}
	dir, base := filepath.Split(real)
	release, err = disk.Hold(filepath.Join(dir, "."+base+".lock"))
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		release, err = disk.HoldFile(real)
	}
	if disk.Full(err) {
		return nil, &writer.NoSpaceError{Path: manifest, Err: errors.Unwrap(err)}
	}
	if locked := (*disk.LockedError)(nil); errors.As(err, &locked) {
		return nil, &BusyError{locked}
	}
	return release, err
}
