package writer

import (
	"os"

	"golang.org/x/sys/unix"

	"slerpmerge/internal/disk"
)

// preallocate reserves size bytes for f from the start. An error that
// unsupported recognises means that f is as before.
func preallocate(f *os.File, size int64) error {
	// In steps, because tmpfs undoes the whole of a call that a signal interrupts.
	const step = 256 << 20
	for off := int64(0); off < size; off += step {
		n := min(step, size-off)
		if err := disk.Retry(func() error { return unix.Fallocate(int(f.Fd()), 0, off, n) }); err != nil {
			return err
		}
	}
	return nil
}

// startWriteback asks the system to begin writing [off, off+n) of f to the
// disk, without waiting for it.
func startWriteback(f *os.File, off, n int64) error {
	return disk.Retry(func() error { return unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE) })
}

// awaitWriteback waits until write-back of [off, off+n) of f has finished. It
// reports the error of a failed write-back, which the next disk.Flush then does
// not.
func awaitWriteback(f *os.File, off, n int64) error {
	const flags = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	return disk.Retry(func() error { return unix.SyncFileRange(int(f.Fd()), off, n, flags) })
}

// dropPages takes [off, off+n) of f, which is on the disk, out of the page
// cache; all from off on if n is 0. It is best effort.
func dropPages(f *os.File, off, n int64) {
	_ = unix.Fadvise(int(f.Fd()), off, n, unix.FADV_DONTNEED)
}

// openDirect opens a file once more, for writes past the page cache.
func openDirect(d *disk.Folder, name string) (*os.File, error) {
	return d.Open(name, os.O_WRONLY|unix.O_DIRECT)
}

// rwfDontCache is RWF_DONTCACHE, which Linux has since 6.14.
const rwfDontCache = 0x80

// writeUncached is WriteAt by a write whose pages are dropped once they are on the
// disk. Linux before 6.14, and file systems that can't, refuse it.
func writeUncached(f *os.File, p []byte, off int64) (int, error) {
	return unix.Pwritev2(int(f.Fd()), [][]byte{p}, off, rwfDontCache)
}

// adviseHuge asks for huge pages for memory, or no longer. It is best effort.
func adviseHuge(p []byte, on bool) {
	advice := unix.MADV_NOHUGEPAGE
	if on {
		advice = unix.MADV_HUGEPAGE
	}
	_ = unix.Madvise(p, advice)
}
