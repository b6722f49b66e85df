package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteFile(t *testing.T) {
	d, dir := folder(t)
	path := filepath.Join(dir, "state.json")
	for _, text := range []string{"one", "", "three"} {
		must(t, WriteFile(path, []byte(text)))
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v; want %q", got, err, text)
		}
	}
	must(t, os.WriteFile(filepath.Join(dir, ".state.json.tmp"), []byte("of a dead process"), 0o600))
	must(t, WriteFile(path, []byte("four")))
	entries, err := d.ReadDir()
	must(t, err)
	if len(entries) != 1 {
		t.Errorf("%v beside the file", entries)
	}
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o777))
	must(t, os.WriteFile(filepath.Join(dir, "folder", "in it"), nil, 0o666))
	err = WriteFile(filepath.Join(dir, "folder"), []byte("x"))
	if e := (*fs.PathError)(nil); !errors.As(err, &e) || e.Path != filepath.Join(dir, "folder") {
		t.Errorf("in place of a folder: %v", err)
	}
	if _, err := d.Lstat(".folder.tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the temporary file stays: %v", err)
	}
}

func TestCreateFile(t *testing.T) {
	_, dir := folder(t)
	path := filepath.Join(dir, "recipe.yaml")
	must(t, CreateFile(path, []byte("a")))
	if err := CreateFile(path, []byte("b")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "a" {
		t.Errorf("%q, %v", got, err)
	}
}
