package model

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
)

// A File is one weight file.
type File struct {
	Name   string // in the model's folder, with slashes
	Path   string
	Bytes  int64
	Module string // the folder of the module whose weights it holds, "" as a rule
	// HeaderLen is the length of all that stands before the tensors' values.
	// It is 0 for PyTorch checkpoints, whose table has no one place.
	HeaderLen int64

	data       *mmapio.File
	checkpoint *torchbin.Checkpoint // nil for safetensors
	first      int                  // index of its first tensor in Model.Tensors
}

// Table returns the stretch of the file that says what is in it: the header of
// safetensors, the ZIP directory of a PyTorch checkpoint, which has checksums
// of the values too. n is 0 where there is none.
func (f *File) Table() (off, n int64) {
	switch {
	case f.checkpoint == nil:
		return 0, f.HeaderLen
	case f.checkpoint.Directory == 0:
		return 0, 0
	}
	return f.checkpoint.Directory, f.Bytes - f.checkpoint.Directory
}

// ReadTable reads the Table. A file that has changed is an error, as for Source.
func (f *File) ReadTable() *io.SectionReader {
	off, n := f.Table()
	return io.NewSectionReader(f.data, off, n)
}

// Identity tells this version of the file from another.
func (f *File) Identity() mmapio.Identity { return f.data.Identity() }

// openWeights adds one weight file of the model's folder and its tensors.
func (m *Model) openWeights(pool *mmapio.Pool, name string) error {
	return m.openFile(pool, filepath.Join(m.Dir, filepath.FromSlash(name)), name)
}

// openFile adds the weight file at path, which is called name.
func (m *Model) openFile(pool *mmapio.Pool, path, name string) error {
	f, err := pool.Open(path)
	if err != nil {
		return fileError(path, err)
	}
	m.Files = append(m.Files, File{Name: name, Path: path, Bytes: f.Size(), data: f})
	head := make([]byte, min(tensor.SniffLen, f.Size()))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	k := tensor.Sniff(head)
	switch k {
	case tensor.LFSPointer, tensor.WebPage, tensor.TarFile, tensor.GGUFFile:
		return &FormatError{Path: path, Msg: foreign[k].sentence, Hint: foreign[k].hint}
	case tensor.HDF5File:
		return &UnusableError{Path: path, Msg: foreign[k].sentence, Hint: foreign[k].hint}
	case tensor.ZipFile, tensor.PickleFile:
		return m.openCheckpoint(f, path)
	}
	if k != tensor.SafetensorsFile && strings.EqualFold(filepath.Ext(path), ".json") {
		return &UnusableError{Path: path, Msg: "is not a file of weights", Hint: "name the folder that it is in"}
	}
	h, err := safetensors.Open(f, f.Size(), safetensors.Options{Arena: &m.arena})
	if err != nil {
		var fe *safetensors.FormatError
		if errors.As(err, &fe) {
			known := &FormatError{Path: path, Err: err}
			if fe.Short && k == tensor.SafetensorsFile {
				known.Hint = "the file may have been cut short: download or copy it again"
			}
			if k != tensor.SafetensorsFile && f.Size() > 0 && !strings.EqualFold(filepath.Ext(path), ".safetensors") {
				known.Msg = "is neither a PyTorch checkpoint nor a safetensors file"
			}
			return known
		}
		return err
	}
	m.format("safetensors")
	m.Files[len(m.Files)-1].HeaderLen = h.DataStart
	if m.Metadata == nil {
		m.Metadata = h.Metadata
	}
	m.drop(h.Metadata)
	m.grow(len(h.Tensors))
	for _, t := range h.Tensors {
		m.Tensors = append(m.Tensors, Tensor{Info: t.Info, File: len(m.Files) - 1, Offset: t.Begin})
	}
	return nil
}

// format is called for every file; the first one names the model's.
func (m *Model) format(name string) {
	if m.Format == "" {
		m.Format = name
	}
}

// openCheckpoint adds the tensors of the PyTorch checkpoint that is the last
// of m.Files.
func (m *Model) openCheckpoint(f *mmapio.File, path string) error {
	c, err := torchbin.Open(f, f.Size(), torchbin.Options{Entry: m.Entry, Memory: m.memory, Gatherer: m.gatherer})
	if err != nil {
		var fe *torchbin.FormatError
		var ee *torchbin.EntryError
		var me *torchbin.MemoryError
		switch {
		case errors.As(err, &fe) && fe.Quantised:
			return &UnusableError{Path: path, Err: err, Hint: mergeBefore}
		case errors.As(err, &fe):
			known := &FormatError{Path: path, Err: err}
			if fe.Code {
				known.Hint = "such a file can make a program that loads it run anything: ask its author for safetensors, or for a state_dict alone"
			}
			return known
		case errors.As(err, &me):
			return &MemoryError{Path: path, Need: me.Need}
		case errors.As(err, &ee):
			return &UnusableError{Path: path, Err: err, entries: chooseEntry(ee.Entries)}
		}
		return err
	}
	if text := m.entryNote(c); text != "" && len(m.Files) == 1 {
		m.Notes = append(m.Notes, path+": "+text)
	}
	m.format(c.Format)
	last := &m.Files[len(m.Files)-1]
	last.checkpoint, last.first = c, len(m.Tensors)
	m.grow(len(c.Tensors))
	for _, t := range c.Tensors {
		t.Shape = m.arena.Shape(t.Shape)
		m.Tensors = append(m.Tensors, Tensor{Info: t.Info, File: len(m.Files) - 1, Offset: t.Offset})
	}
	m.share(c, last.first)
	if !slices.ContainsFunc(c.Tensors, func(t torchbin.Tensor) bool { return t.Strides != nil }) {
		c.Tensors = nil // Model.Tensors says the same
	}
	return nil
}

// grow makes room for n more tensors: at the first file for as many as the
// index has, so that the table is not copied again and again.
func (m *Model) grow(n int) {
	if len(m.Tensors) == 0 {
		n = max(n, m.expected)
	}
	m.Tensors = slices.Grow(m.Tensors, n)
}

// share notes which tensors of a checkpoint, the first of them Tensors[base],
// are one under several names. Tensors without elements are not.
func (m *Model) share(c *torchbin.Checkpoint, base int) {
	shared := map[string]int32{}
	for i := range c.Tensors {
		if t := &c.Tensors[i]; t.SharesWith != "" && t.Bytes() > 0 {
			shared[t.SharesWith] = -1
		}
	}
	if len(shared) == 0 {
		return
	}
	for i := len(m.storages); i < base; i++ { // of files before this one
		m.storages = append(m.storages, int32(i))
	}
	for i := range c.Tensors {
		first := int32(base + i)
		if _, ok := shared[c.Tensors[i].Name]; ok {
			shared[c.Tensors[i].Name] = first
		}
		if name := c.Tensors[i].SharesWith; name != "" && c.Tensors[i].Bytes() > 0 {
			first = shared[name]
		}
		m.storages = append(m.storages, first)
	}
}

// Source gives the values of Tensors[i].
func (m *Model) Source(i int) tensor.Source {
	t := &m.Tensors[i]
	f := &m.Files[t.File]
	if f.checkpoint != nil && f.checkpoint.Tensors != nil { // some may lie in another order there
		return f.checkpoint.Source(f.data, i-f.first)
	}
	return tensor.NewSection(f.data, t.Offset)
}
