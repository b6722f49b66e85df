package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"

	"slerpmerge/internal/disk"
)

// An ExistsError says that the output exists and may not be replaced.
type ExistsError struct{ Path string }

func (e *ExistsError) Error() string {
	return e.Path + " exists and is not an empty folder"
}

// A LockedError reports that another run is working on the same output. PID is 0
// and Host "" if the holder is unknown.
type LockedError struct {
	Path string // of the lock file
	PID  int
	Host string
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return "another run holds " + e.Path
	}
	return fmt.Sprintf("process %d on %s holds %s", e.PID, e.Host, e.Path)
}

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
	unit, name := 1e6, "MB"
	if e.Need >= 1e10 {
		unit, name = 1e9, "GB"
	}
	return fmt.Sprintf("not enough space for %s: %.1f %s are needed and %.1f %[3]s are free", e.Path, float64(e.Need)/unit, name, float64(e.Free)/unit)
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
	if err == nil {
		return nil
	}
	path = filepath.Clean(path) // files of a disk.Folder have a "." in their names
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) && filepath.Clean(pe.Path) == path {
		err = pe.Err // named already
	}
	for _, full := range fullErrors {
		if errors.Is(err, full) {
			free, _ := FreeSpace(filepath.Dir(path))
			return &NoSpaceError{Path: path, Need: need, Free: free, Err: err}
		}
	}
	return fmt.Errorf("%s %s: %w", doing, path, err)
}

// unsupported reports whether err means that the file system lacks an operation.
// File systems in user space often return EINVAL then.
func unsupported(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL)
}

// retry calls f again as long as a signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
