package safetensors

import (
	"bytes"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/tensor"
)

func infos(h *Header) []tensor.Info {
	var list []tensor.Info
	for _, t := range h.Tensors {
		list = append(list, t.Info)
	}
	return list
}

// The files are what the reference library wrote (testdata/reference.py).
func TestEncodeAsReference(t *testing.T) {
	for name, want := range map[string]int{"empty": 0, "empty-pt": 0, "mixed": 39, "names": 23, "shapes": 7} {
		b, err := os.ReadFile(filepath.Join("testdata", name+".safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		h, err := read(b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(h.Tensors) != want {
			t.Errorf("%s: %d tensors instead of %d", name, len(h.Tensors), want)
		}
		list := infos(h)
		slices.Reverse(list) // the order given must not matter
		l, err := Encode(list, h.Metadata)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(l.Header, b[:h.DataStart]) {
			t.Errorf("%s:\n%q, the reference wrote\n%q", name, l.Header, b[:h.DataStart])
		}
		if l.Size != int64(len(b)) {
			t.Errorf("%s: size %d instead of %d", name, l.Size, len(b))
		}
		for i, place := range l.Order {
			if ref := h.Tensors[i]; list[place].Name != ref.Name || l.Offsets[place] != ref.Begin {
				t.Errorf("%s: %q at %d instead of %q at %d", name, list[place].Name, l.Offsets[place], ref.Name, ref.Begin)
			}
		}
	}
}

// Without tensors and with empty metadata the reference writes no JSON.
func TestEncodeEmptyMetadata(t *testing.T) {
	b, err := os.ReadFile("testdata/bad-empty-metadata.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := read(b); err == nil {
		t.Error("the reference's broken file is accepted")
	} else {
		checkError(t, err)
	}
	l, err := Encode(nil, map[string]string{})
	if want := "\x18\x00\x00\x00\x00\x00\x00\x00" + `{"__metadata__":{}}     `; err != nil || string(l.Header) != want {
		t.Errorf("%v, %v", l, err)
	}
}

func TestEncodeSortsMetadata(t *testing.T) {
	l, err := Encode(nil, map[string]string{"b": "2", "a": "1", "": "0", "é": "3"})
	if err != nil || !strings.Contains(string(l.Header), `{"":"0","a":"1","b":"2","é":"3"}`) {
		t.Errorf("%v, %v", l, err)
	}
}

func TestEncodeRefuses(t *testing.T) {
	u8 := func(name string, shape ...uint64) tensor.Info {
		return tensor.Info{Name: name, DType: tensor.U8, Shape: shape}
	}
	long := strings.Repeat("x", MaxHeader/2)
	for want, c := range map[string]struct {
		tensors  []tensor.Info
		metadata map[string]string
	}{
		"name __metadata__":         {[]tensor.Info{u8("__metadata__")}, nil},
		`"a" occurs twice`:          {[]tensor.Info{u8("a"), u8("b"), u8("a", 2)}, nil},
		`name "a\xff" is not UTF-8`: {[]tensor.Info{u8("a\xff")}, nil},
		`metadata "k" is not UTF-8`: {nil, map[string]string{"k": "\xff"}},
		`metadata "\xff" is not`:    {nil, map[string]string{"\xff": ""}},
		"not fit 64 bits":           {[]tensor.Info{u8("a", math.MaxUint64, 2)}, nil},
		"whole bytes":               {[]tensor.Info{{Name: "a", DType: tensor.F4, Shape: []uint64{1}}}, nil},
		"exceed 2^63-1":             {[]tensor.Info{u8("a", math.MaxUint64/8), u8("b", math.MaxUint64/8), u8("c", math.MaxUint64/8), u8("d", math.MaxUint64/8)}, nil},
		"longer than 100000000":     {[]tensor.Info{u8(long + "1"), u8(long + "2"), u8("a")}, nil},
	} {
		_, err := Encode(c.tensors, c.metadata)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200v does not contain %q", err, want)
		}
	}
}

// The longest header that Encode makes is one that ReadHeader takes.
func TestEncodeLongest(t *testing.T) {
	if testing.Short() {
		t.Skip("100 MB")
	}
	rest := len(`{"":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`)
	name := strings.Repeat("x", MaxHeader-rest)
	if _, err := Encode([]tensor.Info{{Name: name + "x", DType: tensor.U8}}, nil); err == nil {
		t.Error("one byte more is accepted")
	}
	l, err := Encode([]tensor.Info{{Name: name, DType: tensor.U8}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := ReadHeader(bytes.NewReader(append(l.Header, 0)), l.Size); err != nil || h.Tensors[0].Name != name {
		t.Errorf("not read back: %v", err)
	}
}

// roundTrip encodes what has been read, and reads that.
func roundTrip(t *testing.T, h *Header) {
	t.Helper()
	list := infos(h)
	l, err := Encode(list, h.Metadata)
	if err != nil {
		t.Fatalf("accepted, but cannot be encoded: %v", err)
	}
	again, err := ReadHeader(headerOnly(l.Header), l.Size)
	if err != nil {
		t.Fatalf("what Encode made is refused: %v\n%.2000q", err, l.Header)
	}
	if !maps.Equal(h.Metadata, again.Metadata) || (h.Metadata == nil) != (again.Metadata == nil) {
		t.Errorf("metadata %q became %q", h.Metadata, again.Metadata)
	}
	if len(again.Tensors) != len(list) || again.Size() != l.Size {
		t.Fatalf("%d tensors in %d bytes became %d in %d", len(list), l.Size, len(again.Tensors), again.Size())
	}
	for i, place := range l.Order {
		a, b := &h.Tensors[place], &again.Tensors[i]
		if a.Name != b.Name || a.DType != b.DType || !a.SameShape(b.Info) || a.End-a.Begin != b.End-b.Begin || l.Offsets[place] != b.Begin {
			// Tensors without elements at one place may change places.
			if a.Begin != a.End || b.Begin != b.End {
				t.Errorf("%+v became %+v", *a, *b)
			}
		}
	}
	if h.Size()-h.DataStart != l.Size-int64(len(l.Header)) {
		t.Errorf("%d bytes of data became %d", h.Size()-h.DataStart, l.Size-int64(len(l.Header)))
	}
}

// headerOnly is a file of which only the header can be read, and zeros behind.
type headerOnly []byte

func (b headerOnly) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(b)) {
		copy(p, b[off:])
	}
	return len(p), nil
}

func TestRoundTrip(t *testing.T) {
	n := 0
	for _, c := range verdicts {
		if c.want != "" {
			continue
		}
		n++
		h, err := read(file(c.header, c.data))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(c.id, func(t *testing.T) { roundTrip(t, h) })
	}
	if n < 30 {
		t.Errorf("only %d files", n)
	}
}
