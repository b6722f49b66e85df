package tensor

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// hinted is a file that takes hints and can be checked.
type hinted struct {
	*strings.Reader
	hints  []int64
	change error
}

func (h *hinted) Prefetch(off, n int64) { h.hints = append(h.hints, off, n) }
func (h *hinted) Drop(off, n int64)     { h.hints = append(h.hints, -off, n) }
func (h *hinted) View(scratch []byte, off int64, use func([]byte) error) error {
	h.hints = append(h.hints, off, int64(len(scratch)))
	return use([]byte("view"))
}
func (h *hinted) Check() error { return h.change }
func (h *hinted) CopyTo(dst *os.File, at, off, n int64) error {
	h.hints = append(h.hints, at, off, n)
	return nil
}

func TestSection(t *testing.T) {
	f := &hinted{Reader: strings.NewReader("0123456789")}
	var s Source = NewSection(f, 4)
	p := make([]byte, 3)
	if err := s.ReadAt(p, 2); err != nil || string(p) != "678" {
		t.Errorf("%q, %v", p, err)
	}
	if err := s.ReadAt(p, 3); err != nil || string(p) != "789" {
		t.Errorf("at the end: %q, %v", p, err)
	}
	if err := s.ReadAt(p, 4); err != io.ErrUnexpectedEOF {
		t.Errorf("beyond the end: %v", err)
	}
	f.change = errors.New("changed")
	if err := s.ReadAt(p, 4); err != f.change {
		t.Errorf("beyond the end of a changed file: %v", err)
	}
	s.Prefetch(1, 2)
	s.(Dropper).Drop(2, 3)
	if err := s.(Copier).CopyTo(nil, 7, 3, 1); err != nil {
		t.Error(err)
	}
	mine := errors.New("mine")
	if err := View(s, make([]byte, 4), 2, func(p []byte) error {
		if string(p) != "view" {
			t.Errorf("a view of %q", p)
		}
		return mine
	}); err != mine {
		t.Error(err)
	}
	want := []int64{5, 2, -6, 3, 7, 7, 1, 6, 4}
	if len(f.hints) != len(want) {
		t.Fatalf("hints %v", f.hints)
	}
	for i := range want {
		if f.hints[i] != want[i] {
			t.Fatalf("hints %v, want %v", f.hints, want)
		}
	}

	plain := NewSection(strings.NewReader("0123"), 1)
	for _, s := range []Source{plain, struct{ Source }{plain}} { // a Viewer, and none
		if err := View(s, p[:2], 1, func(q []byte) error {
			if &q[0] != &p[0] || string(q) != "23" {
				t.Errorf("a view of %q", q)
			}
			return mine
		}); err != mine {
			t.Error(err)
		}
		if err := View(s, p, 2, func([]byte) error { t.Error("it was called"); return nil }); err != io.ErrUnexpectedEOF {
			t.Error(err)
		}
	}
	plain.Prefetch(0, 1)
	plain.Drop(0, 1)
	if err := plain.CopyTo(nil, 0, 0, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a file that cannot be copied: %v", err)
	}
}

func TestSniff(t *testing.T) {
	for in, want := range map[string]FileKind{
		"PK\x03\x04rest": ZipFile,
		"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20":         PickleFile,
		"\x80\x03\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20":         PickleFile,
		"\x80\x02\x00\x00\x00\x00\x00\x00{":                SafetensorsFile, // a header of 640 bytes
		"\x80\x06\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20":         UnknownFile,
		"GGUF\x03\x00\x00\x00":                             GGUFFile,
		"version https://git-lfs.github.com/spec/v1\n":     LFSPointer,
		"\x89HDF\r\n\x1a\n":                                HDF5File,
		" <!DOCTYPE html>":                                 WebPage,
		"<HTML>":                                           WebPage,
		"\x02\x00\x00\x00\x00\x00\x00\x00{}":               SafetensorsFile,
		"\x08\x00\x00\x00\x00\x00\x00\x00 \t{}    ":        SafetensorsFile,
		string(make([]byte, 257)) + "ustar" + "more bytes": TarFile,
		"<?xml version=":                                   XMLFile,
		"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03":         GzipFile,
		"\x93NUMPY\x01\x00":                                NumPyFile,
		`{"a": 1, "b": 2}`:                                 JSONFile,
		"Entry not found":                                  TextFile,
		"":                                                 UnknownFile, "\xff\xff\xff\xff\xff\xff\xff\xff{}": UnknownFile,
	} {
		if got := Sniff([]byte(in)); got != want {
			t.Errorf("Sniff(%.20q) = %v, want %v", in, got, want)
		}
	}
}
