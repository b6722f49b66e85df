package writer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"slerpmerge/internal/tensor"
)

// f32s are tensors t0, t1, ... of so many F32 elements each.
func f32s(elems ...uint64) []tensor.Info {
	var tensors []tensor.Info
	for i, n := range elems {
		tensors = append(tensors, tensor.Info{Name: fmt.Sprint("t", i), DType: tensor.F32, Shape: []uint64{n}})
	}
	return tensors
}

// The expectations follow from the rule in docs/formats.md 2.3, by hand.
func TestSplit(t *testing.T) {
	for _, c := range []struct {
		name  string
		sizes []int64
		want  [][]int32
	}{
		{"empty model", nil, [][]int32{nil}},
		{"one", []int64{10}, [][]int32{{0}}},
		{"exact fit", []int64{4, 6, 1}, [][]int32{{0, 1}, {2}}},
		{"one above the fit", []int64{4, 7}, [][]int32{{0}, {1}}},
		{"oversize alone", []int64{11}, [][]int32{{0}}},
		{"oversize first", []int64{11, 4, 4}, [][]int32{{0}, {1, 2}}},
		{"oversize in the middle: the open shard goes on", []int64{4, 11, 4}, [][]int32{{1}, {0, 2}}},
		{"oversize last: before the shard it follows", []int64{4, 4, 11}, [][]int32{{2}, {0, 1}}},
		{"two oversize", []int64{11, 12}, [][]int32{{0}, {1}}},
		{"not the best packing", []int64{6, 6, 2, 6, 2, 2}, [][]int32{{0}, {1, 2}, {3, 4, 5}}},
		{"zero elements fit a full shard", []int64{10, 0, 1}, [][]int32{{0, 1}, {2}}},
		{"nothing but zero elements", []int64{0, 0}, [][]int32{{0, 1}}},
		{"zero elements after oversize", []int64{11, 0}, [][]int32{{0}, {1}}},
	} {
		if got := split(c.sizes, nil, 10, modules(nil).hold); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: split(%v) = %v, want %v", c.name, c.sizes, got, c.want)
		}
	}
	if got, want := split([]int64{math.MaxInt64 / 4, 1}, nil, math.MaxInt64, modules(nil).hold), [][]int32{{0, 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("without limit: %v, want %v", got, want)
	}
}

func TestLayNamesAndSizes(t *testing.T) {
	// {"__metadata__":{"format":"pt"}} is 32 characters, and 8 for the length.
	const bare = 40
	// Each of t0, t1, ... adds `,"t0":{"dtype":"F32","shape":[n],"data_offsets":[b,e]}`: 51 characters and the digits of n, b and e.
	head := func(n int) int64 { return bare + int64(n+7)/8*8 }
	for _, c := range []struct {
		name  string
		elems []uint64
		limit int64
		files []string
		sizes []int64
	}{
		{"empty model", nil, 1, []string{"model.safetensors"}, []int64{bare}},
		{"one file", []uint64{2, 3}, 20, []string{"model.safetensors"}, []int64{head(51+1+1+1+51+1+1+2) + 20}},
		{"two files", []uint64{2, 3}, 19, []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"},
			[]int64{head(51+3) + 8, head(51+4) + 12}},
		{"no elements", []uint64{0}, 1, []string{"model.safetensors"}, []int64{head(51 + 3)}},
	} {
		l, err := NewLayout(f32s(c.elems...), nil, c.limit, Safetensors)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var files []string
		var sizes []int64
		var sum, total int64
		for _, f := range l.Files {
			files, sizes, sum = append(files, f.Name), append(sizes, f.Size), sum+f.Size
		}
		for _, n := range c.elems {
			total += 4 * int64(n)
		}
		if !slices.Equal(files, c.files) || !slices.Equal(sizes, c.sizes) {
			t.Errorf("%s: files %v of %v bytes, want %v of %v", c.name, files, sizes, c.files, c.sizes)
		}
		if (l.Index() != nil) != (len(c.files) > 1) || (l.IndexName == "model.safetensors.index.json") != (len(c.files) > 1) {
			t.Errorf("%s: index %q in %q", c.name, l.Index(), l.IndexName)
		}
		if l.TotalBytes != total || l.Bytes() != sum+int64(len(l.Index())) {
			t.Errorf("%s: total %d, all %d, want %d and %d", c.name, l.TotalBytes, l.Bytes(), total, sum+int64(len(l.Index())))
		}
		checkTiled(t, l, f32s(c.elems...))
	}
}

// checkTiled proves that fixed bytes and extents cover every file once, and
// that every tensor has one extent of its size.
func checkTiled(t *testing.T, l *Layout, tensors []tensor.Info) {
	t.Helper()
	seen := make([]int, len(tensors))
	for _, f := range l.Files {
		spans := []span{}
		for _, s := range f.Literals {
			spans = append(spans, span{s.Off, s.Off + int64(len(s.Data))})
		}
		last := int64(-1)
		for _, e := range f.Extents {
			if e.Off < last {
				t.Errorf("%s: extents are not in order", f.Name)
			}
			last = e.Off
			if e.Len != tensors[e.Tensor].Bytes() {
				t.Errorf("%s: tensor %d has %d bytes", f.Name, e.Tensor, e.Len)
			}
			seen[e.Tensor]++
			spans = append(spans, span{e.Off, e.Off + e.Len})
		}
		at := int64(0)
		for _, s := range spans {
			if s.off != at {
				t.Errorf("%s: a gap or an overlap at %d", f.Name, at)
			}
			at = s.end
		}
		if at != f.Size {
			t.Errorf("%s: covers %d of %d bytes", f.Name, at, f.Size)
		}
	}
	for i, n := range seen {
		if n != 1 {
			t.Errorf("tensor %d has %d extents", i, n)
		}
	}
}

// layModules lays tensors out whose names tell the folders of modules.
func layModules(t *testing.T, tensors []tensor.Info, limit int64, format Format) *Layout {
	t.Helper()
	l, err := NewTableLayout(Infos(tensors), nil, limit, format, Scheme{Folder: func(i int) string {
		folder, _, ok := strings.Cut(tensors[i].Name, "/")
		if !ok {
			return ""
		}
		return folder
	}})
	must(t, err)
	for i := range l.Files {
		must(t, l.MakeLiterals(&l.Files[i]))
	}
	return l
}

// Weights of modules are files of their own, of which the index of the others
// does not speak.
func TestLayModules(t *testing.T) {
	tensors := []tensor.Info{{Name: "2_Dense/w", DType: tensor.F32, Shape: []uint64{9}}, {Name: "3_Dense/w", DType: tensor.U8, Shape: []uint64{3}}, {Name: "a", DType: tensor.F32, Shape: []uint64{3}},
		{Name: "b/c", DType: tensor.F32, Shape: []uint64{4}}, {Name: "2_Dense/b", DType: tensor.F32, Shape: []uint64{2}}}
	for _, format := range []Format{Safetensors, Bin} {
		f := layers[format]
		folder := func(i int) string {
			if i < 2 || i == 4 {
				return tensors[i].Name[:7]
			}
			return ""
		}
		l, err := NewTableLayout(Infos(tensors), nil, 12, format, Scheme{Stem: "stem", Home: "0_T", Folder: folder})
		must(t, err)
		var names []string
		for i := range l.Files {
			must(t, l.MakeLiterals(&l.Files[i]))
			names = append(names, l.Files[i].Name)
		}
		want := []string{"0_T/stem-00001-of-00002" + f.ext, "0_T/stem-00002-of-00002" + f.ext, "2_Dense/" + f.stem + f.ext, "3_Dense/" + f.stem + f.ext}
		slices.Sort(names)
		if !slices.Equal(names, want) || l.IndexName != "0_T/stem"+f.ext+".index.json" || l.TotalBytes != 4*9+3+4*3+4*4+4*2 {
			t.Errorf("files %q, index %s, %d bytes", names, l.IndexName, l.TotalBytes)
		}
		index := string(l.Index())
		for _, text := range []string{`"total_size": 28`, `"total_parameters": 7`, `"a": "stem-0000`, `"b/c": "stem-0000`} {
			if !strings.Contains(index, text) {
				t.Errorf("%s is not in the index: %s", text, index)
			}
		}
		if strings.Contains(index, "Dense") {
			t.Errorf("modules are in the index: %s", index)
		}
		whole, err := NewTableLayout(Infos([]tensor.Info{{Name: "b", DType: tensor.F32, Shape: []uint64{2}}, {Name: "w", DType: tensor.F32, Shape: []uint64{9}}}), nil, 1<<20, format, Scheme{})
		must(t, err)
		for _, x := range l.Files {
			if x.Name == want[2] && (x.Size != whole.Files[0].Size || x.Tensors != 2) {
				t.Errorf("%s has %d bytes, without a folder %d", x.Name, x.Size, whole.Files[0].Size)
			}
		}
		if _, err := NewTableLayout(Infos(tensors), nil, 12, format, Scheme{Folder: func(int) string { return "2_Dense" }}); err == nil {
			t.Error("a tensor that is not called after its folder is accepted")
		}
		if format == Bin {
			if _, err := NewTableLayout(Infos(tensors), []int{0, 1, 2, 3, 0}, 12, format, Scheme{Folder: func(i int) string {
				if i == 0 {
					return "2_Dense"
				}
				return ""
			}}); err == nil {
				t.Error("bytes shared between files are accepted")
			}
		}
	}
}

func TestLayRefuses(t *testing.T) {
	ok := f32s(1)
	for name, c := range map[string]struct {
		tensors []tensor.Info
		limit   int64
		format  Format
	}{
		"twice":       {append(f32s(1), ok...), 10, Safetensors},
		"no limit":    {ok, 0, Safetensors},
		"format":      {ok, 10, 77},
		"overflow":    {f32s(math.MaxUint64, 2), 10, Safetensors},
		"half a byte": {[]tensor.Info{{Name: "x", DType: tensor.F4, Shape: []uint64{3}}}, 10, Safetensors},
		"too large":   {f32s(math.MaxInt64/16, 2), 10, Safetensors},
		"metadata":    {[]tensor.Info{{Name: "__metadata__", DType: tensor.F4}}, 10, Safetensors},
		"not UTF-8":   {[]tensor.Info{{Name: "\xff", DType: tensor.U8}}, 10, Safetensors},
	} {
		if l, err := NewLayout(c.tensors, nil, c.limit, c.format); err == nil {
			t.Errorf("%s: accepted, %d files", name, len(l.Files))
		}
	}
	if _, err := NewLayout(f32s(1<<62), nil, 10, Safetensors); !errors.Is(err, tensor.ErrOverflow) {
		t.Errorf("2^64 bytes: %v", err)
	}
}

// reference reads a folder that testdata/generate.py made: its tensors in the
// order of the model, their values, and its files.
func reference(t *testing.T, dir string) (tensors []tensor.Info, data [][]byte, files map[string][]byte) {
	t.Helper()
	types := map[string]tensor.DType{"bfloat16": tensor.BF16, "float16": tensor.F16, "float32": tensor.F32, "int64": tensor.I64, "bool": tensor.BOOL}
	files = map[string][]byte{}
	entries, err := os.ReadDir(filepath.Join("testdata", dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join("testdata", dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	order := string(files["order.txt"])
	delete(files, "order.txt")
	for line := range strings.Lines(order) {
		word := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)
		info := tensor.Info{Name: word[0]}
		var ok bool
		if info.DType, ok = types[word[1]]; !ok {
			t.Fatalf("type %s", word[1])
		}
		for d := range strings.SplitSeq(word[2], ",") {
			if d == "" {
				continue
			}
			n, err := strconv.ParseUint(d, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			info.Shape = append(info.Shape, n)
		}
		value := make([]byte, info.Bytes())
		for i := range value {
			value[i] = byte((i*7 + len([]rune(info.Name))) % 61)
		}
		switch info.Name {
		case "b":
			value = []byte{5, 0, 0, 0, 0, 0, 0, 0}
		case "mask":
			value = []byte{1, 0, 1}
		}
		tensors, data = append(tensors, info), append(data, value)
	}
	if len(tensors) == 0 {
		t.Fatal("no tensors")
	}
	return tensors, data, files
}

// Files published here are the reference libraries' files, byte for byte.
func TestReference(t *testing.T) {
	for _, c := range []struct {
		dir   string
		limit int64 // as in testdata/generate.py
		files int
		exact bool // of the index; huggingface_hub leaves out total_parameters, does not sort and ends without a newline
	}{
		{"single", 5e9, 1, true},
		{"sharded", 40, 6, false},
		{"llama", 100, 9, true},
	} {
		t.Run(c.dir, func(t *testing.T) {
			tensors, data, want := reference(t, c.dir)
			if len(want) != c.files {
				t.Fatalf("testdata has %d files, not %d", len(want), c.files)
			}
			l, err := NewLayout(tensors, nil, c.limit, Safetensors)
			if err != nil {
				t.Fatal(err)
			}
			checkTiled(t, l, tensors)
			out := filepath.Join(t.TempDir(), "out")
			o := create(t, out, Options{})
			must(t, o.Presize(t.Context(), l))
			fill(t, o, l, data, 16)
			must(t, o.Publish())
			got := readAll(t, out)
			if !c.exact {
				sameIndex(t, got[l.IndexName], want[l.IndexName])
				delete(got, l.IndexName)
				delete(want, l.IndexName)
			}
			if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
				t.Fatalf("files %v, want %v", g, w)
			}
			for name := range want {
				if !bytes.Equal(got[name], want[name]) {
					t.Errorf("%s differs:\n%q\n%q", name, got[name], want[name])
				}
			}
		})
	}
}

func sameIndex(t *testing.T, got, want []byte) {
	t.Helper()
	var g, w struct {
		Metadata struct {
			Size int64 `json:"total_size"`
		}
		Map map[string]string `json:"weight_map"`
	}
	if err := errors.Join(json.Unmarshal(got, &g), json.Unmarshal(want, &w)); err != nil {
		t.Fatal(err)
	}
	if len(w.Map) == 0 || !reflect.DeepEqual(g, w) {
		t.Errorf("index %+v, want %+v", g, w)
	}
}

func TestGaps(t *testing.T) {
	f := File{Size: 100, Literals: []Literal{{Off: 0, Data: make([]byte, 10)}, {Off: 50, Data: make([]byte, 5)}},
		Extents: []Extent{{Off: 10, Len: 30}, {Off: 40, Len: 10}, {Off: 55, Len: 45}}}
	must(t, checkTiles(&f))
	g := newGaps(&f)
	for _, c := range []struct {
		off, end int64
		ok       bool
		left     gaps
	}{
		{0, 1, false, gaps{{10, 50}, {55, 100}}},   // fixed
		{45, 56, false, gaps{{10, 50}, {55, 100}}}, // across fixed bytes
		{95, 101, false, gaps{{10, 50}, {55, 100}}},
		{-1, 3, false, gaps{{10, 50}, {55, 100}}},
		{30, 20, false, gaps{{10, 50}, {55, 100}}},
		{40, 40, true, gaps{{10, 50}, {55, 100}}},
		{10, 20, true, gaps{{20, 50}, {55, 100}}},
		{10, 20, false, gaps{{20, 50}, {55, 100}}}, // twice
		{30, 40, true, gaps{{20, 30}, {40, 50}, {55, 100}}},
		{25, 30, true, gaps{{20, 25}, {40, 50}, {55, 100}}},
		{40, 50, true, gaps{{20, 25}, {55, 100}}},
		{55, 100, true, gaps{{20, 25}}},
		{20, 25, true, gaps{}},
		{20, 25, false, gaps{}},
	} {
		if err := g.take(c.off, c.end); (err == nil) != c.ok || !slices.Equal(g, c.left) {
			t.Errorf("take(%d, %d): %v, left %v, want %v", c.off, c.end, err, g, c.left)
		}
	}
	for name, f := range map[string]File{
		"fixed bytes beyond the end": {Size: 4, Literals: []Literal{{Off: 0, Data: make([]byte, 5)}}},
		"a hole":                     {Size: 4, Extents: []Extent{{Len: 3}}},
		"an overlap":                 {Size: 4, Extents: []Extent{{Len: 3}, {Off: 2, Len: 2}}},
	} {
		if checkTiles(&f) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
