package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Overridden by tests.
var (
	rename   = renameFolder
	exchange = exchangeFolders
	syncDir  = flushFolder
)

// Publish makes the folder visible under OUT. It waits until all of it is on
// the disk, checks that no byte of the layout is missing, and renames. After an
// error OUT is what it was before, but for one kind: "complete, but" says that
// OUT is the new folder and what failed was the flush of the folder above, or
// removing the replaced folder or the lock. Abort is in order after any error.
func (o *Output) Publish() error {
	if o.closed {
		return fmt.Errorf("publishing %s: %w", o.out, fs.ErrClosed)
	}
	if err := o.settle(); err != nil {
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
	if err == nil && replaced != "" {
		err = os.RemoveAll(replaced)
	}
	if err = errors.Join(err, o.lock.release()); err != nil {
		return fmt.Errorf("%s is complete, but %w", o.out, err)
	}
	return nil
}

// settle takes everything in the partial folder to the disk.
func (o *Output) settle() error {
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
		fi, err := os.Stat(filepath.Join(o.partial, w.Name))
		if err != nil {
			return fmt.Errorf("publishing %s: %w", o.out, err)
		}
		if fi.Size() != w.Size {
			return fmt.Errorf("publishing %s: %s has %d bytes instead of %d", o.out, w.Name, fi.Size(), w.Size)
		}
	}
	entries, err := os.ReadDir(o.partial)
	if err != nil {
		return fmt.Errorf("publishing %s: %w", o.out, err)
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := o.syncDir(filepath.Join(o.partial, e.Name())); err != nil {
				return err
			}
		}
	}
	return o.syncDir(o.partial)
}

// dropJournal removes the journal, which is of no use any more.
func (o *Output) dropJournal() error {
	if o.journal == nil {
		return nil
	}
	if err := inPlace(o.journal); err != nil {
		return err
	}
	path := o.journal.Name()
	o.journal.Close()
	o.journal = nil
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("publishing %s: %w", o.out, err)
	}
	return nil
}

// install moves the partial folder to OUT and tells where the folder that it
// replaced is now, "" if there was none.
func (o *Output) install() (replaced string, err error) {
	occupied, err := o.occupied()
	if err != nil {
		return "", err
	}
	if occupied && !o.opt.Overwrite {
		return "", &ExistsError{o.asked}
	}
	if !occupied {
		err := retry(func() error { return rename(o.partial, o.out) })
		// The system refuses what came to OUT since occupied looked.
		if errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTDIR) {
			return "", &ExistsError{o.asked}
		}
		return "", err
	}
	if err := o.replaceable(); err != nil { // it may have changed in the meantime
		return "", err
	}
	err = retry(func() error { return exchange(o.partial, o.out) })
	if err == nil {
		return o.partial, nil
	}
	if !unsupported(err) {
		return "", err
	}
	if err := retry(func() error { return rename(o.out, o.old) }); err != nil {
		return "", err
	}
	if err := retry(func() error { return rename(o.partial, o.out) }); err != nil {
		return "", errors.Join(err, rename(o.old, o.out))
	}
	return o.old, nil
}

// flushAbove flushes the folder that holds OUT, and those that hold the
// folders that this run made.
func (o *Output) flushAbove() error {
	err := o.syncDir(filepath.Dir(o.out))
	for _, dir := range o.made {
		err = errors.Join(err, o.syncDir(filepath.Dir(dir)))
	}
	return err
}

func (o *Output) syncDir(dir string) error {
	err := retry(func() error { return syncDir(dir) })
	if err == nil || unsupported(err) {
		return nil
	}
	return o.wrap("flushing", dir, err)
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
	err := os.RemoveAll(o.partial)
	err = errors.Join(err, o.lock.release())
	o.unmake()
	if err != nil {
		return fmt.Errorf("removing the unfinished output: %w", err)
	}
	return nil
}
