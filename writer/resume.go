package writer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sort"

	"slerpmerge/internal/disk"
)

// Checkpoints are checkpointParts of the output apart, but not closer than
// minCheckpoint and not further than maxCheckpoint bytes: the work that a killed
// run loses.
const (
	checkpointParts = 40
	minCheckpoint   = 16 << 20
	maxCheckpoint   = 256 << 20
)

// A Previous describes an earlier run that died or was stopped before it was done.
type Previous struct {
	Found bool   // there was one
	Bytes int64  // of its weight files, as far as they are kept
	Why   string // why nothing of it is kept; "" if something is, or none was found
	// From the journal: where to resume, and the notes of all checkpoints in
	// order.
	At    Mark
	Notes [][]byte
}

// Previous describes the earlier run that Presize has found. The first call
// returns the notes, later ones do not.
func (o *Output) Previous() Previous {
	e := o.previous
	o.previous.Notes = nil
	return e
}

// resume makes the files of an earlier run ours: those before the mark are
// complete, that of the mark has gaps from there on. Their values are still to be
// checked.
func (o *Output) resume(l *Layout) error {
	at := o.previous.At
	if at.File > len(l.Files) || at.File == len(l.Files) && at.Off != 0 {
		return fmt.Errorf("its journal names file %d of %d", at.File+1, len(l.Files))
	}
	if len(o.previous.Notes) == 0 && at.File == 0 && at.Off == 0 {
		return errNotFar
	}
	if err := checkCovered(l, at, o.stretches); err != nil {
		return err
	}
	o.marked = at.File
	names := map[string]bool{journalName: true}
	for i, file := range l.Files {
		names[file.Name] = true
		w := newOpenFile(file, i)
		if err := o.makeFolder(file.Name, true); err != nil {
			return err
		}
		if err := l.MakeLiterals(&w.File); err != nil {
			return err
		}
		if err := checkTiles(&w.File); err != nil {
			return err
		}
		w.gaps = newGaps(&w.File)
		o.files = append(o.files, w)
		if err := o.checkLeftover(i, w.File, at); err != nil {
			return err
		}
		switch {
		case i < at.File:
			w.gaps, w.nextLiteral = nil, len(w.Literals)
			o.previous.Bytes += file.Size
		case i == at.File:
			if err := o.resumeFile(w, at); err != nil {
				return err
			}
			o.previous.Bytes += at.Off
		}
		if w.f == nil {
			w.DropLiterals()
		}
	}
	if err := o.clear(o.work, "", names); err != nil { // small files are written again
		return err
	}
	var err error
	o.journal, err = o.work.Open(journalName, os.O_RDWR)
	if err == nil {
		err = o.vetInside(journalName, o.journal)
	}
	if err == nil {
		err = o.journal.Truncate(o.valid)
	}
	if err == nil {
		_, err = o.journal.Seek(o.valid, io.SeekStart)
	}
	return err
}

// clear removes everything from a folder, which is called name within the partial
// one, except the files to keep.
func (o *Output) clear(folder *disk.Folder, name string, keep map[string]bool) error {
	entries, err := folder.ReadDir()
	if err != nil {
		return err
	}
	for _, e := range entries {
		full := path.Join(name, e.Name())
		if keep[full] {
			continue
		}
		if sub := o.subs[full]; sub != nil {
			err = o.clear(sub, full, keep)
		} else {
			err = folder.Discard(e.Name())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// resumeFile resumes a file that is partly written.
func (o *Output) resumeFile(w *openFile, at Mark) error {
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
	// Literals are on the disk as far as an extent behind them is.
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
	w.nextLiteral = sort.Search(len(w.Literals), func(i int) bool { return w.Literals[i].Off >= written })
	if w.nextLiteral == 0 {
		return nil
	}
	f, err := o.work.Open(w.Name, os.O_RDWR)
	if err != nil {
		return err
	}
	w.f, w.sums = f, make(map[int]checksum)
	for i := range w.nextLiteral {
		w.forget(i)
	}
	for _, x := range w.Extents[:k] {
		if len(x.CRCSlots) == 0 || x.Len == 0 {
			continue
		}
		sum := at.CRC
		if inside || x.Off+x.Len < written { // its first place is on the disk
			var b [4]byte
			if _, err := f.ReadAt(b[:], x.CRCSlots[0]); err != nil {
				return wrong
			}
			sum = binary.LittleEndian.Uint32(b[:])
		}
		w.SetCRC(x, sum)
	}
	if inside && len(w.Extents[k].CRCSlots) > 0 {
		w.sums[k] = checksum{{span{w.Extents[k].Off, at.Off}, at.CRC}}
	}
	return nil
}

// mark returns the place up to which all was written, without a hole.
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
		if k >= 0 && len(w.Extents[k].CRCSlots) > 0 {
			x := w.Extents[k]
			if sum := w.sums[k]; len(sum) > 0 && sum[0].span == (span{x.Off, m.Off}) {
				m.CRC = sum[0].crc
			} else { // it is complete
				_, place := w.CRCSlot(x.CRCSlots[0])
				m.CRC = binary.LittleEndian.Uint32(place)
			}
		}
		return m, w
	}
	return Mark{File: len(o.files)}, nil
}

// durable returns the end of the part of the file that is on the disk if all
// extents before off are written: what lies between extents is written with the
// next one.
func (f *File) durable(off int64) int64 {
	k := sort.Search(len(f.Extents), func(i int) bool { return f.Extents[i].Off+f.Extents[i].Len > off })
	if k < len(f.Extents) && f.Extents[k].Off < off {
		return off
	}
	for k--; k >= 0; k-- {
		if x := f.Extents[k]; x.Len > 0 {
			return x.Off + x.Len
		}
	}
	return 0
}

// CheckpointDue reports whether it is time for a Checkpoint: enough was written
// since the last one, and that is on the disk.
func (o *Output) CheckpointDue() bool {
	return o.journals() && o.since >= o.every && !o.flush.marking.Load()
}

// Checkpoint flushes everything written so far, in the background, and then notes
// that in the journal together with note, which must be JSON on one line, or nil.
// A run with the same fingerprint can resume from there.
func (o *Output) Checkpoint(note []byte) error {
	if o.closed || !o.journals() {
		return nil
	}
	if err := o.flush.err(); err != nil {
		return err
	}
	o.since = 0
	m, w := o.mark()
	m.Note = note
	line := markLine{m, o.takeStretches(m)}
	folders := []*disk.Folder{o.work, o.up}
	for _, s := range o.subs {
		folders = append(folders, s)
	}
	r := request{mark: &line, journal: o.journal, folders: folders}
	if w != nil {
		r.f = w.f
	}
	o.flush.marking.Store(true)
	o.flush.requests <- r
	return nil
}

// Suspend stops the work so that a later run can resume it: it makes a last
// checkpoint if it can, closes everything and releases the lock. The later run
// will begin at the mark at; if that is the very start, everything is removed, as
// by Abort.
func (o *Output) Suspend(note []byte) (at Mark, err error) {
	if o.closed {
		return Mark{}, nil
	}
	if !o.journals() {
		return Mark{}, o.Abort()
	}
	o.flush.hurry.Store(true)
	err = o.Checkpoint(note)
	if serr := o.flush.stop(); err == nil {
		err = serr
	}
	at = o.previous.At
	if m := o.flush.marked.Load(); m != nil {
		at = *m
	}
	at.Note = nil
	if o.inPlace() != nil { // nor is there anything to remove
		at = Mark{}
	}
	if at.File == 0 && (len(o.files) == 0 || len(o.files[0].Extents) == 0 || at.Off <= o.files[0].Extents[0].Off) {
		return Mark{}, errors.Join(err, o.Abort())
	}
	o.closed = true
	o.closeFiles()
	err = errors.Join(err, o.lock.Release())
	o.closeFolders()
	return at, err
}

// closeFiles closes the open files and the journal.
func (o *Output) closeFiles() {
	for _, w := range o.files {
		if w.f != nil {
			w.closeDirect()
			w.f.Close()
			w.f = nil
		}
	}
	if o.journal != nil {
		o.journal.Close()
		o.journal = nil
	}
}
