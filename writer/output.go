package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
)

// Overridden by tests.
var (
	writeAt   = (*os.File).WriteAt
	reserve   = preallocate
	truncate  = (*os.File).Truncate
	freeBytes = FreeSpace
)

// Options say what Create may do.
type Options struct {
	// Overwrite allows replacing a model folder at OUT, when the new one is complete.
	Overwrite bool
	// Fingerprint stands for all that the output depends on. An unfinished run
	// with the same one is gone on with; "" keeps no journal.
	Fingerprint string
	// Restart throws an unfinished run away whatever its fingerprint.
	Restart bool
	// DropPages takes pages out of the page cache once they are on the disk.
	DropPages bool
	// Inputs are files and folders that must neither be replaced nor written
	// into. Those that do not exist don't matter.
	Inputs []string
}

// An Output is an output folder in the making. Its methods are for one
// goroutine. After an error only Abort is of use.
type Output struct {
	place
	opt    Options
	lock   *lock
	made   []string     // folders above OUT that this run created, outermost first
	need   atomic.Int64 // bytes of the layout; the flusher reads it too
	layout *Layout
	files  []*openFile
	others []string // names of the complete files beside them
	flush  *flusher
	closed bool

	earlier Earlier
	valid   int64    // length of the earlier run's journal
	journal *os.File // nil without a fingerprint, and before Presize
	since   int64    // bytes written since the last checkpoint
	every   int64    // bytes between checkpoints
}

// Create begins an output folder at dir: it takes the lock, and makes
// .OUT.partial beside it, or goes on with what an unfinished run with the same
// fingerprint left there. Missing
// folders above are made. Errors: *ExistsError if dir is there and not an empty
// folder, or with Overwrite *UnsafeError if it is not plainly a model folder;
// *UnsafeError if dir is, contains or lies in an input, the home or the current
// folder; *LockedError.
func Create(dir string, opt Options) (*Output, error) {
	p, err := locate(dir)
	if err != nil {
		return nil, err
	}
	if err := p.check(opt.Inputs); err != nil {
		return nil, err
	}
	o := &Output{place: p, opt: opt}
	if err := o.begin(); err != nil {
		if o.lock != nil {
			err = errors.Join(err, o.lock.release())
		}
		o.unmake()
		return nil, err
	}
	o.flush = newFlusher(o.wrap, opt.DropPages)
	return o, nil
}

// Check says what Create would say of dir now, but for another run's lock, and
// makes nothing.
func Check(dir string, opt Options) error {
	p, err := locate(dir)
	if err != nil {
		return err
	}
	if err := p.check(opt.Inputs); err != nil {
		return err
	}
	o := &Output{place: p, opt: opt}
	return o.free()
}

// free reports whether OUT may be made: it is not there, empty, or may be
// replaced.
func (o *Output) free() error {
	occupied, err := o.occupied()
	switch {
	case err != nil:
		return fmt.Errorf("output folder: %w", err)
	case !occupied:
		return nil
	case !o.opt.Overwrite:
		return &ExistsError{o.asked}
	}
	return o.replaceable()
}

// begin does what Create does to the disk.
func (o *Output) begin() error {
	if err := o.makeParents(); err != nil {
		return diskError("making the folder for", o.out, 0, err)
	}
	var err error
	if o.lock, err = acquire(o.place.lock); err != nil {
		return err
	}
	if err := o.restore(); err != nil {
		return fmt.Errorf("putting back %s: %w", o.out, err)
	}
	if err := o.free(); err != nil {
		return err
	}
	if err := o.leftover(); err != nil {
		return fmt.Errorf("removing what an earlier run left: %w", err)
	}
	err = os.Mkdir(o.partial, 0o777)
	if o.valid > 0 && errors.Is(err, fs.ErrExist) {
		return nil
	}
	return diskError("making", o.partial, 0, err)
}

// makeParents is os.MkdirAll of the folder above OUT that remembers what it made.
func (o *Output) makeParents() error {
	var missing []string
	for dir := filepath.Dir(o.out); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break // what else is wrong shows when making the next
		}
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	for _, dir := range missing {
		err := os.Mkdir(dir, 0o777)
		if errors.Is(err, fs.ErrExist) {
			continue // by another run, at the same time
		}
		if err != nil {
			return err
		}
		o.made = append(o.made, dir)
	}
	return nil
}

// unmake removes the folders that makeParents made, as far as they are empty.
func (o *Output) unmake() {
	for _, dir := range slices.Backward(o.made) {
		os.Remove(dir)
	}
	o.made = nil
}

// restore puts OUT back where a run died between moving it away and moving
// its replacement in.
func (o *Output) restore() error {
	if _, err := os.Lstat(o.old); err != nil {
		return nil
	}
	occupied, err := o.occupied()
	if err != nil {
		return err
	}
	if occupied {
		return os.RemoveAll(o.old) // the replacement is in place
	}
	return renameFolder(o.old, o.out)
}

// Presize creates the files of l, with room reserved for all their bytes, and
// writes the index; or takes up those of an unfinished run. It fails with a
// *NoSpaceError before it creates anything when the file system is too full
// for all of them.
func (o *Output) Presize(l *Layout) error {
	if o.closed || o.files != nil {
		return fmt.Errorf("presizing %s: %w", o.out, fs.ErrClosed)
	}
	if err := o.presizeAll(l); err != nil {
		o.flush.fail(err)
		return err
	}
	if l.IndexName == "" {
		return nil
	}
	index := l.OpenIndex()
	defer index.Close()
	return o.PutFrom(l.IndexName, index)
}

func (o *Output) presizeAll(l *Layout) error {
	need := l.Bytes()
	o.need.Store(need)
	o.layout = l
	o.every = min(max(need/checkpointParts, minCheckpoint), maxCheckpoint)
	if o.valid > 0 {
		err := o.takeUp(l)
		if err == nil {
			return nil
		}
		o.closeFiles()
		o.files, o.earlier = nil, Earlier{Found: true, Why: err.Error()}
		if err := os.RemoveAll(o.partial); err != nil {
			return o.wrap("removing", o.partial, err)
		}
		if err := os.Mkdir(o.partial, 0o777); err != nil {
			return o.wrap("making", o.partial, err)
		}
	}
	if free, err := freeBytes(o.partial); err == nil && free < need {
		return &NoSpaceError{Path: o.asked, Need: need, Free: free}
	}
	for _, file := range l.Files {
		if err := o.presize(file); err != nil {
			return err
		}
	}
	return o.startJournal()
}

// startJournal begins the journal.
func (o *Output) startJournal() error {
	if o.opt.Fingerprint == "" {
		return nil
	}
	path := filepath.Join(o.partial, journalName)
	f, err := startJournal(path, o.opt.Fingerprint)
	if err != nil {
		return o.wrap("writing", path, err)
	}
	o.journal = f
	return nil
}
