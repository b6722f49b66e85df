package writer

import (
	"errors"
	"fmt"
	"path/filepath"

	"slerpmerge/internal/disk"
)

// An ExistsError says that the output exists and may not be replaced.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string {
	return e.Path + " exists and is not an empty folder"
}

// A LockedError reports that another run is working on the same output.
type LockedError = disk.LockedError

// A NoSpaceError says that the file system, a quota (EDQUOT) or a limit on the
// size of files (EFBIG) has no room for the output. Need and Free are in
// bytes: of all that is laid out, and of what the file system still has. Err is
// the system's error, nil when the check before the start found out.
type NoSpaceError struct {
	Path       string
	Need, Free int64
	Err        error
}

func (e *NoSpaceError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("writing %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("not enough space for %s: %s", e.Path, disk.Shortage(e.Need, e.Free))
}

func (e *NoSpaceError) Unwrap() error { return e.Err }

// An UnsafeError refuses an output that could destroy or litter something
// that is not ours.
type UnsafeError struct {
	Path   string
	Reason string // completes "refusing to write to Path: "
}

func (e *UnsafeError) Error() string {
	return fmt.Sprintf("refusing to write to %s: %s", e.Path, e.Reason)
}

// A PublishedError reports that the output is complete and in its place, but that
// the flush of the folder above, or removing the replaced folder or the lock, has
// failed.
type PublishedError struct {
	Path string
	Err  error
}

func (e *PublishedError) Error() string { return fmt.Sprintf("%s is complete, but %v", e.Path, e.Err) }

func (e *PublishedError) Unwrap() error { return e.Err }

// A ForeignError refuses to touch something beside the output, or in its place,
// that another user made or can write to.
type ForeignError = disk.ForeignError

// diskError wraps the error of doing something to path, of an output of need
// bytes.
func diskError(doing, path string, need int64, err error) error {
	return full(path, need, disk.Fail(doing, path, err))
}

// full makes a *NoSpaceError of an error that disk.Fail has wrapped, if that is
// one of a full disk.
func full(path string, need int64, err error) error {
	if !disk.Full(err) {
		return err
	}
	path = filepath.Clean(path)
	free, _ := disk.FreeSpace(filepath.Dir(path))
	return &NoSpaceError{Path: path, Need: need, Free: free, Err: errors.Unwrap(err)}
}

// isForeign reports whether an error says that something is not ours.
func isForeign(err error) bool {
	return errors.As(err, new(*ForeignError))
}
