package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/gofrs/flock"
)

// Overridden by tests.
var tryLock = (*flock.Flock).TryLock

// A lock keeps other runs from an output. It is the system's lock on the file,
// not the file itself: what a dead process left is no obstacle.
type lock struct {
	path string
	held *flock.Flock // nil where the file system has no locks
}

// acquire takes the lock at path, or fails at once with a *LockedError.
func acquire(path string) (*lock, error) {
	// Another run may remove the file between our opening and our locking it;
	// we would then hold a file that nobody else can see. A run removes it once,
	// so each further round takes one more run that ends at this very moment.
	for range 100 {
		f := flock.New(path, flock.SetPermissions(0o666))
		var ok bool
		err := retry(func() (err error) { ok, err = tryLock(f); return })
		switch {
		case errors.Is(err, syscall.ENOLCK) || err != nil && unsupported(err):
			f.Close()
			os.Remove(path)
			return &lock{path: path}, nil
		case err != nil:
			return nil, diskError("locking", path, 0, err)
		case !ok:
			pid, host := holder(path)
			return nil, &LockedError{Path: path, PID: pid, Host: host}
		}
		same, err := names(path, f)
		if err != nil {
			f.Unlock()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if same {
			l := &lock{path: path, held: f}
			l.sign()
			return l, nil
		}
		f.Unlock()
	}
	return nil, fmt.Errorf("locking %s: it is removed again and again", path)
}

// names reports whether path still names the file that f has locked.
func names(path string, f *flock.Flock) (bool, error) {
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !now.Mode().IsRegular() {
		return false, errors.New("not a regular file")
	}
	locked, err := f.Stat()
	if err != nil {
		return false, err
	}
	return os.SameFile(now, locked), nil
}

// sign notes who holds the lock, for the message of those who find it taken.
// Where that fails (Windows locks the contents too) the message says less.
func (l *lock) sign() {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	os.WriteFile(l.path, fmt.Appendf(nil, "%d %s\n", os.Getpid(), host), 0o666)
}

// holder reads what sign wrote.
func holder(path string) (pid int, host string) {
	data, _ := os.ReadFile(path)
	if word := strings.Fields(string(data)); len(word) == 2 {
		if n, err := strconv.Atoi(word[0]); err == nil && n > 0 {
			return n, word[1]
		}
	}
	return 0, ""
}

// release removes the lock file while it is still ours, then lets go of it.
func (l *lock) release() error {
	if l.held == nil {
		return nil
	}
	same, err := names(l.path, l.held)
	if same {
		err = os.Remove(l.path)
	}
	uerr := l.held.Unlock()
	if same && err != nil { // Windows removes no open file
		err = os.Remove(l.path)
	}
	l.held = nil
	if err = errors.Join(err, uerr); err != nil {
		return fmt.Errorf("releasing %s: %w", l.path, err)
	}
	return nil
}
