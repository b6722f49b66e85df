package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"slerpmerge/internal/disk"
)

// Publish makes the folder visible under OUT. It waits until all of it is on
// the disk, checks that no byte of the layout is missing, and renames. If OUT is
// already the new folder, but the last flush or the clean-up failed, the error is
// a *PublishedError; after any other error OUT is unchanged. Abort may be called
// after any error.
func (o *Output) Publish() error {
	if o.closed {
		return fmt.Errorf("publishing %s: %w", o.out, fs.ErrClosed)
	}
	if err := o.flushAll(); err != nil {
		o.flush.fail(err) // for all later calls
		return err
	}
	replaced, err := o.install()
	if err != nil {
		err = fmt.Errorf("publishing %s: %w", o.out, err)
		o.flush.fail(err)
		return err
	}
	o.closed = true
	err = o.flushAbove() // before the old folder goes
	if replaced != nil {
		if err == nil {
			err = o.discard(replaced.name, replaced.folder)
		}
		replaced.folder.Close()
		o.lock.Keep = err != nil // the lock file identifies it
	}
	err = errors.Join(err, o.lock.Release())
	o.closeFolders()
	if err != nil {
		return &PublishedError{Path: o.out, Err: err}
	}
	return nil
}

// flushAll flushes everything in the partial folder.
func (o *Output) flushAll() error {
	if err := o.flush.err(); err != nil {
		return err
	}
	for _, w := range o.files {
		if n := w.gaps.bytes(); n > 0 {
			return fmt.Errorf("publishing %s: %d bytes of %s were never written", o.out, n, w.Name)
		}
	}
	if err := o.flush.stop(); err != nil {
		return err
	}
	if err := o.dropJournal(); err != nil {
		return err
	}
	for _, w := range o.files {
		fi, err := o.work.Lstat(w.Name)
		if err != nil {
			return fmt.Errorf("publishing %s: %w", o.out, err)
		}
		if fi.Size() != w.Size {
			return fmt.Errorf("publishing %s: %s has %d bytes instead of %d", o.out, w.Name, fi.Size(), w.Size)
		}
	}
	entries, err := o.work.ReadDir()
	if err != nil {
		return fmt.Errorf("publishing %s: %w", o.out, err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := o.syncSub(e.Name()); err != nil {
				return err
			}
		}
	}
	if o.work.Info().Mode() != o.mode {
		if err := o.work.Chmod(o.mode); err != nil {
			return fmt.Errorf("publishing %s: %w", o.out, err)
		}
	}
	return o.syncDir(o.work)
}

func (o *Output) syncSub(name string) error {
	s, err := o.work.Sub(name)
	if err != nil {
		return fmt.Errorf("publishing %s: %w", o.out, err)
	}
	defer s.Close()
	return o.syncDir(s)
}

// dropJournal removes the journal, which is no longer needed. From here on the lock
// file identifies the folder as ours.
func (o *Output) dropJournal() error {
	if o.journal == nil {
		return nil
	}
	if err := o.inPlace(); err != nil {
		return err
	}
	if err := o.lock.Note(o.work.Info(), true); err != nil {
		return fmt.Errorf("publishing %s: %w", o.out, err)
	}
	o.journal.Close()
	o.journal = nil
	if err := o.work.Remove(journalName); err != nil {
		return fmt.Errorf("publishing %s: %w", o.out, err)
	}
	return nil
}

// A replacedFolder is the former OUT, and the name that it has now.
type replacedFolder struct {
	folder *disk.Folder
	name   string
}

// install moves the partial folder to OUT and returns the folder that it
// replaced, nil if there was none.
func (o *Output) install() (*replacedFolder, error) {
	occupied, err := o.occupied(o.up)
	if err != nil {
		return nil, err
	}
	if occupied && !o.opt.Overwrite {
		return nil, &ExistsError{o.asked}
	}
	o.sys.step("install")
	if !occupied {
		return nil, o.moveIn()
	}
	old, err := o.replaceable(o.up) // it may have changed in the meantime
	if err != nil {
		return nil, err
	}
	name, err := o.replace(old)
	if err != nil {
		old.Close()
		return nil, err
	}
	return &replacedFolder{old, name}, nil
}

// moveIn renames the partial folder to OUT, and makes sure that it was it.
func (o *Output) moveIn() error {
	o.work.Release()
	err := disk.Retry(func() error { return o.sys.rename(o.up, o.partial, o.base) })
	// The system refuses an OUT that was made since the call of occupied.
	if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
		return &ExistsError{o.asked}
	}
	if err != nil {
		return err
	}
	same, err := o.up.Is(o.base, o.work.Info())
	if err == nil && !same {
		err = o.swapped()
		o.sys.rename(o.up, o.base, o.partial) // as it was
	}
	return err
}

// swapped returns the error of finding something else under the name of our work.
func (o *Output) swapped() error {
	return fmt.Errorf("%s was replaced by another process while it was in use", o.up.Path(o.partial))
}

// replace puts the partial folder in the place of OUT, which is old, and returns
// the new name of old.
func (o *Output) replace(old *disk.Folder) (name string, err error) {
	if err := o.lock.Note(old.Info(), true); err != nil {
		return "", err
	}
	old.Release()
	o.work.Release()
	err = disk.Retry(func() error { return o.sys.exchange(o.up, o.partial, o.base) })
	if err == nil {
		if err := o.arrived(old, o.partial); err != nil {
			o.sys.exchange(o.up, o.partial, o.base) // as it was
			return "", err
		}
		return o.partial, nil
	}
	if !disk.Unsupported(err) {
		return "", err
	}
	if err := disk.Retry(func() error { return o.sys.rename(o.up, o.base, o.old) }); err != nil {
		return "", err
	}
	if err := disk.Retry(func() error { return o.sys.rename(o.up, o.partial, o.base) }); err != nil {
		return "", errors.Join(err, o.sys.rename(o.up, o.old, o.base))
	}
	if err := o.arrived(old, o.old); err != nil {
		o.sys.rename(o.up, o.base, o.partial) // as it was
		return "", errors.Join(err, o.sys.rename(o.up, o.old, o.base))
	}
	return o.old, nil
}

// arrived makes sure that OUT is our work now, and that the former OUT has the
// name that it was given.
func (o *Output) arrived(old *disk.Folder, name string) error {
	same, err := o.up.Is(o.base, o.work.Info())
	if err == nil && same {
		same, err = o.up.Is(name, old.Info())
	}
	if err == nil && !same {
		err = o.swapped()
	}
	return err
}

// flushAbove flushes the folder that holds OUT, and those that hold the
// folders that this run made.
func (o *Output) flushAbove() error {
	err := o.syncDir(o.up)
	for _, m := range o.made {
		err = errors.Join(err, o.syncDir(m.up))
	}
	return err
}

func (o *Output) syncDir(dir *disk.Folder) error {
	err := disk.Retry(func() error { return o.sys.syncDir(dir) })
	if err == nil || disk.Unsupported(err) {
		return nil
	}
	return o.wrap("flushing", dir.Path(""), err)
}

// Abort removes what the run made: the partial folder, the lock, and the
// folders above OUT. It may be called at any time, more than once, and does
// nothing after Publish has made OUT visible.
func (o *Output) Abort() error {
	if o.closed {
		return nil
	}
	o.closed = true
	o.flush.drop.Store(true)
	o.flush.stop() // nor are its errors of interest any more
	o.closeFiles()
	// A folder that was moved away is of no use here, but may come back.
	there, err := o.aboveInPlace()
	if there && err == nil {
		err = o.discard(o.partial, o.work)
	}
	o.lock.Keep = err != nil
	err = errors.Join(err, o.lock.Release())
	o.unmake()
	o.closeFolders()
	if err != nil {
		return fmt.Errorf("removing the unfinished output: %w", err)
	}
	return nil
}
