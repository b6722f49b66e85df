package safetensors

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

func readIndex(b []byte, ext string) (Index, error) {
	return ReadIndex(bytes.NewReader(b), int64(len(b)), ext)
}

// The files are what huggingface_hub and transformers wrote, names.index.json
// what Python's json module made as transformers calls it.
func TestIndexAsReference(t *testing.T) {
	for _, c := range []struct {
		file       string
		ext        string
		tensors    int
		shards     int
		size       int64
		parameters int64
		same       bool
	}{
		{"transformers.index.json", ".safetensors", 12, 3, 2656, 664, true},
		{"names.index.json", ".safetensors", 23, 8, 736, 0, true},
		{"hub.index.json", ".safetensors", 23, 8, 736, 0, false}, // not sorted
		{"hub-bin.index.json", ".bin", 2, 2, 68, 0, false},
	} {
		b, err := os.ReadFile("testdata/" + c.file)
		if err != nil {
			t.Fatal(err)
		}
		x, err := readIndex(b, c.ext)
		if err != nil {
			t.Errorf("%s: %v", c.file, err)
			continue
		}
		if len(x) != c.tensors || len(x.Files()) != c.shards {
			t.Errorf("%s: %d tensors in %d shards", c.file, len(x), len(x.Files()))
		}
		slices.Reverse(x) // the order given must not matter
		got, err := x.Encode(c.size, c.parameters)
		if err != nil || bytes.Equal(got, b) != c.same {
			t.Errorf("%s: %v\n%s", c.file, err, got)
		}
	}
}

func TestIndexLookup(t *testing.T) {
	x, err := readIndex([]byte(`{"weight_map":{"b":"2.bin","a":"1.bin","":"2.bin"}}`), ".bin")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a": "1.bin", "b": "2.bin", "": "2.bin", "c": "", "0": ""} {
		if got, ok := x.File(name); got != want || ok != (want != "") {
			t.Errorf("File(%q) = %q, %v", name, got, ok)
		}
	}
	if got := x.Files(); !slices.Equal(got, []string{"1.bin", "2.bin"}) {
		t.Errorf("Files() = %q", got)
	}
}

func TestIndexVerdicts(t *testing.T) {
	const m = `"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}`
	for _, c := range []struct{ id, text, want string }{
		{"j01-not-json", "weights: 2\n", "expected an object but found 'w' at byte 0 of the index"},
		{"j02-empty", "", "expected an object but found the end"},
		{"j03-array", `[{"a":"m-1.safetensors"}]`, "expected an object but found '['"},
		{"j04-no-map", `{"metadata":{"total_size":64}}`, "has no weight_map"},
		{"j05-map-null", `{"weight_map":null}`, "weight_map: expected an object"},
		{"j06-map-list", `{"weight_map":["m.safetensors"]}`, "weight_map: expected an object"},
		{"j07-value-int", `{"weight_map":{"a":1}}`, `weight_map: tensor "a": expected a string`},
		{"j08-value-null", `{"weight_map":{"a":null}}`, `weight_map: tensor "a": expected a string`},
		{"j10-value-object", `{"weight_map":{"a":{"file":"m.safetensors"}}}`, `weight_map: tensor "a": expected a string`},
		{"j11-dup-tensor", `{"weight_map":{"a":"m-1.safetensors","b":"m-1.safetensors","\u0061":"m-2.safetensors"}}`, `weight_map: the tensor "a" occurs twice`},
		{"j11-dup-tensor-same-file", `{"weight_map":{"a":"m.safetensors","a":"m.safetensors"}}`, `the tensor "a" occurs twice`},
		{"j12-dup-map", `{` + m + `,` + m + `}`, `"weight_map" occurs twice`},
		{"j12-dup-metadata", `{"metadata":{},"metadata":{},` + m + `}`, `"metadata" occurs twice`},
		{"j13-bom", "\xef\xbb\xbf{" + m + "}", "found byte 0xef"},
		{"j14-bad-utf8", "{\"weight_map\":{\"a\xff\":\"m.safetensors\"}}", "invalid UTF-8"},
		{"j16-cut", `{"weight_map":{"a":"m.saf`, "a string that does not end"},
		{"j17-trailing", `{` + m + `}{}`, "expected nothing more"},
		{"j18-trailing-comma", `{` + m + `,}`, "expected a string"},
		{"j24-deep-metadata", `{` + m + `,"metadata":` + strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200) + `}`, "more than 127"},
		{"j25-many-members", `{` + strings.Repeat(`"`+`$":0,`, 1025) + m + `}`, "more than 1024 members"},
		{"m06-empty-map", `{"metadata":{"total_size":64},"weight_map":{}}`, "weight_map of the index is empty"},
		{"s02-two-shards", "{\"metadata\":{\"total_size\":64}," + m + "}\n", ""},
		{"s06-no-metadata", `{` + m + `}`, ""},
		{"s07-float-total", `{"metadata":{"total_size":1.5e10,"x":[null]},` + m + `}`, ""},
		{"s08-extra-keys", `{"extra":[1,2],"version":"x",` + m + `,"metadata":null}`, ""},
		{"s11-spaces", " \r\n\t{ " + m + " } \n", ""},
	} {
		text := c.text
		for i := 0; strings.Contains(text, "$"); i++ {
			text = strings.Replace(text, "$", strings.Repeat("k", i), 1)
		}
		x, err := readIndex([]byte(text), ".safetensors")
		if c.want == "" {
			if err != nil || len(x) != 2 {
				t.Errorf("%s: %v, %v", c.id, x, err)
			}
			continue
		}
		if err == nil {
			t.Errorf("%s accepted", c.id)
			continue
		}
		checkError(t, err)
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q does not contain %q", c.id, err, c.want)
		}
	}
}

func TestShardNames(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{`model-00001-of-00002.safetensors`, ""},
		{`weights_a.safetensors`, ""},
		{`.safetensors`, ""},
		{`m.fp16.safetensors`, ""},
		{`mödel 1.safetensors`, ""},
		{strings.Repeat("x", 243) + `.safetensors`, ""},
		{strings.Repeat("x", 244) + `.safetensors`, "too long"},
		{strings.Repeat("x", 1<<20) + `.safetensors`, "too long"},
		{``, "is empty"},
		{`.`, "does not end in"},
		{`..`, "not a plain file name"},
		{`../outside.safetensors`, "another folder"},
		{`/etc/x.safetensors`, "another folder"},
		{`sub/x.safetensors`, "another folder"},
		{`./x.safetensors`, "another folder"},
		{`x.safetensors/`, "another folder"},
		{`sub\\x.safetensors`, "another folder"},
		{`\\\\server\\share\\x.safetensors`, "another folder"},
		{`\\u002e\\u002e\\u002fx.safetensors`, "another folder"},
		{`\u002e\u002e\u002fx.safetensors`, "another folder"},
		{`..x.safetensors`, "not a plain file name"},
		{`x..safetensors`, "not a plain file name"},
		{`C:\\x.safetensors`, "another folder"},
		{`C:x.safetensors`, "not a plain file name"},
		{`https://host/x.safetensors`, "another folder"},
		{`x.safetensors:stream`, "not a plain file name"},
		{`x\u0000.safetensors`, "control character"},
		{`x.safetensors\u0000`, "control character"},
		{`x\n.safetensors`, "control character"},
		{`pytorch_model.bin`, "does not end in .safetensors"},
		{`model.safetensors.index.json`, "does not end in .safetensors"},
		{`x.SAFETENSORS`, "does not end in .safetensors"},
		{`x.safetensors `, "does not end in .safetensors"},
	} {
		_, err := readIndex([]byte(`{"weight_map":{"a":"`+c.name+`"}}`), ".safetensors")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%.60q refused: %v", c.name, err)
		case c.want != "" && err == nil:
			t.Errorf("%.60q accepted", c.name)
		case c.want != "":
			checkError(t, err)
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.60q: %q does not contain %q", c.name, err, c.want)
			}
		}
	}
}

func TestIndexTooLarge(t *testing.T) {
	_, err := ReadIndex(nil, MaxIndex+1, ".bin") // refused before anything is read
	if err == nil {
		t.Fatal("accepted")
	}
	checkError(t, err)
}

func TestIndexEncodeRefuses(t *testing.T) {
	for _, x := range []Index{{{"a", "1"}, {"b", "1"}, {"a", "2"}}, {{"a\xff", "1"}}, {{"a", "\xff"}}} {
		if b, err := x.Encode(1, 1); err == nil {
			t.Errorf("%q became %s", x, b)
		}
	}
}

func TestIndexEncodeEmpty(t *testing.T) {
	b, err := Index(nil).Encode(0, 0)
	if want := "{\n  \"metadata\": {\n    \"total_size\": 0\n  },\n  \"weight_map\": {}\n}\n"; err != nil || string(b) != want {
		t.Errorf("%s, %v", b, err)
	}
}
