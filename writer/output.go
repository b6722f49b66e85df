package writer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"slerpmerge/internal/disk"
)

// Options for Create.
type Options struct {
	// Overwrite allows replacing a model folder at OUT, when the new one is complete.
	Overwrite bool
	// Fingerprint stands for all that the output depends on. An unfinished run
	// with the same one is resumed; "" keeps no journal.
	Fingerprint string
	// Restart discards an unfinished run even if its fingerprint is the same.
	Restart bool
	// DropPages takes pages out of the page cache once they are on the disk.
	DropPages bool
	// KeepCached leaves the output in the page cache, whatever that costs.
	KeepCached bool
	// Warn, if not nil, is called with a warning for the user, at most once.
	Warn func(text string)
	// Threads is how many parts of an unfinished run are read at the same time; 0
	// is one.
	Threads int
	// Checking, if not nil, is called before so many bytes of an unfinished run are
	// read.
	Checking func(bytes int64)
	// Limit, if not nil, is called before n bytes of an unfinished run are read.
	Limit func(ctx context.Context, n int) error
	// Original reads again the bytes that were copied to byte off of a file by Copy.
	// Without it an unfinished run that has any is not resumed.
	Original func(ctx context.Context, file int, p []byte, off int64) error
	// Inputs are files and folders that must neither be replaced nor written
	// into. Those that do not exist don't matter.
	Inputs []string

	sys *system // nil for the real one
}

// An Output is an output folder in the making. Its methods are for one
// goroutine. After an error only Abort is of use.
type Output struct {
	place
	opt    Options
	sys    *system
	up     *disk.Folder            // that OUT will be in
	work   *disk.Folder            // the partial folder
	subs   map[string]*disk.Folder // folders in it that have weights
	mode   fs.FileMode             // of OUT; while the work is on it is private
	lock   *disk.Lock
	made   []madeFolder // folders above OUT that this run created, outermost first
	need   atomic.Int64 // bytes of the layout; the flusher reads it too
	layout *Layout
	files  []*openFile
	others []WrittenFile // the complete files beside them
	flush  *flusher
	closed bool
	ways   chooser

	previous  Previous
	stretches []stretch // that the earlier run wrote
	valid     int64     // length of the earlier run's journal
	journal   *os.File  // nil before Presize
	marked    int       // the file of the last mark
	since     int64     // bytes written since the last checkpoint
	every     int64     // bytes between checkpoints
}

// A madeFolder is a folder above OUT that this run created.
type madeFolder struct {
	up   *disk.Folder
	name string
	info fs.FileInfo
}

// Create begins an output folder at dir: it takes the lock, and makes .OUT.partial
// beside it, or resumes what an unfinished run with the same fingerprint left
// there. Missing folders above are made. Errors: *ExistsError if dir is there and not an empty
// folder, or with Overwrite *UnsafeError if it is not plainly a model folder;
// *UnsafeError if dir is, contains or lies in an input, the home or the current
// folder; *LockedError; *ForeignError if somebody else owns OUT or something
// beside it that is in the way.
func Create(dir string, opt Options) (*Output, error) {
	p, err := locate(dir)
	if err != nil {
		return nil, err
	}
	if err := p.check(opt.Inputs); err != nil {
		return nil, err
	}
	o := &Output{place: p, opt: opt, sys: cmp.Or(opt.sys, realSystem())}
	if err := o.begin(); err != nil {
		if o.lock != nil {
			err = errors.Join(err, o.lock.Release())
		}
		o.unmake()
		o.closeFolders()
		return nil, err
	}
	if o.up.Strange() && opt.Warn != nil {
		opt.Warn("the file system of " + o.above + " gives new files to another user: what an unfinished run left is known by its journal alone")
	}
	o.flush = newFlusher(o.sys, o.wrap, o.inPlace, opt.DropPages && !opt.KeepCached)
	return o, nil
}

// Check reports the error that Create would return for dir now, creating nothing
// and ignoring locks.
func Check(dir string, opt Options) error {
	p, err := locate(dir)
	if err != nil {
		return err
	}
	if err := p.check(opt.Inputs); err != nil {
		return err
	}
	o := &Output{place: p, opt: opt}
	up, err := disk.OpenFolder(p.above)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	defer up.Close()
	o.up = up
	return o.free()
}

// free reports whether OUT may be made: it is not there, empty, or may be
// replaced.
func (o *Output) free() error {
	occupied, err := o.occupied(o.up)
	switch {
	case err != nil:
		return fmt.Errorf("output folder: %w", err)
	case !occupied:
		return nil
	case !o.opt.Overwrite:
		return &ExistsError{o.asked}
	}
	old, err := o.replaceable(o.up)
	if err != nil {
		return err
	}
	old.Close()
	return nil
}

// begin makes the changes to the disk that Create describes.
func (o *Output) begin() error {
	if err := o.makeParents(); err != nil {
		return diskError("making the folder for", o.out, 0, err)
	}
	var err error
	if o.lock, err = o.up.Lock(o.place.lock, o.sys.lockCalls()); err != nil {
		return full(o.up.Path(o.place.lock), 0, err)
	}
	if err := o.restore(); err != nil {
		return wrapForeign("putting back "+o.out, err)
	}
	if err := o.free(); err != nil {
		return err
	}
	if err := o.inspectPartial(); err != nil {
		return wrapForeign("removing what an earlier run left", err)
	}
	o.lock.Keep = false
	if o.work == nil {
		if o.work, err = o.up.Mkdir(o.partial, 0o700); err != nil {
			return diskError("making", o.up.Path(o.partial), 0, err)
		}
	}
	if err := o.note(o.work.Info(), false); err != nil {
		return err
	}
	return o.learnMode()
}

// note records a folder in the lock file as ours.
func (o *Output) note(fi fs.FileInfo, flush bool) error {
	return full(o.up.Path(o.place.lock), 0, o.lock.Note(fi, flush))
}

// wrapForeign adds the operation to err, unless it is a *ForeignError.
func wrapForeign(doing string, err error) error {
	if isForeign(err) {
		return err
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// modeName is a folder that shows which mode a new folder has.
const modeName = ".slerpmerge.mode"

// learnMode finds out which mode OUT will have. The partial folder is private,
// whatever the umask is: nobody else can open its files.
func (o *Output) learnMode() error {
	probe, _, err := o.work.MakeSub(modeName, 0o777)
	if err != nil {
		return diskError("making", o.work.Path(modeName), 0, err)
	}
	o.mode = probe.Info().Mode()
	probe.Close()
	return diskError("removing", o.work.Path(modeName), 0, o.work.Remove(modeName))
}

// makeParents opens the folder that OUT will be in, and makes it and those above
// it where they are missing.
func (o *Output) makeParents() error {
	var missing []string
	dir := o.above
	for {
		up, err := disk.OpenFolder(dir)
		if err == nil {
			o.up = up
			break
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return err
		}
		missing = append(missing, filepath.Base(dir))
		dir = filepath.Dir(dir)
	}
	for _, name := range slices.Backward(missing) {
		s, made, err := o.up.MakeSub(name, 0o777)
		if err != nil {
			return err
		}
		if made {
			o.made = append(o.made, madeFolder{o.up, name, s.Info()})
		}
		o.up = s
	}
	return nil
}

// unmake removes the folders that makeParents made, as far as they are empty.
func (o *Output) unmake() {
	for _, m := range slices.Backward(o.made) {
		if same, err := m.up.Is(m.name, m.info); err == nil && same {
			m.up.Remove(m.name)
		}
	}
	o.made = nil
}

// closeFolders closes the folders.
func (o *Output) closeFolders() {
	o.closeSubs()
	if o.work != nil {
		o.work.Close()
	}
	if o.up != nil {
		o.up.Close()
	}
}

// closeSubs closes the folders in the partial folder that have weights.
func (o *Output) closeSubs() {
	for _, s := range o.subs {
		s.Close()
	}
	o.subs = nil
}

// Presize creates the files of l, with room reserved for all their bytes, and
// writes the index; or resumes those of an unfinished run. It fails with a
// *NoSpaceError before it creates anything when the file system is too full
// for all of them. All that is resumed is read once, and compared with the
// journal; an error that ends this (the cause of ctx, one of Options.Limit or
// Options.Original) leaves it as it is, for Suspend.
func (o *Output) Presize(ctx context.Context, l *Layout) error {
	if o.closed || o.files != nil {
		return fmt.Errorf("presizing %s: %w", o.out, fs.ErrClosed)
	}
	if err := o.presizeAll(ctx, l); err != nil {
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

func (o *Output) presizeAll(ctx context.Context, l *Layout) error {
	need := l.Bytes()
	o.need.Store(need)
	o.layout = l
	switch {
	case o.opt.KeepCached || need < minChosen:
		o.ways.rule = alwaysBuffered
	case o.opt.DropPages:
		o.ways.rule = neverBuffered
	}
	o.every = min(max(need/checkpointParts, minCheckpoint), maxCheckpoint)
	if o.valid > 0 {
		why := o.resume(l)
		if why == nil {
			var err error
			if why, err = o.checkValues(ctx); err != nil {
				return err
			}
		}
		if why == nil {
			return nil
		}
		o.closeFiles()
		o.closeSubs()
		o.files, o.marked, o.previous = nil, 0, Previous{Found: true, Why: why.Error()}
		if err := o.work.Clear(journalName); err != nil {
			return o.wrap("removing", o.work.Path(""), err)
		}
	}
	if free, err := o.sys.freeBytes(o.work.Path("")); err == nil && free < need {
		return &NoSpaceError{Path: o.asked, Need: need, Free: free}
	}
	// The journal comes first: it marks the folder as our work.
	if err := o.startJournal(); err != nil {
		return err
	}
	for _, file := range l.Files {
		if err := o.presize(file); err != nil {
			return err
		}
	}
	return nil
}

// startJournal begins the journal.
func (o *Output) startJournal() error {
	f, err := o.work.Create(journalName, 0o666)
	if err == nil {
		_, err = f.WriteString(journalHead(o.opt.Fingerprint, o.base))
	}
	if err != nil {
		if f != nil {
			f.Close()
		}
		return o.wrap("writing", o.work.Path(journalName), err)
	}
	o.journal = f
	return nil
}

// journals reports whether checkpoints are made.
func (o *Output) journals() bool { return o.journal != nil && o.opt.Fingerprint != "" }
