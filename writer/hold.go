package writer

import "path/filepath"

// Hold takes the lock at path as Create takes that of an output, for work that
// has no output of its own: a *LockedError names who has it, and what a dead
// process left is no obstacle. release gives it back.
func Hold(path string) (release func() error, err error) {
	l, err := acquire(path)
	if err != nil {
		return nil, err
	}
	return l.release, nil
}

// Resolve is the absolute path of a file or folder, without symbolic links. Its
// last parts need not exist.
func Resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return resolve(abs)
}
