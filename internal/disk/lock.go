package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A Lock keeps other processes from some work. It is the system's lock on the
// file, not the file itself: the file of a dead process is no obstacle.
//
// The file names the process that holds it, and the folders beside it that are
// its work or replaced by it, so that they can be identified after its death.
type Lock struct {
	// Keep has Release leave the file, because it identifies a folder that is
	// still there: one of a dead process, or one that could not be removed.
	Keep bool

	calls LockCalls
	up    *Folder
	name  string
	file  *os.File // nil where the file system has no locks
	own   []string // the identities of folders that are ours to use or remove
}

// LockCalls are the system calls of a Lock that tests have fail.
type LockCalls struct {
	Try  func(f *os.File) (ok bool, err error)
	Sync func(f *os.File) error
}

// A LockedError reports that another process holds a lock. PID is 0 and Host ""
// if the holder is unknown.
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

// FolderWord begins a line of a lock file that gives the identity of a folder.
const FolderWord = "folder "

// maxLockFile bounds the bytes that are read of a lock file.
const maxLockFile = 4 << 10

// Lock takes the lock called name, or fails at once: with a *LockedError if
// another process has it, with a *ForeignError if the file is not ours.
func (d *Folder) Lock(name string, calls LockCalls) (*Lock, error) {
	// Another run may remove the file between our opening and our locking it;
	// we would then hold a file that nobody else can see. A run removes it once,
	// so each further round takes one more run that ends at this very moment.
	for range 100 {
		l, err := d.tryLock(name, calls)
		if l != nil || err != nil {
			return l, err
		}
	}
	return nil, fmt.Errorf("locking %s: it is removed again and again", d.Path(name))
}

// tryLock returns neither a lock nor an error if the file was removed in the
// meantime.
func (d *Folder) tryLock(name string, calls LockCalls) (*Lock, error) {
	f, err := d.openLock(name)
	if f == nil || err != nil {
		return nil, err
	}
	var ok bool
	err = Retry(func() (err error) { ok, err = calls.Try(f); return })
	switch {
	case errors.Is(err, syscall.ENOLCK) || err != nil && Unsupported(err):
		f.Close()
		d.Remove(name)
		return &Lock{calls: calls, up: d, name: name}, nil
	case err != nil:
		f.Close()
		return nil, Fail("locking", d.Path(name), err)
	case !ok:
		defer f.Close()
		pid, host := holder(readLock(f))
		return nil, &LockedError{Path: d.Path(name), PID: pid, Host: host}
	}
	fi, err := f.Stat()
	same := false
	if err == nil {
		same, err = d.Is(name, fi)
	}
	if err != nil || !same {
		f.Close()
		return nil, Fail("locking", d.Path(name), err)
	}
	l := &Lock{calls: calls, up: d, name: name, file: f}
	if d.Vet(name, fi) == nil { // nobody else can have written this
		for line := range strings.Lines(readLock(f)) {
			if id, ok := strings.CutPrefix(strings.TrimSpace(line), FolderWord); ok {
				l.own, l.Keep = append(l.own, id), true
			}
		}
	}
	l.sign()
	return l, nil
}

// openLock opens the lock file, which it makes if there is none: a regular file
// of ours with one name, or a *ForeignError. It returns nil if the file
// vanished in between.
func (d *Folder) openLock(name string) (*os.File, error) {
	f, err := d.Create(name, 0o644)
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, Fail("locking", d.Path(name), err)
	}
	fi, err := d.Lstat(name)
	if err == nil {
		if err = d.VetOwner(name, fi); err == nil && fi.IsDir() {
			err = &ForeignError{Path: d.Path(name), Reason: "is a folder, not a lock"}
		}
	}
	if err == nil {
		f, err = d.Open(name, os.O_RDWR)
	}
	if err == nil {
		if fi, err = f.Stat(); err == nil {
			err = d.VetOwner(name, fi)
		}
		if err == nil {
			return f, nil
		}
		f.Close()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if foreign := (*ForeignError)(nil); errors.As(err, &foreign) {
		return nil, err
	}
	return nil, Fail("locking", d.Path(name), err)
}

func readLock(f *os.File) string {
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, maxLockFile))
	return string(b)
}

// sign writes the holder of the lock to the file, for the message of those who
// find it taken, and the folders. Where that fails the message says less.
func (l *Lock) sign() error {
	if l.file == nil {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	text := fmt.Appendf(nil, "%d %s\n", os.Getpid(), host)
	for _, id := range l.own {
		text = append(text, FolderWord+id+"\n"...)
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = l.file.WriteAt(text, 0)
	return err
}

// Note records a folder as ours, on the disk if flush is set.
func (l *Lock) Note(fi fs.FileInfo, flush bool) error {
	id := Identity(fi)
	if l.file == nil {
		return nil
	}
	if id != "" && !slices.Contains(l.own, id) {
		l.own = append(l.own, id)
	}
	err := l.sign()
	if err == nil && flush {
		err = Retry(func() error { return l.calls.Sync(l.file) })
	}
	if err != nil && !Unsupported(err) {
		return Fail("writing", l.up.Path(l.name), err)
	}
	return nil
}

// Knows reports whether a folder was noted by this process or by a dead one.
func (l *Lock) Knows(fi fs.FileInfo) bool {
	id := Identity(fi)
	return id != "" && slices.Contains(l.own, id)
}

// holder parses the line that sign writes.
func holder(text string) (pid int, host string) {
	text, _, _ = strings.Cut(text, "\n")
	if word := strings.Fields(text); len(word) == 2 {
		if n, err := strconv.Atoi(word[0]); err == nil && n > 0 {
			return n, word[1]
		}
	}
	return 0, ""
}

// Release removes the lock file while it is still ours and Keep is not set, then
// unlocks it.
func (l *Lock) Release() error {
	if l.file == nil {
		return nil
	}
	fi, err := l.file.Stat()
	same := false
	if err == nil {
		same, err = l.up.Is(l.name, fi)
	}
	same = same && !l.Keep
	if same {
		err = l.up.Remove(l.name)
	}
	unlockFile(l.file)
	cerr := l.file.Close()
	if same && err != nil { // Windows removes no open file
		err = l.up.Remove(l.name)
	}
	l.file = nil
	if err = errors.Join(err, cerr); err != nil {
		return fmt.Errorf("releasing %s: %w", l.up.Path(l.name), err)
	}
	return nil
}
