package writer

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"slerpmerge/internal/disk"
)

// errNotFar says that an earlier run left nothing of use.
var errNotFar = errors.New("it had not come far enough")

// inspectPartial opens the partial folder of a dead run. If its journal has our
// fingerprint it is kept for Presize, else it is removed. A folder that is not
// ours is a *ForeignError.
func (o *Output) inspectPartial() error {
	o.sys.step("leftover")
	work, journal, err := o.openLeftover(o.partial)
	if work == nil || err != nil {
		return err
	}
	o.previous.Found = true
	keep := false
	switch {
	case o.opt.Fingerprint == "" || o.opt.Restart:
	case journal == nil:
		o.previous.Why = errNotFar.Error()
	case isForeign(o.up.Vet(o.partial, work.Info())): // we know it, but anybody could have been at it
		o.previous.Why = "others can write to its folder"
	default:
		left, err := readJournal(journal, o.opt.Fingerprint, o.base)
		switch {
		case err != nil:
			o.previous.Why = err.Error()
		default:
			keep = true
			o.readMarks(left)
		}
	}
	if journal != nil {
		journal.Close()
	}
	if keep {
		o.work = work
		return nil
	}
	defer work.Close()
	return o.discard(o.partial, work)
}

// readMarks keeps the marks and notes of the journal of an earlier run.
func (o *Output) readMarks(j journalText) {
	o.valid, o.stretches = j.valid, nil
	for _, m := range j.marks {
		o.stretches = append(o.stretches, m.Stretches...)
		if m.Note != nil {
			o.previous.Notes = append(o.previous.Notes, m.Note)
		}
		o.previous.At = m.Mark
	}
}

// openLeftover opens the folder that a dead run left under a name. It must be
// ours alone and marked as such: by its journal, which is nil if there is none, or
// by the lock file; an empty folder needs no mark. Without an error the folder is
// nil if it does not exist.
func (o *Output) openLeftover(name string) (left *disk.Folder, journal *os.File, err error) {
	fi, err := o.up.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	path := o.up.Path(name)
	if err := o.up.VetOwner(name, fi); err != nil {
		return nil, nil, err
	}
	if !fi.IsDir() {
		return nil, nil, &ForeignError{Path: path, Reason: "is not the folder of an unfinished run"}
	}
	if left, err = o.up.Sub(name); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			left.Close()
			left = nil
		}
	}()
	known := o.lock.Knows(left.Info())
	vet := o.up.Vet
	if known {
		vet = o.up.VetOwner // it had the mode of the output at the end
	}
	if err := vet(name, left.Info()); err != nil {
		return left, nil, err
	}
	if journal, err = left.Open(journalName, os.O_RDONLY); err == nil {
		var whose string
		if whose, err = journalOf(journal); err == nil && whose != "" && whose != o.base {
			err = &ForeignError{Path: path, Reason: "is the unfinished work for another output, " + fmt.Sprintf("%q", whose)}
		}
		if err == nil {
			_, err = journal.Seek(0, io.SeekStart)
		}
		if err == nil {
			return left, journal, nil
		}
		journal.Close()
		if isForeign(err) {
			return left, nil, err
		}
	}
	if known {
		return left, nil, nil
	}
	entries, err := left.ReadDir()
	if err == nil && len(entries) > 0 {
		err = &ForeignError{Path: path, Reason: "is not known to be the work of an unfinished run: it has no journal of one"}
	}
	return left, nil, err
}

// discard removes a folder that stands under name, unless something else does.
// The journal goes last: a folder without it is nobody's.
func (o *Output) discard(name string, d *disk.Folder) error {
	o.sys.step("discard")
	same, err := o.up.Is(name, d.Info())
	if err != nil || !same {
		return err
	}
	if err := o.note(d.Info(), false); err != nil {
		return err
	}
	if err := d.Clear(journalName); err != nil {
		return err
	}
	d.Release()
	if same, err = o.up.Is(name, d.Info()); err != nil || !same {
		return err
	}
	return o.up.Remove(name)
}

// restore puts OUT back where a run died between moving it away and moving
// its replacement in.
func (o *Output) restore() error {
	o.sys.step("restore")
	old, journal, err := o.openLeftover(o.old)
	if journal != nil {
		journal.Close()
	}
	if old == nil || err != nil {
		return err
	}
	defer old.Close()
	occupied, err := o.occupied(o.up)
	if err != nil {
		return err
	}
	if occupied {
		return o.discard(o.old, old) // the replacement is in place
	}
	old.Release()
	return o.sys.rename(o.up, o.old, o.base)
}

// checkLeftover makes sure that file i of the layout is ours alone and as the
// earlier run left it.
func (o *Output) checkLeftover(i int, file File, at Mark) error {
	wrong := fmt.Errorf("its %s is not as it was left", file.Name)
	fi, err := o.work.Lstat(file.Name)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() != file.Size {
		return wrong
	}
	f, err := o.work.Open(file.Name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := o.vetInside(file.Name, f); err != nil {
		return err
	}
	if i > at.File {
		return nil
	}
	end := file.Size
	if i == at.File {
		end = file.durable(at.Off)
	}
	if err := checkLiterals(f, &file, end); err != nil {
		return fmt.Errorf("%w: %w", wrong, err)
	}
	return nil
}

// vetInside makes sure that a file of the partial folder is ours alone.
func (o *Output) vetInside(name string, f *os.File) error {
	fi, err := f.Stat()
	if err == nil {
		err = o.work.Vet(name, fi)
	}
	return err
}

// inPlace makes sure that the partial folder, its journal and the folder that
// OUT will be in still have their names: work in a folder that was removed is
// lost, and OUT would not be where it is looked for.
func (o *Output) inPlace() error {
	same, err := o.work.InPlace()
	if err == nil && same {
		same, err = o.aboveInPlace()
	}
	if err == nil && same && o.journal != nil {
		var fi fs.FileInfo
		if fi, err = o.journal.Stat(); err == nil {
			same, err = o.work.Is(journalName, fi)
		}
	}
	if err == nil && !same {
		err = fmt.Errorf("%s was removed while it was in use", o.work.Path(""))
	}
	return err
}

// aboveInPlace reports whether the folder that OUT will be in still has its name.
func (o *Output) aboveInPlace() (bool, error) {
	above, err := os.Lstat(o.above)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(above, o.up.Info()), err
}

// Cleanup removes the leftovers of a run to the output dir that was killed between
// publishing and its own clean-up: the folder that was replaced. It keeps work
// that can be resumed, and does nothing while another run holds the lock. It is
// best effort.
func Cleanup(dir string) {
	p, err := locate(dir)
	if err != nil {
		return
	}
	up, err := disk.OpenFolder(p.above)
	if err != nil {
		return
	}
	defer up.Close()
	if !hasLeftovers(up, p) {
		return
	}
	sys := realSystem()
	l, err := up.Lock(p.lock, sys.lockCalls())
	if err != nil {
		return
	}
	defer l.Release()
	o := &Output{place: p, sys: sys, up: up, lock: l}
	clean := true
	for _, name := range []string{p.partial, p.old} {
		left, journal, err := o.openLeftover(name)
		if journal != nil {
			journal.Close()
		}
		if left == nil {
			clean = clean && err == nil
			continue
		}
		if journal == nil {
			clean = o.discard(name, left) == nil && clean
		}
		left.Close()
	}
	if clean {
		l.Keep = false
	}
}

// hasLeftovers reports whether anything is left beside an output.
func hasLeftovers(up *disk.Folder, p place) bool {
	for _, name := range []string{p.partial, p.old} {
		if _, err := up.Lstat(name); err == nil {
			return true
		}
	}
	return false
}

// PartialBytes returns the disk space that the unfinished run to the output dir takes,
// which the next one will use or free.
func PartialBytes(dir string) int64 {
	p, err := locate(dir)
	if err != nil {
		return 0
	}
	up, err := disk.OpenFolder(p.above)
	if err != nil {
		return 0
	}
	defer up.Close()
	work, err := up.Sub(p.partial)
	if err != nil {
		return 0
	}
	defer work.Close()
	if up.Vet(p.partial, work.Info()) != nil {
		return 0
	}
	return work.Usage()
}
