package writer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"

	"slerpmerge/internal/disk"
)

// An openFile is a file of weights that has bytes missing.
type openFile struct {
	File
	index       int      // in the Files of the layout
	f           *os.File // nil before the first byte and after the last
	direct      *os.File // the same for direct writes; nil where there were none
	gaps        gaps
	run         span             // written, but not yet given to write-back
	nextLiteral int              // index of the first literal that is not on the disk
	sums        map[int]checksum // of the extents that are not complete, by their index
	stretches   []stretch        // since the last mark
}

// newOpenFile gives the file its own list of literals, which it drops as it
// writes them: the layout may serve another run.
func newOpenFile(file File, index int) *openFile {
	file.Literals = slices.Clone(file.Literals)
	return &openFile{File: file, index: index}
}

func (o *Output) presize(file File) error {
	w := newOpenFile(file, len(o.files))
	w.gaps = newGaps(&w.File)
	name, err := o.name(file.Name)
	if err != nil {
		return err
	}
	if err := o.makeFolder(file.Name, true); err != nil {
		return err
	}
	f, err := o.work.Create(filepath.FromSlash(file.Name), 0o666)
	if err != nil {
		return o.wrap("creating", name, err)
	}
	err = disk.Retry(func() error { return o.sys.reserve(f, file.Size) })
	if err == nil || disk.Unsupported(err) {
		err = disk.Retry(func() error { return o.sys.truncate(f, file.Size) })
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return o.wrap("reserving", name, err)
	}
	o.files = append(o.files, w)
	if len(w.gaps) == 0 {
		return o.complete(w) // only fixed bytes
	}
	return nil
}

// open opens a file for its first byte. It stays open to the last: the error
// of a failed write-back is reported to descriptors that were open at the time.
func (o *Output) open(w *openFile) error {
	if w.f != nil {
		return nil
	}
	f, err := o.work.Open(w.Name, os.O_RDWR)
	if err != nil {
		return o.wrap("opening", o.work.Path(w.Name), err)
	}
	w.f, w.sums = f, make(map[int]checksum)
	if err := o.layout.MakeLiterals(&w.File); err != nil {
		return err
	}
	return checkTiles(&w.File)
}

// Write writes p at byte off of file, an index into the Files of the layout.
// Every byte of an extent has to be written once, front to back for speed, in
// pieces of 1 to 2 MiB. p begins and ends in extents; between them it may span
// literals, which Write fills in. Pieces that lie in memory as Alignment says are
// written with less work. The file whose last byte it is will be
// flushed and closed in the background. An error may belong to an earlier
// write to another file.
//
// sums are the CRC-32 of the values in p: one for each extent of which p has bytes, in order, where
// the format has checksums, else one of all of p. With nil they are computed where they are needed.
func (o *Output) Write(file int, p []byte, off int64, sums []uint32) error {
	if o.closed {
		return fmt.Errorf("writing %s: %w", o.out, fs.ErrClosed)
	}
	if err := o.flush.err(); err != nil {
		return err
	}
	if err := o.writeAt(o.files[file], p, off, sums); err != nil {
		o.flush.fail(err)
		return err
	}
	return nil
}

func (o *Output) writeAt(w *openFile, p []byte, off int64, sums []uint32) error {
	if len(p) == 0 {
		return nil
	}
	if err := o.open(w); err != nil {
		return err
	}
	end := off + int64(len(p))
	next := sort.Search(len(w.Literals), func(i int) bool { return w.Literals[i].Off > off })
	if err := o.writeLiterals(w, next); err != nil {
		return err
	}
	values := stretch{File: w.index, Off: off, End: w.value(end)}
	for at := off; at < end; {
		to := end
		if next < len(w.Literals) && w.Literals[next].Off < end {
			to = w.Literals[next].Off
		}
		if err := w.gaps.take(at, to); err != nil {
			return fmt.Errorf("writing %s: %w", w.Name, err)
		}
		var sum *uint32
		if len(sums) > 0 {
			sum, sums = &sums[0], sums[1:]
		}
		if err := o.sum(w, p[at-off:to-off], at, sum); err != nil {
			return err
		}
		if o.journals() {
			values.extend(p[at-off:to-off], sum)
		}
		for ; to < end && next < len(w.Literals) && w.Literals[next].Off == to; next++ {
			to += int64(copy(p[to-off:], w.Literals[next].Data))
		}
		at = to
	}
	if err := o.writePiece(w, p, off); err != nil {
		return err
	}
	w.nextLiteral = max(w.nextLiteral, next)
	return o.wrote(w, off, end, values)
}

// wrote records that [off, end) was written, and starts its write-back.
func (o *Output) wrote(w *openFile, off, end int64, values stretch) error {
	o.since += end - off
	if o.journals() {
		w.stretches = addStretch(w.stretches, values)
	}
	if len(w.gaps) == 0 {
		return o.complete(w)
	}
	// Literals written on their own leave short steps between runs.
	if off < w.run.end || off-w.run.end > writebackGap {
		if w.run.off < w.run.end {
			o.flush.begin(w.f, w.run)
		}
		w.run.off = off
	}
	w.run.end = end
	if w.run.end-w.run.off >= writebackStep && o.flush.begin(w.f, w.run) {
		w.run.off = end
	}
	return nil
}

// Copy is Write for bytes that the system copies from another file: copy
// does it, to byte off of dst. They lie in one extent, of a file without checksums.
// If copy fails with errors.ErrUnsupported, nothing counts as written.
func (o *Output) Copy(file int, off, n int64, copy func(dst *os.File, off int64) error) error {
	if o.closed {
		return fmt.Errorf("writing %s: %w", o.out, fs.ErrClosed)
	}
	if err := o.flush.err(); err != nil {
		return err
	}
	err := o.copyAt(o.files[file], off, n, copy)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		o.flush.fail(err)
	}
	return err
}

func (o *Output) copyAt(w *openFile, off, n int64, copy func(dst *os.File, off int64) error) error {
	if err := o.open(w); err != nil {
		return err
	}
	next := sort.Search(len(w.Literals), func(i int) bool { return w.Literals[i].Off > off })
	if err := o.writeLiterals(w, next); err != nil {
		return err
	}
	if err := copy(w.f, off); errors.Is(err, errors.ErrUnsupported) {
		return errors.ErrUnsupported
	} else if err != nil {
		return o.wrap("writing", w.f.Name(), err)
	}
	if err := w.gaps.take(off, off+n); err != nil {
		return fmt.Errorf("writing %s: %w", w.Name, err)
	}
	return o.wrote(w, off, off+n, stretch{File: w.index, Off: off, End: w.value(off + n), Copied: true, bytes: n})
}

// writeLiterals writes the literals before number n that are not on the disk.
func (o *Output) writeLiterals(w *openFile, n int) error {
	for ; w.nextLiteral < n; w.nextLiteral++ {
		s := w.Literals[w.nextLiteral]
		if err := o.write(w.f, s.Data, s.Off); err != nil {
			return err
		}
		w.forget(w.nextLiteral)
	}
	return nil
}

// forget drops literal k, which is on the disk, if it stands before the values: it
// has no checksum of them, and can be as large as the table.
func (w *openFile) forget(k int) {
	if len(w.Extents) > 0 && w.Literals[k].Off < w.Extents[0].Off {
		w.Literals[k].Data = nil
	}
}

// sum adds p, at offset off, to its extent's CRC. known is p's CRC if the caller
// has it, else nil. The CRC of a complete extent is stored in its slots.
func (o *Output) sum(w *openFile, p []byte, off int64, known *uint32) error {
	if len(p) == 0 {
		return nil
	}
	i := sort.Search(len(w.Extents), func(i int) bool { return w.Extents[i].Off+w.Extents[i].Len > off })
	x := &w.Extents[i]
	if len(x.CRCSlots) == 0 {
		return nil // the format has no checksums
	}
	c := w.sums[i]
	if known == nil {
		crc := crc32.ChecksumIEEE(p)
		known = &crc
	}
	c.add(off, int64(len(p)), *known)
	crc, ok := c.of(x.Off, x.Off+x.Len)
	if !ok {
		w.sums[i] = c
		return nil
	}
	delete(w.sums, i)
	for _, at := range x.CRCSlots {
		k, place := w.CRCSlot(at)
		binary.LittleEndian.PutUint32(place, crc)
		if k < w.nextLiteral { // the literal is on the disk already
			if err := o.write(w.f, place, at); err != nil {
				return err
			}
		}
	}
	return nil
}

// complete hands a file without gaps over to be flushed and closed.
func (o *Output) complete(w *openFile) error {
	if err := o.open(w); err != nil {
		return err
	}
	if err := o.writeLiterals(w, len(w.Literals)); err != nil {
		return err
	}
	if err := w.closeDirect(); err != nil {
		return o.wrap("closing", w.f.Name(), err)
	}
	o.flush.finish(w.f)
	w.f, w.sums = nil, nil
	w.DropLiterals()
	return nil
}

// write writes all of p through the page cache, or fails.
func (o *Output) write(f *os.File, p []byte, off int64) error {
	if _, err := writeAll(o.sys.writeAt, f, p, off, maxWrite); err != nil {
		return o.wrap("writing", f.Name(), err)
	}
	return nil
}

// writeAll writes all of p in calls of at most most bytes. done is how much it has
// written.
func writeAll(call writeCall, f *os.File, p []byte, off int64, most int) (done int, err error) {
	for done < len(p) {
		n := 0
		err := disk.Retry(func() (err error) {
			n, err = call(f, p[done:min(len(p), done+most)], off+int64(done))
			return err
		})
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// maxWrite bounds one call. Linux backs a longer write with longer folios of
// page cache, 2 MiB at most, and those come from memory that nobody has used
// for a while: on a virtual machine whose host takes free memory back, whole
// merges with calls of 2 MiB took 2.8 times as long as with 256 KiB.
const maxWrite = 256 << 10

func (o *Output) wrap(doing, path string, err error) error {
	if o.journal != nil && errors.Is(err, fs.ErrNotExist) {
		if gone := o.inPlace(); gone != nil {
			return gone
		}
	}
	return diskError(doing, path, o.need.Load(), err)
}
