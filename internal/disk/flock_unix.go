//go:build unix

package disk

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// lockFile takes the system's lock on f without waiting for it; ok is false if
// another process has it.
func lockFile(f *os.File) (ok bool, err error) {
	err = Retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) })
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// unlockFile gives the lock back. Closing f would not while another descriptor
// of the same open file is left, as in a child that has forked and not yet
// executed its program.
func unlockFile(f *os.File) {
	_ = Retry(func() error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) })
}
