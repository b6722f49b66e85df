package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"slerpmerge/internal/tensor"
)

// file makes a file of a header and n bytes of data.
func file(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func read(b []byte) (*Header, error) { return ReadHeader(bytes.NewReader(b), int64(len(b))) }

// checkError makes sure that err may be shown as it is.
func checkError(t *testing.T, err error) {
	t.Helper()
	if _, ok := err.(*FormatError); !ok {
		t.Fatalf("%T instead of *FormatError: %v", err, err)
	}
	text := err.Error()
	if len(text) == 0 || len(text) > 2048 {
		t.Errorf("an error of %d bytes: %.200q", len(text), text)
	}
	for _, c := range []byte(text) {
		if c < ' ' || c > '~' {
			t.Fatalf("byte %#x in the error %q", c, text)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range verdicts {
		t.Run(c.id, func(t *testing.T) {
			h, err := read(file(c.header, c.data))
			if c.want == "" {
				if err != nil {
					t.Fatalf("refused: %v", err)
				}
				if want := int64(8 + len(c.header)); h.DataStart != want || h.Size() != want+int64(c.data) {
					t.Errorf("data from %d to %d, not from %d to %d", h.DataStart, h.Size(), want, want+int64(c.data))
				}
				return
			}
			if err == nil {
				t.Fatalf("accepted; wanted %q", c.want)
			}
			checkError(t, err)
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q does not contain %q", err, c.want)
			}
		})
	}
}

// Every number that is legal in an ignored member, and what is not.
func TestIgnoredNumbers(t *testing.T) {
	zeros := func(n int) string { return strings.Repeat("0", n) }
	// Half-way between the largest double and what would be the next.
	half := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 1024), new(big.Int).Lsh(big.NewInt(1), 970))
	below := new(big.Int).Sub(half, big.NewInt(1))
	for _, c := range []struct{ number, want string }{
		{"0", ""}, {"-0", ""}, {"-0.0e-0", ""}, {"12", ""}, {"0.5", ""}, {"1E5", ""}, {"1e+5", ""}, {"-1.25e-07", ""},
		{"18446744073709551616", ""}, {"1e308", ""}, {"-1e308", ""}, {"1e-400", ""}, {"0e999999999999999999999999", ""}, {"0.000e99999", ""},
		{"1.7976931348623157e308", ""},
		{"1.7976931348623158e308", ""}, // rounds down to the largest double
		{"1" + zeros(308), ""},         // digits instead of an exponent
		{"1" + zeros(600) + "e-600", ""},
		{"0." + zeros(600) + "1e600", ""},
		{"1." + zeros(1022), ""}, // 1024 bytes
		{"1." + zeros(1023), "a number of more than 1024 bytes"},
		{"1" + zeros(1024), "a number of more than 1024 bytes"},
		{"1." + zeros(1022) + "e", "a number of more than 1024 bytes"},
		{"1e-99999999999999999999", ""},
		{half.String(), "range"}, // ties go to even, here away from the range
		{below.String(), ""},
		{below.String() + "." + strings.Repeat("9", 600), ""},
		{half.String() + "." + zeros(600), "range"},
		{"1e309", "range"}, {"-1e309", "range"}, {"1e99999999999999999999", "range"}, {"1" + zeros(309), "range"}, {"0." + zeros(100) + "1e500", "range"},
		{"1" + zeros(70000), "a number of more than 1024 bytes"},
		{"01", "leading zero"}, {"-01", "leading zero"}, {"00", "leading zero"}, {"-", "expected a digit"}, {"+1", "expected a value"},
		{".5", "expected a value"}, {"1.", "expected a digit"}, {"1.e5", "expected a digit"}, {"1e", "expected a digit"}, {"1e+", "expected a digit"}, {"1e-x", "expected a digit"},
		{"0x10", "expected a comma"}, {"1_000", "expected a comma"}, {"Infinity", "expected a value"}, {"-Infinity", "expected a digit"}, {"--1", "expected a digit"},
	} {
		for _, format := range []string{`{"a":{` + one + `,"x":N}}`, `{"a":{` + one + `,"x":[0,N]}}`} {
			_, err := read(file(strings.Replace(format, "N", c.number, 1), 4))
			switch {
			case c.want == "" && err != nil:
				t.Errorf("%.40s refused: %v", c.number, err)
			case c.want != "" && err == nil:
				t.Errorf("%.40s accepted", c.number)
			case c.want != "" && !strings.Contains(err.Error(), c.want):
				t.Errorf("%.40s: %q does not contain %q", c.number, err, c.want)
			case c.want != "":
				checkError(t, err)
			}
		}
	}
}

func TestEveryDType(t *testing.T) {
	n := 0
	for d := tensor.BOOL; d.String() != "invalid dtype"; d++ {
		n++
		size := 8 * d.Bits() / 8
		h, err := read(file(`{"a":{"dtype":"`+d.String()+`","shape":[2,4],"data_offsets":[0,`+strconv.Itoa(size)+`]}}`, size))
		if err != nil {
			t.Errorf("%v: %v", d, err)
			continue
		}
		if got := h.Tensors[0]; got.DType != d || !slices.Equal(got.Shape, []uint64{2, 4}) || got.End-got.Begin != int64(size) {
			t.Errorf("%v: read as %+v", d, got)
		}
	}
	if n != 22 {
		t.Errorf("%d types instead of the format's 22", n)
	}
}

func TestLengths(t *testing.T) {
	length := func(n uint64, rest string) []byte { return append(binary.LittleEndian.AppendUint64(nil, n), rest...) }
	for _, c := range []struct {
		id   string
		file []byte
		want string
	}{
		{"a01-empty-file", nil, "the file is empty"},
		{"a02-seven-bytes", make([]byte, 7), "a file of 7 bytes is too short"},
		{"a04-length-zero", length(0, ""), "expected an object but found the end"},
		{"a05-length-zero-data", length(0, "{}34567890123456"), "expected an object but found the end"},
		{"a06-beyond-file", length(3, "{}"), "the header of 3 bytes does not fit in a file of 10"},
		{"a07-length-max", length(1<<64-1, "{}"), "would be 18446744073709551615, more than 100000000"},
		{"a08-length-max-8", length(1<<64-8, "{}"), "would be 18446744073709551608, more than 100000000"},
		{"a09-length-2-63", length(1<<63, "{}"), "would be 9223372036854775808, more"},
		{"p02-one-more", length(MaxHeader+1, "{}"), "would be 100000001, more than 100000000"},
		{"largest-beyond-file", length(MaxHeader, "{}"), "the header of 100000000 bytes does not fit in a file of 10"},
		{"lfs", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), "Git LFS pointer"},
		{"html", []byte("<!DOCTYPE html><html></html>"), "a web page"},
		{"gguf", []byte("GGUF\x03\x00\x00\x00\x00\x00\x00\x00"), "a GGUF file"},
		{"zip", []byte("PK\x03\x04\x00\x00\x08\x08\x00\x00"), "a zip archive"},
		{"pickle", []byte("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."), "a pickle"},
		{"gzip", []byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"), "a gzip archive"},
		{"json", []byte(`{"a": 1, "b": 2}`), "JSON without the length"},
		{"text", []byte("Entry not found"), "looks like text"},
		{"short-text", []byte("404"), "a file of 3 bytes is too short to hold the length of a header (the file looks like text)"},
	} {
		_, err := read(c.file)
		if err == nil {
			t.Errorf("%s accepted", c.id)
			continue
		}
		checkError(t, err)
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %q does not contain %q", c.id, err, c.want)
		}
	}
	if _, err := read(length(1<<40, "\x00\x01")); strings.Contains(err.Error(), "looks like") {
		t.Errorf("binary data look like something: %v", err)
	}
}

func TestOrder(t *testing.T) {
	h, err := read(file(`{"__metadata__":{"k\u00e9":"v\n"},
		"z":{"dtype":"F32","shape":[0,3],"data_offsets":[4,4]},
		"c":{"dtype":"U8","shape":[2],"data_offsets":[8,10]},
		"b":{"dtype":"I32","shape":[],"data_offsets":[4,8]},
		"y":{"dtype":"F16","shape":[0],"data_offsets":[4,4]},
		"d":{"dtype":"U8","shape":[0],"data_offsets":[10,10]},
		"a":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]}}`, 10))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range h.Tensors {
		got = append(got, x.Name)
	}
	if want := []string{"a", "z", "y", "b", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("the order is %q, not %q", got, want)
	}
	a := h.Tensors[0]
	if a.DType != tensor.BF16 || !slices.Equal(a.Shape, []uint64{2, 1}) || a.Begin != h.DataStart || a.End != h.DataStart+4 {
		t.Errorf("a is %+v with data from %d", a, h.DataStart)
	}
	if len(h.Metadata) != 1 || h.Metadata["ké"] != "v\n" {
		t.Errorf("the metadata are %q", h.Metadata)
	}
}

func TestMetadataNil(t *testing.T) {
	for header, want := range map[string]bool{`{}`: true, `{"__metadata__":null}`: true, `{"__metadata__":{}}`: false} {
		h, err := read(file(header, 0))
		if err != nil || (h.Metadata == nil) != want {
			t.Errorf("%s: %v, %v", header, h, err)
		}
	}
}

// The result must not depend on how the text falls on the windows.
func TestWindows(t *testing.T) {
	odd := `"\ud83d\ude00é` + "\U0001f600" + `\"":{"dtype":"F\u00332","shape" :[0,18446744073709551615],"x":[-12.5e-10,true,null,"\u00e9"],"data_offsets":[4,4]}`
	for pad := windowSize - len(odd) - 40; pad < windowSize+10; pad++ {
		for _, spaces := range []bool{true, false} {
			fill := strings.Repeat(" ", pad)
			if !spaces {
				fill = `"` + strings.Repeat("p", pad) + `":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},`
			}
			h, err := read(file(`{`+fill+oneA+`,`+odd+`}`, 4))
			if err != nil {
				t.Fatalf("pad %d: %v", pad, err)
			}
			last := h.Tensors[len(h.Tensors)-1]
			if last.Name != "\U0001f600é\U0001f600\"" || last.DType != tensor.F32 || !slices.Equal(last.Shape, []uint64{0, 1<<64 - 1}) {
				t.Fatalf("pad %d: read as %+v", pad, last)
			}
			if !spaces && h.Tensors[0].Name != fill[1:pad+1] {
				t.Fatalf("pad %d: the name of the padding is wrong", pad)
			}
		}
	}
}

func TestLongTexts(t *testing.T) {
	for _, n := range []int{windowSize/16 - 1, windowSize / 16, windowSize/16 + 1, windowSize - 2, windowSize, 3*windowSize + 5} {
		plain := strings.Repeat("x", n)
		h, err := read(file(`{"__metadata__":{"`+plain+`k":"`+strings.Repeat(`\u00e9`, n)+`"},"`+plain+`":{`+one+`}}`, 4))
		if err != nil {
			t.Fatal(err)
		}
		if h.Tensors[0].Name != plain || h.Metadata[plain+"k"] != strings.Repeat("é", n) {
			t.Errorf("texts of %d characters are read wrongly", n)
		}
	}
}

func TestRanks(t *testing.T) {
	header := func(n int) string {
		return `{"a":{"dtype":"U8","shape":[` + strings.Repeat("1,", n-1) + `1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[7,0],"data_offsets":[1,1]}}`
	}
	h, err := read(file(header(MaxRank), 1))
	if err != nil {
		t.Fatal(err)
	}
	if a, b := h.Tensors[0], h.Tensors[1]; len(a.Shape) != MaxRank || a.Shape[MaxRank-1] != 1 || !slices.Equal(b.Shape, []uint64{7, 0}) {
		t.Errorf("%d dimensions, then %v", len(a.Shape), b.Shape)
	}
	_, err = read(file(header(MaxRank+1), 1))
	if err == nil {
		t.Fatal("accepted")
	}
	checkError(t, err)
}

// Shapes share memory; appending to one must not change another.
func TestShapesApart(t *testing.T) {
	h, err := read(file(`{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[5,0],"data_offsets":[0,0]}}`, 0))
	if err != nil {
		t.Fatal(err)
	}
	_ = append(h.Tensors[0].Shape, 9)
	if !slices.Equal(h.Tensors[1].Shape, []uint64{5, 0}) {
		t.Errorf("the shape of b became %v", h.Tensors[1].Shape)
	}
}

type failing struct {
	io.ReaderAt
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		n, _ := f.ReaderAt.ReadAt(p[:max(0, f.from-off)], off)
		return n, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// A disk that fails and a file that shrinks are not defects of the format.
func TestReadErrors(t *testing.T) {
	whole := file(`{`+oneA+`}`+strings.Repeat(" ", 2*windowSize), 4)
	index := []byte(`{"weight_map":{"a":"a.bin"}}` + strings.Repeat(" ", 2*windowSize))
	for _, c := range []struct{ give, want error }{{iotest.ErrTimeout, iotest.ErrTimeout}, {io.EOF, io.ErrUnexpectedEOF}, {nil, io.ErrUnexpectedEOF}} {
		for _, from := range []int64{0, 5, 9, 30, 62, 100, windowSize + 8, windowSize + 9} {
			_, err := ReadHeader(failing{bytes.NewReader(whole), from, c.give}, int64(len(whole)))
			var e *FormatError
			if !errors.Is(err, c.want) || errors.As(err, &e) {
				t.Errorf("header, %v from %d: %v", c.give, from, err)
			}
			_, err = ReadIndex(failing{bytes.NewReader(index), from, c.give}, int64(len(index)), ".bin")
			if !errors.Is(err, c.want) || errors.As(err, &e) {
				t.Errorf("index, %v from %d: %v", c.give, from, err)
			}
		}
	}
	if _, err := ReadHeader(eager{bytes.NewReader(whole)}, int64(len(whole))); err != nil {
		t.Errorf("io.EOF together with the last byte: %v", err)
	}
}

// eager tells the end together with the last byte, as io.ReaderAt may.
type eager struct{ r *bytes.Reader }

func (r eager) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.r.ReadAt(p, off)
	if off+int64(n) == r.r.Size() {
		err = io.EOF
	}
	return n, err
}

// A text of many megabytes is in memory once.
func TestLongTextOnce(t *testing.T) {
	name, value := strings.Repeat("n", 8<<20), strings.Repeat("v", 8<<20)
	b := file(`{"__metadata__":{"k":"`+value+`"},"`+name+`":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h, err := read(b)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	if h.Tensors[0].Name != name || h.Metadata["k"] != value {
		t.Error("the texts are others")
	}
	if n, most := after.TotalAlloc-before.TotalAlloc, uint64(len(name)+len(value)+1<<20); n > most {
		t.Errorf("%d bytes were allocated, more than %d", n, most)
	}
}
