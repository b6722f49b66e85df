package writer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// Checkpoints are checkpointParts of the output apart, but not closer than
// minCheckpoint and not further than maxCheckpoint bytes: what a death costs.
const (
	checkpointParts = 40
	minCheckpoint   = 16 << 20
	maxCheckpoint   = 256 << 20
)

// An Earlier run is one that died or was stopped before it was done.
type Earlier struct {
	Found bool   // there was one
	Bytes int64  // of weight files that it made, and that are kept
	Why   string // why nothing of it is kept; "" if something is, or none was found
	// The journal of what is kept: where to go on, and the notes of all
	// checkpoints in order.
	At    Mark
	Notes [][]byte
}

// Earlier says what became of an earlier run, once Presize is done. The notes
// are given once.
func (o *Output) Earlier() Earlier {
	e := o.earlier
	o.earlier.Notes = nil
	return e
}

// leftover looks at the partial folder of a dead run. One whose journal has
// our fingerprint stays, for Presize to look at; any other goes.
func (o *Output) leftover() error {
	st, err := os.Lstat(o.partial)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	o.earlier.Found = true
	switch {
	case o.opt.Fingerprint == "" || o.opt.Restart || !st.IsDir():
		return os.RemoveAll(o.partial)
	}
	f, err := os.Open(filepath.Join(o.partial, journalName))
	if err != nil {
		o.earlier.Why = "it had not come far enough"
		return os.RemoveAll(o.partial)
	}
	defer f.Close()
	marks, valid, err := readJournal(f, o.opt.Fingerprint)
	if err != nil {
		o.earlier.Why = err.Error()
		return os.RemoveAll(o.partial)
	}
	o.valid = valid
	for _, m := range marks {
		o.earlier.At = m
		if m.Note != nil {
			o.earlier.Notes = append(o.earlier.Notes, m.Note)
		}
	}
	return nil
}

// takeUp makes the files of an earlier run ours: those before the mark are
// complete, that of the mark has gaps from there on.
func (o *Output) takeUp(l *Layout) error {
	at := o.earlier.At
	if at.File > len(l.Files) || at.File == len(l.Files) && at.Off != 0 {
		return fmt.Errorf("its journal speaks of file %d of %d", at.File+1, len(l.Files))
	}
	names := map[string]bool{journalName: true}
	for i, file := range l.Files {
		names[file.Name] = true
		st, err := os.Lstat(filepath.Join(o.partial, file.Name))
		if err != nil || !st.Mode().IsRegular() || st.Size() != file.Size {
			return fmt.Errorf("its %s is not as it was left", file.Name)
		}
		w := &openFile{File: file}
		if err := l.Fix(&w.File); err != nil {
			return err
		}
		if w.gaps, err = newGaps(w.File); err != nil {
			return err
		}
		switch {
		case i < at.File:
			w.gaps, w.fixed = nil, len(w.Fixed)
			o.earlier.Bytes += file.Size
		case i == at.File:
			if err := o.takeUpFile(w, at); err != nil {
				return err
			}
			o.earlier.Bytes += at.Off
		}
		if w.f == nil {
			w.Unfix()
		}
		o.files = append(o.files, w)
	}
	if err := clear(o.partial, "", names); err != nil { // small files are written again
		return err
	}
	var err error
	if o.journal, err = goOn(filepath.Join(o.partial, journalName), o.valid); err != nil {
		return err
	}
	return nil
}

// clear removes all of a folder below dir but the files whose names are kept.
func clear(dir, folder string, keep map[string]bool) error {
	entries, err := os.ReadDir(filepath.Join(dir, folder))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := path.Join(folder, e.Name())
		switch {
		case keep[name]:
			continue
		case e.IsDir() && folder == "" && hasBelow(keep, name):
			err = clear(dir, name, keep)
		default:
			err = os.RemoveAll(filepath.Join(dir, name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func hasBelow(names map[string]bool, folder string) bool {
	for name := range names {
		if strings.HasPrefix(name, folder+"/") {
			return true
		}
	}
	return false
}

// takeUpFile goes on within a file.
func (o *Output) takeUpFile(w *openFile, at Mark) error {
	if at.Off == 0 {
		return nil
	}
	wrong := fmt.Errorf("its journal does not fit %s", w.Name)
	for len(w.gaps) > 0 && w.gaps[0].off < at.Off {
		if w.gaps[0].end > at.Off {
			w.gaps[0].off = at.Off
		} else {
			w.gaps = w.gaps[1:]
		}
	}
	if len(w.gaps) == 0 || w.gaps[0].off != at.Off {
		return wrong
	}
	// Fixed segments are on the disk as far as an extent behind them is.
	k := sort.Search(len(w.Extents), func(i int) bool { return w.Extents[i].Off+w.Extents[i].Len > at.Off })
	written := int64(0)
	for _, x := range w.Extents[:k] {
		if x.Len > 0 {
			written = x.Off + x.Len
		}
	}
	inside := k < len(w.Extents) && w.Extents[k].Off < at.Off
	if inside {
		written = at.Off
	}
	w.fixed = sort.Search(len(w.Fixed), func(i int) bool { return w.Fixed[i].Off >= written })
	if w.fixed == 0 {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(o.partial, w.Name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	w.f, w.sums = f, make(map[int]checksum)
	for i := range w.fixed {
		w.forget(i)
	}
	for _, x := range w.Extents[:k] {
		if len(x.Sums) == 0 || x.Len == 0 {
			continue
		}
		sum := at.Sum
		if inside || x.Off+x.Len < written { // its first place is on the disk
			var b [4]byte
			if _, err := f.ReadAt(b[:], x.Sums[0]); err != nil {
				return wrong
			}
			sum = binary.LittleEndian.Uint32(b[:])
		}
		w.PutSums(x, sum)
	}
	if inside && len(w.Extents[k].Sums) > 0 {
		w.sums[k] = checksum{{span{w.Extents[k].Off, at.Off}, at.Sum}}
	}
	return nil
}

// mark is the place up to which all was written, without a hole.
func (o *Output) mark() (Mark, *openFile) {
	for i, w := range o.files {
		if len(w.gaps) == 0 {
			continue
		}
		m := Mark{File: i, Off: w.gaps[0].off}
		k := sort.Search(len(w.Extents), func(i int) bool { return w.Extents[i].Off+w.Extents[i].Len > m.Off })
		if w.Extents[k].Off == m.Off {
			for k--; k >= 0 && w.Extents[k].Len == 0; k-- {
			}
		}
		if k >= 0 && len(w.Extents[k].Sums) > 0 {
			x := w.Extents[k]
			if sum := w.sums[k]; len(sum) > 0 && sum[0].span == (span{x.Off, m.Off}) {
				m.Sum = sum[0].crc
			} else { // it is complete
				_, place := w.SumPlace(x.Sums[0])
				m.Sum = binary.LittleEndian.Uint32(place)
			}
		}
		return m, w
	}
	return Mark{File: len(o.files)}, nil
}

// Due reports whether it is time for a Checkpoint: enough was written since
// the last one, and that is on the disk.
func (o *Output) Due() bool {
	return o.journal != nil && o.since >= o.every && !o.flush.marking.Load()
}

// Checkpoint has all that was written so far made durable in the background,
// and then noted in the journal together with note, which must be JSON on one
// line, or nil. A run with the same fingerprint can go on from there.
func (o *Output) Checkpoint(note []byte) error {
	if o.closed || o.journal == nil {
		return nil
	}
	if err := o.flush.err(); err != nil {
		return err
	}
	o.since = 0
	m, w := o.mark()
	m.Note = note
	line, err := m.line()
	if err != nil {
		return fmt.Errorf("noting how far %s is: %w", o.out, err)
	}
	r := request{mark: line, at: m, journal: o.journal, folders: o.folders()}
	if w != nil {
		r.f = w.f
	}
	o.flush.marking.Store(true)
	o.flush.requests <- r
	return nil
}

// folders are those whose names must be on the disk for the weight files to be
// found again.
func (o *Output) folders() []string {
	list := []string{o.partial, filepath.Dir(o.out)}
	for _, w := range o.files {
		if dir := filepath.Dir(filepath.Join(o.partial, w.Name)); !slices.Contains(list, dir) {
			list = append(list, dir)
		}
	}
	return list
}

// Suspend stops the work where it is, for a later run to go on with: it makes
// a last checkpoint if it can, closes everything and lets go of the lock. at is
// where the later run will begin; if that is the very start, all is removed, as
// Abort does.
func (o *Output) Suspend(note []byte) (at Mark, err error) {
	if o.closed {
		return Mark{}, nil
	}
	if o.journal == nil {
		return Mark{}, o.Abort()
	}
	o.flush.hurry.Store(true)
	err = o.Checkpoint(note)
	if serr := o.flush.stop(); err == nil {
		err = serr
	}
	at = o.earlier.At
	if m := o.flush.marked.Load(); m != nil {
		at = *m
	}
	at.Note = nil
	if inPlace(o.journal) != nil { // nor is there anything to remove
		at = Mark{}
	}
	if at.File == 0 && (len(o.files) == 0 || len(o.files[0].Extents) == 0 || at.Off <= o.files[0].Extents[0].Off) {
		return Mark{}, errors.Join(err, o.Abort())
	}
	o.closed = true
	o.closeFiles()
	return at, errors.Join(err, o.lock.release())
}

// Tidy removes what a run left beside the output dir that died just after it
// had put the output there: the folder that was replaced. Work that can be gone
// on with stays, and so does all while another run is at it. It is best effort.
func Tidy(dir string) {
	p, err := locate(dir)
	if err != nil {
		return
	}
	for _, left := range []string{p.partial, p.old} {
		if _, err := os.Lstat(left); err != nil {
			continue
		}
		l, err := acquire(p.lock)
		if err != nil {
			return
		}
		if _, err := os.Lstat(filepath.Join(left, journalName)); errors.Is(err, fs.ErrNotExist) {
			os.RemoveAll(left)
		}
		l.release()
	}
}

// closeFiles closes what is open.
func (o *Output) closeFiles() {
	for _, w := range o.files {
		if w.f != nil {
			w.f.Close()
			w.f = nil
		}
	}
	if o.journal != nil {
		o.journal.Close()
		o.journal = nil
	}
}

// Held is the space on the disk that an unfinished run to the output dir
// holds, which the next one will use or give back.
func Held(dir string) int64 {
	p, err := locate(dir)
	if err != nil {
		return 0
	}
	var n int64
	_ = filepath.WalkDir(p.partial, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if fi, err := e.Info(); err == nil && fi.Mode().IsRegular() {
			n += allocated(fi)
		}
		return nil
	})
	return n
}
