package model

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"slerpmerge/mmapio"
)

// A model that is refused before it is read is refused for all that it has: the
// shards beside an index, their bytes, and config.json.
func TestAdmitCountsFolder(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	config := `{"model_type": "x", "id2label": {"0": "a"}}`
	write("config.json", config)
	write("model.safetensors.index.json", `{"weight_map": {"one": "model-1.safetensors", "four": "model-2.safetensors"}}`)
	write("model-1.safetensors", "12345")
	write("model-2.safetensors", "123")
	refused := errors.New("refused")
	var last Count
	_, err := OpenWith(mmapio.NewPool(2<<20), dir, Options{Admit: func(c Count) error {
		last = c
		return refused
	}})
	if !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	if want := (Count{Tensors: 2, Text: 7 + 2*metadataText, most: 1, Files: 2, Bytes: 8, Config: int64(len(config)), Members: 3}); last != want {
		t.Errorf("counted %+v, want %+v", last, want)
	}
}

// config.json is refused before it is read, with the tensors counted too.
func TestAdmitConfigBeforeReading(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"model_type": "x"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	header := `{"w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}   `
	if err := os.WriteFile(filepath.Join(dir, "model.safetensors"), append([]byte{byte(len(header)), 0, 0, 0, 0, 0, 0, 0}, header...), 0o666); err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	var last Count
	m, err := OpenWith(mmapio.NewPool(2<<20), dir, Options{Admit: func(c Count) error {
		last = c
		return refused
	}})
	if !errors.Is(err, refused) || m != nil {
		t.Errorf("got %v", err)
	}
	if last.Config != 19 || last.Members != 1 || last.Tensors != 1 {
		t.Errorf("counted %+v", last)
	}
}
