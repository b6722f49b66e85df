package model

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
)

// A Count has the numbers on which the memory of a model's tables depends.
type Count struct {
	Tensors int64
	Text    int64 // bytes of names and metadata
	Files   int64
	Config  int64 // bytes of config.json
	Members int64 // of its objects, at most
	Bytes   int64 // of the weight files
	Torch   bool  // PyTorch checkpoints

	most int64 // tensors of the largest file, 0 where that is not known
}

// Largest is how many tensors the largest file has, at most.
func (c *Count) Largest() int64 {
	if c.most == 0 {
		return c.Tensors
	}
	return c.most
}

// An Admit says whether there is memory for the tables of a model. It is asked
// before they are built.
type Admit func(Count) error

// Count counts what was opened.
func (m *Model) Count() Count {
	c := Count{Tensors: int64(len(m.Tensors)), Files: int64(len(m.Files)), Torch: strings.HasPrefix(m.Format, "torch")}
	files := make([]int64, len(m.Files))
	for i := range m.Tensors {
		c.Text += int64(len(m.Tensors[i].Name))
		files[m.Tensors[i].File]++
	}
	for _, n := range files {
		c.most = max(c.most, n)
	}
	for k, v := range m.Metadata {
		c.Text += int64(len(k) + len(v) + 64)
	}
	for i := range m.Files {
		c.Bytes += m.Files[i].Bytes
	}
	c.addConfig(m.Config)
	return c
}

func (c *Count) addConfig(config *Config) {
	if config != nil {
		c.Config, c.Members = int64(len(config.raw)), members(config.raw)
	}
}

// members returns the most members that the objects of a JSON text have.
func members(raw []byte) int64 { return int64(bytes.Count(raw, []byte(":"))) }

// countConfig counts a config.json without holding it.
func (c *Count) countConfig(path string) {
	f, err := disk.OpenRegular(path)
	if err != nil {
		return // reading it will show
	}
	defer f.Close()
	buf := make([]byte, 16<<10)
	for err == nil && c.Config <= maxConfig {
		var n int
		n, err = f.Read(buf)
		c.Config += int64(n)
		c.Members += members(buf[:n])
	}
}

// admitConfig asks m.admit about config.json before it is read.
func (m *Model) admitConfig(path string) error {
	if m.admit == nil {
		return nil
	}
	var c Count
	if c.countConfig(path); c.Config > maxConfig {
		return nil
	}
	err := m.admit(c)
	if err != nil {
		m.tooLarge = c
	}
	return err
}

// admission asks m.admit about weight files before they are opened. The lengths
// of their headers bound what is in them; the headers are read to count it
// exactly only if that is too much.
func (m *Model) admission(pool *mmapio.Pool, paths []string) error {
	if m.admit == nil {
		return nil
	}
	var exact, most Count
	most = m.tooLarge
	most.addConfig(m.Config)
	exact = most
	for _, path := range paths {
		if err := m.countFile(pool, path, &most, false); err != nil {
			return nil // opening it will show
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
	c.most = max(c.most, n)
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
		n, err := safetensors.CountIndex(f, f.Size())
		f.Close()
		if err != nil {
			continue // reading it will show
		}
		c := Count{Tensors: n.Tensors, Text: n.Text, most: n.Largest}
		c.addFolder(dir, filepath.Ext(strings.TrimSuffix(path, ".index.json")))
		if err := m.admit(c); err != nil {
			return err
		}
	}
	return nil
}

// metadataText is about the length of the metadata in a file of safetensors, as
// CountHeader counts them.
const metadataText = 32

// addFolder counts what lies beside an index: all weight files of its format,
// and config.json.
func (c *Count) addFolder(dir, ext string) {
	c.Torch = ext == ".bin"
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		weights := filepath.Ext(e.Name()) == ext
		if !weights && e.Name() != "config.json" {
			continue
		}
		st, err := os.Stat(filepath.Join(dir, e.Name())) // through links
		switch {
		case err != nil:
		case weights:
			c.Files++
			c.Bytes += st.Size()
			if !c.Torch {
				c.Text += metadataText
			}
		default:
			c.countConfig(filepath.Join(dir, e.Name()))
		}
	}
}
