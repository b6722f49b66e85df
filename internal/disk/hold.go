package disk

import (
	"path/filepath"
)

// Calls returns the system calls of locks outside tests.
func Calls() LockCalls { return LockCalls{Try: lockFile, Sync: Flush} }

// Hold takes the lock at path, which has no links in it. A *LockedError names
// the holder; the lock of a dead process is no obstacle.
func Hold(path string) (release func() error, err error) {
	up, err := OpenFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	l, err := up.Lock(filepath.Base(path), Calls())
	if err != nil {
		up.Close()
		return nil, err
	}
	return func() error {
		defer up.Close()
		return l.Release()
	}, nil
}

// HoldFile takes the system's lock on a file that is there, where no lock file
// can be made beside it. The *LockedError can't name the holder. On a file
// system without locks there is nothing to release.
func HoldFile(path string) (release func() error, err error) {
	f, err := OpenRegular(path)
	if err != nil {
		return nil, err
	}
	switch ok, err := lockFile(f); {
	case err != nil:
		f.Close()
		return func() error { return nil }, nil
	case !ok:
		f.Close()
		return nil, &LockedError{Path: path}
	}
	return func() error {
		unlockFile(f)
		return f.Close()
	}, nil
}
