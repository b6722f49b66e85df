package mmapio

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"runtime"
	"runtime/debug"
)

// A ChangedError reports that a file has changed since it was opened.
type ChangedError struct {
	Path string
	What string // "shrank from N to M bytes", "grew from N to M bytes", "was replaced", "was modified", "was removed"
	// Removed: there is nothing at the path, but the same file may come back.
	Removed bool
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s %s while it was in use", e.Path, e.What)
}

// A FaultError says that a part of a file can't be read although the file
// hasn't changed: a failing disk, or a network file system that went away.
type FaultError struct {
	Path string
	Off  int64 // where it begins, in bytes, as closely as that is known
	Err  error // the operating system's reason if it gave one
}

func (e *FaultError) Error() string {
	return fmt.Sprintf("reading %s at byte %d: %v", e.Path, e.Off, e.Err)
}

// Unwrap returns the operating system's reason.
func (e *FaultError) Unwrap() error { return e.Err }

// errFault stands in where a page fault failed and a plain read doesn't.
var errFault = errors.New("memory access fault")

// copyOut fills p from m. A page that can't be had becomes errFault.
//
// The copy touches p and the mapping only. p is memory of the caller's, so a
// fault at an address outside of it is the mapping's; the package mmap does
// not report the mapping's own range. Every other panic is passed on.
func copyOut(m mapping, p []byte, off int64) (n int, err error) {
	faulted := catchFault(func(addr uintptr) bool { return !within(p, addr) }, func() { n, err = m.ReadAt(p, off) })
	if faulted { // how far the copy got isn't known
		return 0, errFault
	}
	if n == len(p) {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// guard calls use with p, which lies in a mapping, and reports whether a byte of p
// can't be had. Faults elsewhere and other panics are passed on.
func guard(p []byte, use func([]byte) error) (faulted bool, err error) {
	faulted = catchFault(func(addr uintptr) bool { return within(p, addr) }, func() { err = use(p) })
	return faulted, err
}

// catchFault calls run, and reports whether it ended at an address that can't be
// read and that is mapped, as the caller knows. Faults elsewhere and other panics
// are passed on.
func catchFault(mapped func(addr uintptr) bool, run func()) (faulted bool) {
	before := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(before)
		r := recover()
		if r == nil {
			return
		}
		fault, ok := r.(interface {
			runtime.Error
			Addr() uintptr
		})
		if !ok || !mapped(fault.Addr()) {
			panic(r)
		}
		faulted = true
	}()
	run()
	return false
}

// within reports whether an address is one of p.
func within(p []byte, addr uintptr) bool {
	return addr-reflect.ValueOf(p).Pointer() < uintptr(len(p))
}

// compare returns nil if info describes the file that was opened.
func (f *File) compare(info fs.FileInfo) error {
	var what string
	switch n := info.Size(); {
	case !os.SameFile(f.info, info):
		what = "was replaced"
	case n < f.size:
		what = fmt.Sprintf("shrank from %d to %d bytes", f.size, n)
	case n > f.size:
		what = fmt.Sprintf("grew from %d to %d bytes", f.size, n)
	case !info.ModTime().Equal(f.info.ModTime()), f.seen.rewritten(info):
		what = "was modified"
	default:
		return nil
	}
	return &ChangedError{Path: f.path, What: what}
}

// diagnose finds out why reading [off, off+n) failed with cause.
func (f *File) diagnose(off, n int64, cause error) error {
	var changed *ChangedError
	if err := f.check(); errors.As(err, &changed) {
		return changed
	}
	if cause == errFault {
		off, cause = f.locate(off, n)
	}
	if cause == nil || cause == io.EOF {
		cause = io.ErrUnexpectedEOF
	}
	return &FaultError{Path: f.path, Off: off, Err: cause}
}

// locate finds the first page in [off, off+n) that can't be read, and the
// reason, which a fault in a mapping doesn't give.
func (f *File) locate(off, n int64) (int64, error) {
	d, err := f.descriptor()
	if err != nil {
		return off, errFault
	}
	defer f.pool.descriptors.release(d)
	var page [4096]byte
	for at := off; at < off+n; {
		p := page[:min(int64(len(page))-at%int64(len(page)), off+n-at)]
		if _, err := f.pool.readFile(d.file, p, at); err != nil {
			return at, err
		}
		at += int64(len(p))
	}
	return off, errFault
}
