package model

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
)

// A Count is what the memory that a model's tables take depends on.
type Count struct {
	Tensors int64
	Text    int64 // bytes of names and metadata
	Files   int64
	Config  int64 // bytes of config.json
	Bytes   int64 // of the weight files
	Torch   bool  // PyTorch checkpoints
}

// An Admit says whether there is memory for the tables of a model. It is asked
// before they are built.
type Admit func(Count) error

// Count counts what was opened.
func (m *Model) Count() Count {
	c := Count{Tensors: int64(len(m.Tensors)), Files: int64(len(m.Files)), Torch: strings.HasPrefix(m.Format, "torch")}
	for i := range m.Tensors {
		c.Text += int64(len(m.Tensors[i].Name))
	}
	for k, v := range m.Metadata {
		c.Text += int64(len(k) + len(v) + 64)
	}
	for i := range m.Files {
		c.Bytes += m.Files[i].Bytes
	}
	if m.Config != nil {
		c.Config = int64(len(m.Config.Bytes()))
	}
	return c
}

// admission asks m.admit about weight files before they are opened. The lengths
// of their headers bound what is in them; the headers are read to count it
// exactly only if that is too much.
func (m *Model) admission(pool *mmapio.Pool, paths []string) error {
	if m.admit == nil {
		return nil
	}
	var exact, most Count
	if m.Config != nil {
		most.Config = int64(len(m.Config.Bytes()))
	}
	exact = most
	for _, path := range paths {
		if err := m.countFile(pool, path, &most, false); err != nil {
			return nil // opening it will tell
		}
	}
	if m.admit(most) == nil {
		return nil
	}
	for _, path := range paths {
		if err := m.countFile(pool, path, &exact, true); err != nil {
			return nil
		}
	}
	return m.admit(exact)
}

// countFile adds one weight file to a count.
func (m *Model) countFile(pool *mmapio.Pool, path string, c *Count, exact bool) error {
	f, err := pool.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, min(tensor.SniffLen, f.Size()))
	if _, err := f.ReadAt(head, 0); err != nil && err != io.EOF {
		return err
	}
	c.Files++
	c.Bytes += f.Size()
	var n, text int64
	switch tensor.Sniff(head) {
	case tensor.ZipFile, tensor.PickleFile:
		c.Torch = true
		n, text, err = torchbin.Count(f, f.Size())
	default:
		n, text, err = safetensors.CountHeader(f, f.Size(), exact)
	}
	c.Tensors += n
	c.Text += text
	return err
}

// admitIndexes asks m.admit about the lists of shards in the folder, which are
// read before any weight file.
func (m *Model) admitIndexes(pool *mmapio.Pool, dir string) error {
	if m.admit == nil {
		return nil
	}
	lists, _ := filepath.Glob(filepath.Join(escapeGlob(dir), "*.index.json"))
	for _, path := range lists {
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() || m.admit(Count{Tensors: st.Size() / safetensors.MinIndexEntry, Text: st.Size()}) == nil {
			continue
		}
		f, err := pool.Open(path)
		if err != nil {
			continue
		}
		n, text, err := safetensors.CountIndex(f, f.Size())
		f.Close()
		if err != nil {
			continue // reading it will tell
		}
		if err := m.admit(Count{Tensors: n, Text: text}); err != nil {
			return err
		}
	}
	return nil
}
