package testmodel

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
)

// A Model describes a model folder. The zero value of each field is the usual.
type Model struct {
	Tensors  []Tensor
	Bin      bool              // PyTorch files instead of safetensors
	Shard    int64             // the most bytes of a shard; 0 for one file
	Name     string            // of the only weight file
	Metadata map[string]string // of the safetensors files, beside "format"
	Config   string            // config.json; "" for none
	Files    map[string]string // other files by their paths, with slashes
}

// A Tensor is an entry of a weight file.
type Tensor struct {
	tensor.Info
	Values Values // nil leaves a hole in the file, which reads as zeros
	Tied   string // in a .bin, the earlier tensor whose storage this one has
}

// Tensors gives all tensors the same kind of values.
func Tensors(values Values, list ...tensor.Info) []Tensor {
	all := make([]Tensor, len(list))
	for i, t := range list {
		all[i] = Tensor{Info: t, Values: values}
	}
	return all
}

// Make writes a model for a test and returns its folder.
func Make(t testing.TB, dir string, m Model) string {
	t.Helper()
	if err := m.Write(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Write writes a model into a folder, which is made if it is missing.
func (m *Model) Write(dir string) error {
	storage, err := m.storage()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	stem, ext := "model", ".safetensors"
	if m.Bin {
		stem, ext = "pytorch_model", ".bin"
	}
	shards := m.shards(storage)
	index := map[string]string{}
	for i, which := range shards {
		name := stem + ext
		switch {
		case m.Name != "":
			name = m.Name
		case len(shards) > 1:
			name = fmt.Sprintf("%s-%05d-of-%05d%s", stem, i+1, len(shards), ext)
		}
		for _, t := range which {
			index[m.Tensors[t].Name] = name
		}
		if err := m.writeFile(filepath.Join(dir, name), which, storage); err != nil {
			return err
		}
	}
	files := map[string]string{}
	for name, text := range m.Files {
		files[name] = text
	}
	if len(shards) > 1 {
		text, err := json.Marshal(map[string]any{"metadata": map[string]any{"total_size": m.bytes(storage)}, "weight_map": index})
		if err != nil {
			return err
		}
		files[stem+ext+".index.json"] = string(text)
	}
	if m.Config != "" {
		files["config.json"] = m.Config
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			return err
		}
	}
	return nil
}

// storage finds for each tensor the one whose storage it has, which is itself
// for most.
func (m *Model) storage() ([]int, error) {
	storage := make([]int, len(m.Tensors))
	for i, t := range m.Tensors {
		storage[i] = i
		if t.Tied != "" {
			storage[i] = slices.IndexFunc(m.Tensors[:i], func(o Tensor) bool { return o.Name == t.Tied })
			if storage[i] < 0 || !m.Bin {
				return nil, fmt.Errorf("testmodel: %s can't share the storage of %s", t.Name, t.Tied)
			}
		}
	}
	return storage, nil
}

func (m *Model) bytes(storage []int) (n int64) {
	for i, t := range m.Tensors {
		if storage[i] == i {
			n += t.Bytes()
		}
	}
	return n
}

// shards fills one file after the other in the order of the tensors.
func (m *Model) shards(storage []int) [][]int {
	shards := [][]int{nil}
	var size int64
	for i, t := range m.Tensors {
		last := len(shards) - 1
		if storage[i] != i { // where the owner is
			last = slices.IndexFunc(shards, func(which []int) bool { return slices.Contains(which, storage[i]) })
		} else if n := t.Bytes(); m.Shard > 0 && size+n > m.Shard && len(shards[last]) > 0 {
			shards, last, size = append(shards, nil), last+1, n
		} else {
			size += n
		}
		shards[last] = append(shards[last], i)
	}
	return shards
}
