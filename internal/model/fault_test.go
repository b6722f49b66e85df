package model

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/mmapio"
)

// healthy writes a model folder with a tokenizer and a chat template.
func healthy(t *testing.T) string {
	t.Helper()
	return testmodel.Make(t, filepath.Join(t.TempDir(), "model"), testmodel.Model{
		Tensors: []testmodel.Tensor{one("w")},
		Config:  `{"model_type":"llama"}`,
		Files:   map[string]string{"tokenizer.json": `{}`, "README.md": "card", "additional_chat_templates/x.jinja": "x"},
	})
}

// one is a tensor of the float32 value 1.
func one(name string) testmodel.Tensor {
	return testmodel.Tensor{Info: tensor.Info{Name: name, DType: tensor.F32, Shape: []uint64{1}}, Values: testmodel.List(1)}
}

// use opens a model and reads all of its files.
func use(dir string, files files) error {
	m, err := OpenWith(mmapio.NewPool(0), dir, Options{files: files})
	if err != nil {
		return err
	}
	defer m.Close()
	names := append(m.Companions(true), m.Companions(false)...)
	for _, name := range append(names, "README.md") {
		f, err := m.OpenCompanion(name)
		if err != nil {
			return err
		}
		f.Close()
	}
	return nil
}

// A name that the system can't look up, and a folder that it can't list, are not
// missing or incomplete: the error is the system's own.
func TestSystemFaults(t *testing.T) {
	dir := healthy(t)
	if err := use(dir, files{}); err != nil {
		t.Fatal(err)
	}
	for _, number := range []syscall.Errno{syscall.EACCES, syscall.EIO, syscall.ELOOP, syscall.ENOTDIR, syscall.ESTALE} {
		for call, bases := range map[string][]string{
			"stat":    {"model", "model.safetensors", "tokenizer.json", "README.md", "additional_chat_templates", "x.jinja"},
			"readDir": {"model", "additional_chat_templates"},
		} {
			for _, base := range bases {
				t.Run(number.Error()+"/"+call+"/"+base, func(t *testing.T) {
					t.Parallel()
					fault := func(op, path string) error {
						if op != call || filepath.Base(path) != base {
							return nil
						}
						return &fs.PathError{Op: op, Path: path, Err: number}
					}
					wantSystem(t, use(dir, files{fault}), number)
				})
			}
		}
	}
}

// A weight file that is named goes with the config.json beside it. Where the folder
// can't be listed that would be lost, so only a file alone is read then.
func TestNamedFileInAnUnlistableFolder(t *testing.T) {
	unlistable := func(call, path string) error {
		if call == "readDir" {
			return &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}
		}
		return nil
	}
	file := filepath.Join(healthy(t), "model.safetensors")
	wantSystem(t, use(file, files{unlistable}), syscall.EACCES)
	if err := os.Remove(filepath.Join(filepath.Dir(file), "config.json")); err != nil {
		t.Fatal(err)
	}
	m, err := OpenWith(mmapio.NewPool(0), file, Options{files: files{unlistable}})
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
	refuse := errors.New("too large")
	if _, err := OpenWith(mmapio.NewPool(0), file, Options{files: files{unlistable}, Admit: func(Count) error { return refuse }}); !errors.Is(err, refuse) {
		t.Errorf("%v, want that of Admit", err)
	}
}

// A model in the home directory that can't be looked up is not missing.
func TestFaultBelowHome(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	denied := func(call, path string) error {
		if call == "stat" && path == filepath.Join(home, "m") {
			return &fs.PathError{Op: call, Path: path, Err: syscall.EACCES}
		}
		return nil
	}
	wantSystem(t, use("~/m", files{denied}), syscall.EACCES)
	if err := use("~/m", files{}); !errors.As(err, new(*UnusableError)) {
		t.Errorf("%T %v, want an UnusableError", err, err)
	}
}

// A file of a module is a companion if it was there when the folder was listed.
func TestModuleFilesAreListedOnce(t *testing.T) {
	dir := healthy(t)
	for name, text := range map[string]string{"modules.json": `[{"idx":0,"path":"1_Pooling","type":"x.Pooling"}]`, "1_Pooling/config.json": "{}"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m, err := Open(mmapio.NewPool(0), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := os.RemoveAll(filepath.Join(dir, "1_Pooling")); err != nil { // a disk that fails now
		t.Fatal(err)
	}
	if got := m.ModuleFiles(); len(got) != 1 || got[0] != "1_Pooling/config.json" {
		t.Errorf("%q", got)
	}
}

// The error of a name in the cache that can't be read says where that is.
func TestUnreadableRevision(t *testing.T) {
	home := filepath.Join(t.TempDir(), "models--a--b")
	ref := filepath.Join(home, "refs", "main")
	if err := os.MkdirAll(filepath.Join(ref, "main"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := (files{}).snapshot(home, "a/b", ""); err == nil || !strings.Contains(err.Error(), ref) {
		t.Errorf("%v, want %s in it", err, ref)
	}
}

func wantSystem(t *testing.T, err error, number syscall.Errno) {
	t.Helper()
	if !errors.Is(err, number) || errors.As(err, new(*FormatError)) || errors.As(err, new(*UnusableError)) {
		t.Errorf("%T %v, want the system's %v", err, err, number)
	}
}

// The same where it can be provoked.
func TestLinkLoops(t *testing.T) {
	for _, name := range []string{"model.safetensors", "config.json", "tokenizer.json", "additional_chat_templates"} {
		dir := healthy(t)
		path := filepath.Join(dir, name)
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(name, path); err != nil {
			t.Skip("no symbolic links here: ", err)
		}
		wantSystem(t, use(dir, files{}), syscall.ELOOP)
	}
	dir := healthy(t)
	wantSystem(t, use(filepath.Join(dir, "config.json", "x"), files{}), syscall.ENOTDIR)
}
