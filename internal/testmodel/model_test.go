package testmodel_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/safetensors"
)

// The values of a model are those asked for, in files of the size asked for.
func TestMake(t *testing.T) {
	list, err := testmodel.Parse(1, "w{0..2}:F32:2x2:1,-2,0.5", "x:BF16:3:ramp", "m:BOOL:3:1,0", "n:F64:4:rand*0.1", "e:F16:0x4:1", "s:F8_E4M3:scalar:0.3", "h:I32:2:hole")
	if err != nil {
		t.Fatal(err)
	}
	dir := testmodel.Make(t, t.TempDir(), testmodel.Model{Tensors: list, Shard: 40, Config: "{}", Files: map[string]string{"a/b": "c"}})
	for name, want := range map[string]string{"config.json": "{}", "a/b": "c"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	var index struct {
		Metadata map[string]int64  `json:"metadata"`
		Map      map[string]string `json:"weight_map"`
	}
	b, err := os.ReadFile(filepath.Join(dir, "model.safetensors.index.json"))
	if err != nil || json.Unmarshal(b, &index) != nil || len(index.Map) != len(list) || index.Metadata["total_size"] != 98 {
		t.Fatalf("%v: %s", err, b)
	}
	got := map[string][]float64{}
	for _, l := range list {
		b, err := os.ReadFile(filepath.Join(dir, index.Map[l.Name]))
		if err != nil {
			t.Fatal(err)
		}
		h, err := safetensors.ReadHeader(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if h.Tensors[len(h.Tensors)-1].End > int64(len(b)) || h.Tensors[0].Bytes() > 40 {
			t.Errorf("%s: a shard of %d bytes", index.Map[l.Name], len(b))
		}
		i := slices.IndexFunc(h.Tensors, func(e safetensors.Tensor) bool { return e.Name == l.Name })
		if i < 0 || h.Tensors[i].DType != l.DType || !h.Tensors[i].SameShape(l.Info) {
			t.Fatalf("%s is not in %s, or not as it should be", l.Name, index.Map[l.Name])
		}
		for at := range l.Elems() {
			got[l.Name] = append(got[l.Name], testmodel.Float(l.DType, b[h.Tensors[i].Begin+at*int64(l.DType.Size()):]))
		}
	}
	for name, want := range map[string][]float64{"w0": {1, -2, 0.5, 1}, "w2": {1, -2, 0.5, 1}, "x": {0, 1, 2}, "m": {1, 0, 1}, "e": nil, "s": {0.3125}, "h": {0, 0}} {
		if !slices.Equal(got[name], want) {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	for _, v := range got["n"] {
		if math.Abs(v) > 0.6 || v == 0 {
			t.Errorf("n has %v", got["n"])
		}
	}
}

// Values of all sizes are made in the same way, whatever the blocks.
func TestNoise(t *testing.T) {
	for _, d := range []tensor.DType{tensor.BF16, tensor.F16, tensor.F32, tensor.F64, tensor.F8E4M3, tensor.F8E5M2} {
		info := tensor.Info{Name: "w", DType: d, Shape: []uint64{1001}}
		b := make([]byte, info.Bytes())
		testmodel.Noise(7)(info)(b)
		again := make([]byte, info.Bytes())
		next := testmodel.Noise(7)(info)
		next(again[:800])
		next(again[800:])
		if !bytes.Equal(b, again) {
			t.Errorf("%v: other bytes by blocks", d)
		}
		for ; len(b) > 0; b = b[d.Size():] {
			if v := math.Abs(testmodel.Float(d, b)); v < 1e-5 || v > 4 {
				t.Fatalf("%v: %v", d, v)
			}
		}
	}
}

// A .bin is an archive whose checksums are right, and ties share a storage.
func TestMakeBin(t *testing.T) {
	list, err := testmodel.Parse(1, "a:F32:1000:rand", "b:F32:1000:=a", "c:F16:9:hole")
	if err != nil {
		t.Fatal(err)
	}
	dir := testmodel.Make(t, t.TempDir(), testmodel.Model{Tensors: list, Bin: true})
	z, err := zip.OpenReader(filepath.Join(dir, "pytorch_model.bin"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var sizes []uint64
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		if filepath.Base(filepath.Dir(f.Name)) == "data" {
			sizes = append(sizes, f.UncompressedSize64)
		}
	}
	if !slices.Equal(sizes, []uint64{4000, 18}) {
		t.Errorf("storages of %v bytes", sizes)
	}
}

// Impossible models are errors.
func TestParseRefuses(t *testing.T) {
	for _, spec := range []string{"w:F32:2", "w:F33:2:1", "w:F32:y:1", "w:F32:2:x", "w:F32:2:rand*x", `\q:F32:2:1`} {
		if list, err := testmodel.Parse(1, spec); err == nil {
			t.Errorf("%s: %v", spec, list)
		}
	}
	m := testmodel.Model{Tensors: []testmodel.Tensor{{Tied: "none"}}, Bin: true}
	if err := m.Write(t.TempDir()); err == nil {
		t.Error("a tie to nothing is not refused")
	}
}
