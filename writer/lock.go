package writer

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

	"slerpmerge/internal/disk"
)

// A lock keeps other runs from an output. It is the system's lock on the file,
// not the file itself: the file of a dead process is no obstacle.
//
// The file names the process that holds it, and the folders beside it that are
// its work or replaced by it, so that they can be identified after its death.
type lock struct {
	sys   *system
	up    *disk.Folder
	name  string
	file  *os.File // nil where the file system has no locks
	own   []string // the identities of folders that are ours to use or remove
	dirty bool     // of own, some may be left by a dead process and still there
}

// folderWord begins a line of a lock file that gives the identity of a folder.
const folderWord = "folder "

// maxLockFile bounds the bytes that are read of a lock file.
const maxLockFile = 4 << 10

// acquire takes the lock called name in the folder up, or fails at once: with a
// *LockedError if another process has it, with a *ForeignError if the file
// is not ours.
func acquire(up *disk.Folder, name string, sys *system) (*lock, error) {
	// Another run may remove the file between our opening and our locking it;
	// we would then hold a file that nobody else can see. A run removes it once,
	// so each further round takes one more run that ends at this very moment.
	for range 100 {
		l, err := tryAcquire(up, name, sys)
		if l != nil || err != nil {
			return l, err
		}
	}
	return nil, fmt.Errorf("locking %s: it is removed again and again", up.Path(name))
}

// tryAcquire returns neither a lock nor an error if the file was removed in the
// meantime.
func tryAcquire(up *disk.Folder, name string, sys *system) (*lock, error) {
	f, err := openLock(up, name)
	if f == nil || err != nil {
		return nil, err
	}
	var ok bool
	err = retry(func() (err error) { ok, err = sys.tryLock(f); return })
	switch {
	case errors.Is(err, syscall.ENOLCK) || err != nil && unsupported(err):
		f.Close()
		up.Remove(name)
		return &lock{sys: sys, up: up, name: name}, nil
	case err != nil:
		f.Close()
		return nil, diskError("locking", up.Path(name), 0, err)
	case !ok:
		defer f.Close()
		pid, host := holder(readLock(f))
		return nil, &LockedError{Path: up.Path(name), PID: pid, Host: host}
	}
	fi, err := f.Stat()
	same := false
	if err == nil {
		same, err = up.Is(name, fi)
	}
	if err != nil || !same {
		f.Close()
		return nil, diskError("locking", up.Path(name), 0, err)
	}
	l := &lock{sys: sys, up: up, name: name, file: f}
	if up.Vet(name, fi) == nil { // nobody else can have written this
		for line := range strings.Lines(readLock(f)) {
			if id, ok := strings.CutPrefix(strings.TrimSpace(line), folderWord); ok {
				l.own, l.dirty = append(l.own, id), true
			}
		}
	}
	l.sign()
	return l, nil
}

// openLock opens the lock file, which it makes if there is none: a regular file
// of ours with one name, or a *ForeignError. It returns nil if the file
// vanished in between.
func openLock(up *disk.Folder, name string) (*os.File, error) {
	f, err := up.Create(name, 0o644)
	if err == nil {
		return f, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, diskError("locking", up.Path(name), 0, err)
	}
	fi, err := up.Lstat(name)
	if err == nil {
		if err = up.VetOwner(name, fi); err == nil && fi.IsDir() {
			err = &ForeignError{Path: up.Path(name), Reason: "is a folder, not a lock"}
		}
	}
	if err == nil {
		f, err = up.Open(name, os.O_RDWR)
	}
	if err == nil {
		if fi, err = f.Stat(); err == nil {
			err = up.VetOwner(name, fi)
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
	return nil, diskError("locking", up.Path(name), 0, err)
}

func readLock(f *os.File) string {
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, maxLockFile))
	return string(b)
}

// sign writes the holder of the lock to the file, for the message of those who find it taken, and
// the folders. Where that fails the message says less.
func (l *lock) sign() error {
	if l.file == nil {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	text := fmt.Appendf(nil, "%d %s\n", os.Getpid(), host)
	for _, id := range l.own {
		text = append(text, folderWord+id+"\n"...)
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = l.file.WriteAt(text, 0)
	return err
}

// note remembers a folder as ours, on the disk if that is asked for.
func (l *lock) note(fi fs.FileInfo, flush bool) error {
	id := disk.Identity(fi)
	if l.file == nil {
		return nil
	}
	if id != "" && !slices.Contains(l.own, id) {
		l.own = append(l.own, id)
	}
	err := l.sign()
	if err == nil && flush {
		err = retry(func() error { return l.sys.syncFile(l.file) })
	}
	if err != nil && !unsupported(err) {
		return diskError("writing", l.up.Path(l.name), 0, err)
	}
	return nil
}

// knows reports whether a folder is one that this run or a dead one noted.
func (l *lock) knows(fi fs.FileInfo) bool {
	id := disk.Identity(fi)
	return id != "" && slices.Contains(l.own, id)
}

// settled records that the leftovers of a dead run have been dealt with.
func (l *lock) settled() { l.dirty = false }

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

// release removes the lock file while it is still ours, then unlocks it. The file
// stays if it identifies folders that a dead run left.
func (l *lock) release() error {
	if l.file == nil {
		return nil
	}
	fi, err := l.file.Stat()
	same := false
	if err == nil {
		same, err = l.up.Is(l.name, fi)
	}
	same = same && !l.dirty
	if same {
		err = l.up.Remove(l.name)
	}
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
