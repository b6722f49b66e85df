package torchbin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func seeds(f *testing.F) [][]byte {
	files, err := filepath.Glob("testdata/*.bin")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	var all [][]byte
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// try opens a file and reads what it holds. Only a FormatError may be returned.
func try(t *testing.T, b []byte) {
	f := newMemory(b)
	c, err := Open(f, int64(len(b)), Options{})
	var fe *FormatError
	var ee *EntryError
	if err != nil && !errors.As(err, &fe) && !errors.As(err, &ee) {
		t.Fatalf("not a FormatError: %v", err)
	}
	if err != nil {
		return
	}
	for i := range c.Tensors {
		x := &c.Tensors[i]
		n := x.Bytes()
		for _, off := range []int64{0, n / 3, max(0, n-100)} {
			p := make([]byte, min(n-off, 4096))
			if err := c.Source(f, i).ReadAt(p, off); err != nil {
				t.Fatalf("%q: %v", x.Name, err)
			}
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Fuzz(try)
}

func FuzzZip(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Add(zipFile(ending{zip64: true}, records(object(matrix))...))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := openArchive(newMemory(b), int64(len(b)))
		var fe *FormatError
		if err != nil && !errors.As(err, &fe) {
			t.Fatalf("not a FormatError: %v", err)
		}
		if err != nil {
			return
		}
		for i := range a.entries {
			e := &a.entries[i]
			if e.body < 0 || e.packed < 0 || e.body+e.packed > int64(len(b)) {
				t.Fatalf("%q lies outside the file", e.name)
			}
			if _, err := a.content(e, 1<<20); err != nil && !errors.As(err, &fe) {
				t.Fatalf("not a FormatError: %v", err)
			}
		}
	})
}

func FuzzPickle(f *testing.F) {
	f.Add([]byte(object(matrix)))
	f.Add([]byte(object(dict(text("model"), dict(text("w"), four)))))
	f.Add([]byte(object(call(glob("collections", "OrderedDict"), "](]("+short("w")+four+"ee"))))
	f.Add([]byte(object(dict(text("a"), call(glob("_codecs", "encode"), text("x"), text("latin1")), text("w"), "\x8a\x00"))))
	f.Fuzz(func(t *testing.T, b []byte) { try(t, archiveOf(string(b))) })
}
