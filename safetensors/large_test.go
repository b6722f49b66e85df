package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A made file has a header of pieces of equal length, so that none needs to be
// stored: head, then n pieces, then tail, then zeros.
type made struct {
	head  string
	n     int
	width int
	piece func(dst []byte, i int) []byte // appends; spaces fill up to width
	tail  string
	size  int64

	buf []byte
}

func (m *made) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > m.size {
		return 0, io.EOF
	}
	clear(p)
	copyPart(p, off, []byte(m.head), 0)
	start := int64(len(m.head))
	end := start + int64(m.n)*int64(m.width)
	for i := max(0, (off-start)/int64(m.width)); i < int64(m.n) && start+i*int64(m.width) < off+int64(len(p)); i++ {
		m.buf = m.piece(m.buf[:0], int(i))
		if len(m.buf) > m.width {
			panic(fmt.Sprintf("a piece of %d bytes: %s", len(m.buf), m.buf))
		}
		for len(m.buf) < m.width {
			m.buf = append(m.buf, ' ')
		}
		copyPart(p, off, m.buf, start+i*int64(m.width))
	}
	copyPart(p, off, []byte(m.tail), end)
	return len(p), nil
}

// copyPart copies to p, which stands at off, what it shares with text at at.
func copyPart(p []byte, off int64, text []byte, at int64) {
	if at < off {
		text = text[min(int64(len(text)), off-at):]
		at = off
	}
	if at-off < int64(len(p)) {
		copy(p[at-off:], text)
	}
}

// makeHeader makes a header of n bytes around pieces.
func makeHeader(n int64, data int64, head string, pieces, width int, piece func([]byte, int) []byte, tail string) *made {
	head = string(binary.LittleEndian.AppendUint64(nil, uint64(n))) + head
	left := 8 + n - int64(len(head)) - int64(pieces)*int64(width) - int64(len(tail))
	if left < 0 {
		panic(fmt.Sprintf("the header is %d bytes too short", -left))
	}
	return &made{head: head, n: pieces, width: width, piece: piece, tail: strings.Repeat(" ", int(left)) + tail, size: 8 + n + data}
}

// repeat is a piece of nothing but text.
func repeat(text string) func([]byte, int) []byte {
	return func(dst []byte, _ int) []byte { return append(dst, text...) }
}

// number is a piece with 8 digits for i between two texts.
func number(before string, value func(i int) int, behind string) func([]byte, int) []byte {
	return func(dst []byte, i int) []byte {
		dst = append(dst, before...)
		at := len(dst)
		dst = append(strconv.AppendInt(dst, int64(100_000_000+value(i)), 10), behind...)
		return append(dst[:at], dst[at+1:]...)
	}
}

func same(i int) int { return i }

const (
	manyTensors = 1_067_844 // as in the reference measurement of 1.2 in the project's notes
	manyWidth   = 93
	fewTensors  = manyTensors / 10
)

// tensors makes a header of n tensors, of exactly MaxHeader bytes for manyTensors;
// order says which place in the data the i-th has.
func tensors(n int, order func(i int) int) *made {
	return makeHeader(MaxHeader-int64(manyTensors-n)*manyWidth, int64(n)*8, "{", n, manyWidth, func(dst []byte, i int) []byte {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = number(`"model.layer.`, same, `.bias":{"dtype":"BF16","shape":[2,2],"data_offsets":[`)(dst, i)
		at := int64(8 * order(i))
		dst = append(strconv.AppendInt(dst, at, 10), ',')
		return append(strconv.AppendInt(dst, at+8, 10), "]}"...)
	}, "}")
}

var large = map[string]struct {
	file    *made
	tensors int
	want    string
	most    uint64 // bytes allocated in total
}{
	"padding":      {makeHeader(MaxHeader, 4, "{"+oneA+"}", 99_000, 1_000, repeat(""), ""), 1, "", 1 << 20},
	"padding only": {makeHeader(MaxHeader, 0, "", 99_000, 1_000, repeat(""), ""), 0, "found the end", 1 << 20},
	"tensors":      {tensors(manyTensors, same), manyTensors, "", 160 << 20},
	"reversed":     {tensors(fewTensors, func(i int) int { return fewTensors - 1 - i }), fewTensors, "", 17 << 20},
	"shuffled":     {tensors(manyTensors, func(i int) int { return i * 7919 % manyTensors }), manyTensors, "", 170 << 20},
	"on one place": {tensors(fewTensors, func(int) int { return 0 }), 0, "overlaps", 17 << 20},
	"name":         {makeHeader(MaxHeader, 4, `{"`, 99_000, 1_000, repeat(strings.Repeat("x", 1000)), `":{`+one+`}}`), 1, "", 210 << 20},
	"ignored text": {makeHeader(MaxHeader, 4, `{"a":{`+one+`,"x":"`, 99_000, 1_000, repeat(strings.Repeat("x", 1000)), `"}}`), 1, "", 1 << 20},
	"ignored list": {makeHeader(MaxHeader, 4, `{"a":{`+one+`,"x":[`, 49_000, 2_000, repeat(strings.Repeat("0,", 1000)), `0]}}`), 1, "", 1 << 20},
	"digits":       {makeHeader(MaxHeader, 4, `{"a":{`+one+`,"x":0.`, 99_000, 1_000, repeat(strings.Repeat("1", 1000)), `}}`), 0, "a number of more than 1024 bytes", 1 << 20},
	"dimensions":   {makeHeader(MaxHeader, 4, `{"a":{"dtype":"U8","shape":[`, 49_000, 2_000, repeat(strings.Repeat("1,", 1000)), `1]}}`), 0, "more than 65536 numbers", 4 << 20},
	"metadata":     {makeHeader(20_000_000, 0, `{"__metadata__":{"":""`, 1_200_000, 14, number(`,"`, same, `":""`), `}}`), 0, "more than 1048576 texts", 210 << 20},
	"unclosed":     {makeHeader(MaxHeader, 0, ``, 99_000, 1_000, repeat(strings.Repeat("{", 1000)), ``), 0, "expected a string", 1 << 20},
	"nested":       {makeHeader(MaxHeader, 0, `{"a":{"x":`, 99_000, 1_000, repeat(strings.Repeat("[", 1000)), ``), 0, "more than 127", 1 << 20},
}

// Headers of up to 100,000,000 bytes in every form that takes time or memory. The
// bounds are on all that is allocated, so the peak is below them; run with -v
// for the times and, on Linux, the peaks.
func TestLargeHeaders(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for name, c := range large {
		t.Run(name, func(t *testing.T) {
			c.file.check(t)
			var before, after runtime.MemStats
			runtime.GC()
			resetPeak()
			runtime.ReadMemStats(&before)
			start := time.Now()
			h, err := ReadHeader(c.file, c.file.size)
			d := time.Since(start)
			runtime.ReadMemStats(&after)
			got := after.TotalAlloc - before.TotalAlloc
			t.Logf("%v with making the text, %d MiB allocated, process peak %s", d.Round(time.Millisecond), got>>20, peak())
			if got > c.most {
				t.Errorf("%d bytes allocated", got)
			}
			if c.want != "" {
				if err == nil {
					t.Fatal("accepted")
				}
				checkError(t, err)
				if !strings.Contains(err.Error(), c.want) {
					t.Errorf("%q does not contain %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(h.Tensors) != c.tensors || h.Size() != c.file.size {
				t.Errorf("%d tensors, %d bytes", len(h.Tensors), h.Size())
			}
			seen := make([]bool, len(h.Tensors))
			for i := range h.Tensors {
				x := &h.Tensors[i]
				n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(x.Name, "model.layer."), ".bias"))
				if len(seen) > 1 && (err != nil || seen[n]) {
					t.Fatalf("the tensor %d is %q", i, x.Name)
				}
				seen[n] = true
			}
		})
	}
}

// A repeated name among many must be found, however late.
func TestLargeDuplicate(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	m := tensors(fewTensors, same)
	piece := m.piece
	m.piece = func(dst []byte, i int) []byte {
		dst = piece(dst, i)
		if i == fewTensors-1 {
			copy(dst[strings.Index(string(dst), "layer.")+6:], "00000777")
		}
		return dst
	}
	_, err := ReadHeader(m, m.size)
	if err == nil || !strings.Contains(err.Error(), `the tensor "model.layer.00000777.bias" occurs twice`) {
		t.Errorf("%v", err)
	}
}

func TestLargeIndex(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for name, c := range map[string]struct {
		head  string
		n     int
		piece func(dst []byte, i int) []byte
		tail  string
		want  string
	}{
		"sorted":   {`{"weight_map":{"":"a.bin"`, MaxEntries - 1, number(`,"t`, same, `":"a.bin"`), `}}`, ""},
		"unsorted": {`{"weight_map":{"":"a.bin"`, MaxEntries - 1, number(`,"t`, func(i int) int { return i * 7919 % MaxEntries }, `":"a.bin"`), `}}`, ""},
		"too many": {`{"weight_map":{"":"a.bin"`, MaxEntries, number(`,"t`, same, `":"a.bin"`), `}}`, "more than 1048576 tensors"},
		"shards": {`{"weight_map":{"":"a.bin"`, MaxShards, func(dst []byte, i int) []byte {
			return number(`"`, same, `.bin"`)(number(`,"t`, same, `":`)(dst, i), i)
		}, `}}`, "more than 131072 shards"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &made{head: c.head, n: c.n, width: 32, piece: c.piece, tail: c.tail, size: int64(len(c.head) + 32*c.n + len(c.tail))}
			m.check(t)
			resetPeak()
			start := time.Now()
			x, err := ReadIndex(m, m.size, ".bin")
			t.Logf("%v with making the text, process peak %s", time.Since(start).Round(time.Millisecond), peak())
			if c.want == "" && (err != nil || len(x) != c.n+1) {
				t.Errorf("%d entries, %v", len(x), err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v does not contain %q", err, c.want)
			}
		})
	}
}

// check makes sure that pieces read in one go and in small parts are the same.
func (m *made) check(t *testing.T) {
	t.Helper()
	a, b := make([]byte, 1000), make([]byte, 1000)
	for _, off := range []int64{0, 3, 900, m.size - 1000} {
		if _, err := m.ReadAt(a, off); err != nil {
			t.Fatal(err)
		}
		for i := int64(0); i < 1000; i += 50 {
			if _, err := m.ReadAt(b[i:i+50], off+i); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(a, b) {
			t.Fatalf("the made file differs at %d", off)
		}
	}
}

func resetPeak() { os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

func peak() string {
	b, _ := os.ReadFile("/proc/self/status")
	_, rest, ok := strings.Cut(string(b), "VmHWM:")
	if !ok {
		return "unknown"
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(line)
}

func BenchmarkReadHeader(b *testing.B) {
	for _, name := range []string{"padding", "tensors"} {
		b.Run(name, func(b *testing.B) {
			m := large[name].file
			text := make([]byte, m.size)
			if _, err := m.ReadAt(text, 0); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(MaxHeader)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := read(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
