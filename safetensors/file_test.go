package safetensors

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestOpenFile(t *testing.T) {
	b := file(`{"__metadata__":{"k":"v"},"b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]},"a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]}}`, 5)
	copy(b[len(b)-5:], "01234")
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Tensors) != 2 || f.Metadata["k"] != "v" || f.Size() != int64(len(b)) {
		t.Errorf("read as %+v", f.Header)
	}
	for name, want := range map[string]string{"a": "01", "b": "234"} {
		i := f.Find(name)
		if i < 0 || f.Tensors[i].Name != name {
			t.Fatalf("%s is found at %d", name, i)
		}
		if got, err := io.ReadAll(f.Section(i)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		got := make([]byte, len(want))
		if err := f.Source(i).ReadAt(got, 0); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if i := f.Find("c"); i != -1 {
		t.Errorf("a tensor that is not there is found at %d", i)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Section(0).ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("reading a closed file: %v", err)
	}

	if _, err := OpenFile(path + "y"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.Truncate(path, 20); err != nil {
		t.Fatal(err)
	}
	var fe *FormatError
	if _, err := OpenFile(path); !errors.As(err, &fe) || !fe.Short {
		t.Errorf("a file that was cut short: %v", err)
	}
}

// A reader that shrinks after it was opened is an early end, and Close leaves
// the caller's reader alone.
func TestOpen(t *testing.T) {
	b := file(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}`, 4)
	var arena Arena
	f, err := Open(bytes.NewReader(b), int64(len(b)), Options{Arena: &arena})
	if err != nil {
		t.Fatal(err)
	}
	f.r = bytes.NewReader(b[:len(b)-1])
	if err := f.Source(0).ReadAt(make([]byte, 4), 0); err != io.ErrUnexpectedEOF {
		t.Errorf("a file that has shrunk: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := f.Source(0).ReadAt(make([]byte, 3), 0); err != nil {
		t.Errorf("after Close: %v", err)
	}
}
