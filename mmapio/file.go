package mmapio

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A File is a regular file that is read through its pool's mappings. Its
// methods are safe for concurrent use.
type File struct {
	pool *Pool
	path string
	size int64
	info fs.FileInfo // as it was when the file was opened
	seen watch

	// Every method counts as a user while it runs, and Close waits for them. A
	// lock that is held shared would not do: views of one file can be nested.
	mu     sync.Mutex // guards users and closed
	idle   sync.Cond  // there are no users any more
	users  int
	closed bool // from the beginning of Close on

	region     *region     // its mapping, if it has one; guarded by the pool
	unmappable atomic.Bool // read it with pread
}

// maxFolio is the longest piece in which Linux keeps a file in its page cache.
const maxFolio = 2 << 20

var errNegativeOffset = errors.New("negative offset")

// Open opens the file at path. Symbolic links are followed. Anything but a
// regular file (a directory, a named pipe, a device, a socket) is refused
// without waiting for it. Errors are of type *fs.PathError.
//
// An open file holds no descriptor or mapping until it is read, and the pool
// keeps only a few dozen of them however many files are open.
func (p *Pool) Open(path string) (*File, error) {
	// Opening a device can have effects of its own, so look before.
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, err
	}
	if err := regular(path, info); err != nil {
		return nil, err
	}
	f := &File{pool: p, path: path, size: info.Size(), info: info}
	f.idle.L = &f.mu
	f.seen.last, _ = statusOf(info)
	return f, nil
}

// begin counts a user of the file, until end.
func (f *File) begin(op string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return f.fail(op, os.ErrClosed)
	}
	f.users++
	return nil
}

func (f *File) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.users--; f.users == 0 {
		f.idle.Broadcast()
	}
}

func regular(path string, info fs.FileInfo) error {
	mode := info.Mode()
	if mode.IsRegular() {
		return nil
	}
	text := "not a regular file"
	switch {
	case mode.IsDir():
		text = "is a directory"
	case mode&fs.ModeNamedPipe != 0:
		text = "is a named pipe"
	case mode&fs.ModeSocket != 0:
		text = "is a socket"
	case mode&fs.ModeDevice != 0:
		text = "is a device"
	}
	return &fs.PathError{Op: "open", Path: path, Err: errors.New(text)}
}

// Name returns the path that the file was opened by.
func (f *File) Name() string { return f.path }

// Size returns the size in bytes that the file had when it was opened.
func (f *File) Size() int64 { return f.size }

// ModTime returns the modification time that the file had when it was opened.
func (f *File) ModTime() time.Time { return f.info.ModTime() }

// ReadAt reads len(p) bytes from offset off, as [io.ReaderAt] has it: it
// returns [io.EOF] if and only if the file ends before p is full. Long reads
// are cut in pieces of at most 1 MiB, so p may be as long as the file. Nothing
// is allocated unless the file has to be mapped anew. p must be Go memory.
//
// Errors are a *ChangedError if the file has changed since it was opened, a
// *FaultError if it has not but can't be read, and an *fs.PathError for anything
// else: the file is closed ([os.ErrClosed]), off is negative, or the file
// can't be opened again.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.begin("read"); err != nil {
		return 0, err
	}
	defer f.end()
	switch {
	case off < 0:
		return 0, f.fail("read", errNegativeOffset)
	case off >= f.size && len(p) > 0:
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > f.size-off && len(p) > 0 {
		p = p[:f.size-off]
		end = io.EOF
	}
	n, err := f.read(p, off)
	if err == nil {
		err = end
	}
	return n, err
}

// read fills p, which lies within the file.
func (f *File) read(p []byte, off int64) (done int, err error) {
	for done < len(p) {
		at := off + int64(done)
		// A piece stays within one unit of the pool's account.
		n := min(len(p)-done, maxPiece, int(grain-at%grain))
		m, err := f.readPiece(p[done:done+n], at)
		done += m
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// ReadStrided reads the pieces of size bytes that begin step bytes apart from
// off on, one behind the other, until p is full. It maps nothing: a page of which
// so little is wanted costs more to map than to read from. All pieces must lie in
// the file and p must hold whole ones. Errors are those of ReadAt.
func (f *File) ReadStrided(p []byte, off, step int64, size int) error {
	if err := f.begin("read"); err != nil {
		return err
	}
	defer f.end()
	d, err := f.descriptor()
	if err != nil {
		return err
	}
	defer f.pool.descriptors.release(d)
	for ; len(p) > 0; off += step {
		if n, err := f.pool.readFile(d.file, p[:size], off); n < size {
			return f.diagnose(off+int64(n), int64(size-n), err)
		}
		p = p[size:]
	}
	return nil
}

// Prefetch asks the operating system to read the n bytes at off into its page
// cache, and does not wait for it. It makes no page resident. Where the system
// knows no such thing, and on any error, it does nothing.
func (f *File) Prefetch(off, n int64) {
	if f.begin("") != nil {
		return
	}
	defer f.end()
	if off < 0 || off >= f.size || n <= 0 {
		return
	}
	d, err := f.descriptor()
	if err != nil {
		return // the read that follows will report it
	}
	defer f.pool.descriptors.release(d)
	willNeed(d.file, off, min(n, f.size-off))
}

// Drop tells the operating system that the n bytes at off will not be read
// again, so that its page cache can do without them before it does without
// what other programs use. Pages that are mapped stay. It is best effort, like
// Prefetch.
func (f *File) Drop(off, n int64) {
	if f.begin("") != nil {
		return
	}
	defer f.end()
	if off < 0 || off >= f.size || n <= 0 {
		return
	}
	d, err := f.descriptor()
	if err != nil {
		return
	}
	defer f.pool.descriptors.release(d)
	// A long folio goes as a whole: the end of the last range may have left one.
	from := max(0, off-maxFolio)
	dontNeed(d.file, from, min(off+n, f.size)-from)
}

// CopyTo has the system copy the n bytes at off to byte at of dst. Where it
// can't, or does not come to the end, the error is [errors.ErrUnsupported]:
// reading reports what is wrong, if anything is. Other errors are those of
// writing to dst.
func (f *File) CopyTo(dst *os.File, at, off, n int64) error {
	if f.begin("copy") != nil {
		return errors.ErrUnsupported
	}
	defer f.end()
	if off < 0 || n > f.size-off {
		return errors.ErrUnsupported
	}
	d, err := f.descriptor()
	if err != nil {
		return errors.ErrUnsupported
	}
	defer f.pool.descriptors.release(d)
	return copyRange(dst, at, d.file, off, n)
}

// Check compares the file at the path with what was opened. It returns a
// *ChangedError if size, modification time or identity differ, if the change
// time differs while links, mode and owner do not, or if nothing is there any
// longer, and an *fs.PathError if that can't be found out. Call it
// after the last read to know that all the reads saw the same file.
func (f *File) Check() error {
	if err := f.begin("check"); err != nil {
		return err
	}
	defer f.end()
	return f.check()
}

func (f *File) check() error {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return &ChangedError{Path: f.path, What: "was removed", Removed: true}
	}
	if err != nil {
		return err
	}
	return f.compare(info)
}

// Close releases the file's mappings and descriptor. Reads and views under way
// finish first, later ones fail with [os.ErrClosed]. Closing again does nothing
// else than to wait for that. The error is always nil.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for f.users > 0 {
		f.idle.Wait()
	}
	f.pool.forget(f)
	f.pool.descriptors.forget(f)
	return nil
}

func (f *File) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.path, Err: err}
}

// readPiece reads all of p, which lies within the file and within a grain.
func (f *File) readPiece(p []byte, off int64) (int, error) {
	if !f.unmappable.Load() {
		l, err := f.lease(off, int64(len(p)))
		if err != nil {
			return 0, err
		}
		if l.region != nil {
			defer f.pool.release(l)
			n, err := copyOut(l.m, p, off)
			if err != nil {
				return n, f.diagnose(off+int64(n), int64(len(p)-n), err)
			}
			return n, nil
		}
	}
	d, err := f.descriptor()
	if err != nil {
		return 0, err
	}
	defer f.pool.descriptors.release(d)
	n, err := f.pool.readFile(d.file, p, off)
	if n < len(p) {
		return n, f.diagnose(off+int64(n), int64(len(p)-n), err)
	}
	return n, nil
}

// lease acquires a range of the file from its pool. Every time that it comes to
// other pages it makes sure that the file is what was opened.
func (f *File) lease(off, n int64) (lease, error) {
	l, err := f.pool.acquire(f, off, n)
	if l.fresh {
		if err := f.check(); err != nil {
			f.pool.release(l)
			return lease{}, err
		}
	}
	return l, err
}

// mapWhole maps the file and makes sure that it is the file that was opened.
// It returns nil without an error if it can't be mapped at all.
func (f *File) mapWhole() (mapping, error) {
	d, err := f.descriptor()
	if err != nil {
		return nil, err
	}
	defer f.pool.descriptors.release(d)
	if err := f.check(); err != nil {
		return nil, err
	}
	m, err := f.pool.mapFile(throughDescriptor(d.file, f.path))
	if err != nil {
		m, err = f.pool.mapFile(f.path) // there may be no /proc
	}
	// The name may have been given to another file while it was mapped.
	if changed := f.check(); changed != nil {
		if m != nil {
			_ = m.Close()
		}
		return nil, changed
	}
	if err != nil {
		f.unmappable.Store(true)
		return nil, nil
	}
	return m, nil
}
