package engine_test

import (
	"context"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"slerpmerge/writer"
)

// A memory is an Output that keeps the bytes of tensors in memory.
type memory struct {
	t      *testing.T
	layout *writer.Layout
	files  [][]byte
	ends   []int64 // of what is written of each file

	due         bool // a checkpoint after every piece
	checkpoints []checkpoint
	notes       [][]byte

	copies, writes int
	sums           int  // pieces with a CRC where the format has none
	copying        bool // Copy is supported
	fail           func(call string) error
}

// A checkpoint is the place and the notes of a run that is killed after it.
type checkpoint struct {
	at    writer.Mark
	notes [][]byte
}

func newMemory(t *testing.T, l *writer.Layout) *memory {
	t.Helper()
	m := &memory{t: t}
	if err := m.Presize(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *memory) Presize(_ context.Context, l *writer.Layout) error {
	m.layout, m.ends = l, make([]int64, len(l.Files))
	for _, f := range l.Files {
		m.files = append(m.files, make([]byte, f.Size))
	}
	return nil
}

func (m *memory) Write(file int, p []byte, off int64, sums []uint32) error {
	m.writes++
	if m.fail != nil {
		if err := m.fail("write"); err != nil {
			return err
		}
	}
	m.advance(file, off, int64(len(p)))
	for _, x := range m.layout.Files[file].Extents {
		from, to := max(off, x.Off), min(off+int64(len(p)), x.Off+x.Len)
		if from >= to {
			continue
		}
		values := p[from-off : to-off]
		copy(m.files[file][from:], values)
		if m.layout.Files[file].HasCRCs {
			if len(sums) == 0 || sums[0] != crc32.ChecksumIEEE(values) {
				m.t.Errorf("file %d, byte %d: wrong CRCs %08x", file, from, sums)
				break
			}
			sums = sums[1:]
		}
	}
	if len(sums) == 1 && !m.layout.Files[file].HasCRCs && sums[0] == crc32.ChecksumIEEE(p) {
		m.sums++
		return nil
	}
	if len(sums) > 0 {
		m.t.Errorf("file %d: CRCs of a piece at byte %d that has no such parts of tensors: %08x", file, off, sums)
	}
	return nil
}

// advance checks that pieces come in order and leave no values out.
func (m *memory) advance(file int, off, n int64) {
	for i, f := range m.layout.Files[:file+1] {
		end := f.Size
		if i == file {
			end = off
		}
		for _, x := range f.Extents {
			if x.Len > 0 && x.Off < end && min(end, x.Off+x.Len) > m.ends[i] {
				m.t.Errorf("a piece of file %d at byte %d comes before byte %d of file %d", file, off, m.ends[i], i)
			}
		}
	}
	if off < m.ends[file] {
		m.t.Errorf("file %d: byte %d is written again", file, off)
	}
	m.ends[file] = off + n
}

func (m *memory) Copy(file int, off, n int64, copy func(dst *os.File, off int64) error) error {
	m.copies++
	if m.fail != nil {
		if err := m.fail("copy"); err != nil {
			return err
		}
	}
	if !m.copying {
		return errUnsupported
	}
	path := filepath.Join(m.t.TempDir(), "copy")
	dst, err := os.Create(path)
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := copy(dst, off); err != nil {
		return err
	}
	m.advance(file, off, n)
	_, err = dst.ReadAt(m.files[file][off:off+n], off)
	return err
}

func (m *memory) CheckpointDue() bool { return m.due }

func (m *memory) Checkpoint(note []byte) error {
	if m.fail != nil {
		if err := m.fail("checkpoint"); err != nil {
			return err
		}
	}
	if note != nil {
		m.notes = append(m.notes, slices.Clone(note))
	}
	m.checkpoints = append(m.checkpoints, checkpoint{m.mark(), slices.Clone(m.notes)})
	return nil
}

// mark is the place up to which all is written.
func (m *memory) mark() writer.Mark {
	for i, f := range m.layout.Files {
		for _, x := range f.Extents {
			if x.Off+x.Len > m.ends[i] {
				return writer.Mark{File: i, Off: max(m.ends[i], x.Off)}
			}
		}
	}
	return writer.Mark{File: len(m.layout.Files)}
}

// resumed is an Output that has what m had at a checkpoint.
func (m *memory) resumed(at checkpoint) *memory {
	r := newMemory(m.t, m.layout)
	for i := range r.files {
		switch {
		case i < at.at.File:
			r.ends[i] = int64(copy(r.files[i], m.files[i]))
		case i == at.at.File:
			r.ends[i] = int64(copy(r.files[i], m.files[i][:at.at.Off]))
		}
	}
	r.due, r.notes = m.due, slices.Clone(at.notes)
	return r
}

func (*memory) Publish() error { return nil }
func (*memory) Abort() error   { return nil }
