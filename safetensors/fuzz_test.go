package safetensors

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// seeds adds the files of testdata with one of the endings.
func seeds(f *testing.F, pattern string, add func([]byte)) {
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds %s: %v", pattern, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		add(b)
	}
}

// What is accepted can be written and read again; what is refused is refused
// as a defect of the file, in a line that can be shown, and soon.
func FuzzReadHeader(f *testing.F) {
	seeds(f, "*.safetensors", func(b []byte) { f.Add(b) })
	for _, c := range verdicts {
		if len(c.header) < 4<<10 { // long ones are slow to make shorter
			f.Add(file(c.header, c.data))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		start := time.Now()
		h, err := read(b)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%d bytes took %v", len(b), d)
		}
		if err != nil {
			checkError(t, err)
			return
		}
		if h.Size() != int64(len(b)) {
			t.Errorf("the tensors end at %d of %d", h.Size(), len(b))
		}
		// Another decoder, lenient, must see the same tensors at the least.
		var other map[string]json.RawMessage
		if err := json.Unmarshal(b[8:h.DataStart], &other); err != nil {
			t.Fatalf("accepted, but no JSON: %v", err)
		}
		delete(other, metadataName)
		if len(other) != len(h.Tensors) {
			t.Errorf("%d tensors, %d for encoding/json", len(h.Tensors), len(other))
		}
		for i := range h.Tensors {
			if _, ok := other[h.Tensors[i].Name]; !ok {
				t.Errorf("encoding/json does not see %q", h.Tensors[i].Name)
			}
		}
		roundTrip(t, h)
	})
}

func FuzzReadIndex(f *testing.F) {
	seeds(f, "*.index.json", func(b []byte) { f.Add(b, strings.Contains(string(b), ".bin")) })
	f.Add([]byte(`{"weight_map":{"\ud83d\ude00":"a.bin"},"x":[1e3,null]}`), true)
	f.Fuzz(func(t *testing.T, b []byte, bin bool) {
		ext := ".safetensors"
		if bin {
			ext = ".bin"
		}
		x, err := readIndex(b, ext)
		if err != nil {
			checkError(t, err)
			return
		}
		for _, file := range x.Files() {
			if file != filepath.Base(file) || !strings.HasSuffix(file, ext) || strings.ContainsAny(file, "/\\:\x00") {
				t.Errorf("accepted the shard %q", file)
			}
		}
		if !json.Valid(b) {
			t.Fatal("accepted, but no JSON")
		}
		for _, e := range x {
			if got, ok := x.File(e.Name); !ok || got != e.File {
				t.Errorf("File(%q) = %q", e.Name, got)
			}
		}
		text, err := x.Encode(int64(len(x)), 0)
		if err != nil {
			t.Fatalf("accepted, but cannot be encoded: %v", err)
		}
		again, err := readIndex(text, ext)
		if err != nil || len(again) != len(x) {
			t.Fatalf("what Encode made is refused: %v", err)
		}
		for i := range x {
			if x[i] != again[i] {
				t.Errorf("%q became %q", x[i], again[i])
			}
		}
	})
}
