package torchbin

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"slerpmerge/internal/tensor"
)

var update = flag.Bool("update", false, "write testdata/encode/small.bin")

func info(name string, d tensor.DType, shape ...uint64) tensor.Info {
	return tensor.Info{Name: name, DType: d, Shape: shape}
}

// allTypes are one tensor of every type that torch has.
func allTypes() []tensor.Info {
	var list []tensor.Info
	for d := tensor.BOOL; d <= tensor.U64; d++ {
		if d != tensor.F6E2M3 && d != tensor.F6E3M2 {
			list = append(list, info(d.String(), d, 3, 4))
		}
	}
	return list
}

// A sparse is a file of which only the parts exist, and zeros between them.
type sparse struct{ *Layout }

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > s.Size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), s.Size-off))
	clear(p)
	first := sort.Search(len(s.Literals), func(i int) bool { return s.Literals[i].Off+int64(len(s.Literals[i].Data)) > off })
	for _, part := range s.Literals[first:] {
		if part.Off >= off+int64(n) {
			break
		}
		if part.Off >= off {
			copy(p[part.Off-off:n], part.Data)
		} else {
			copy(p[:n], part.Data[off-part.Off:])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s sparse) Prefetch(int64, int64) {}

// owners are the storages of tensors that have their own.
func owners(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// assemble writes a file front to back: a checksum is written after the values
// it belongs to. Values are a sequence that depends on the tensor.
func assemble(t testing.TB, l *Layout, tensors []tensor.Info) []byte {
	t.Helper()
	var b []byte
	crc := make([]uint32, len(tensors))
	owner := make(map[int64]int)
	for i := range slices.Backward(tensors) {
		owner[l.Offsets[i]] = i
	}
	sums := l.CRCSlots
	for _, part := range l.Literals {
		if gap := part.Off - int64(len(b)); gap > 0 {
			i, ok := owner[int64(len(b))]
			if !ok || tensors[i].Bytes() != gap {
				t.Fatalf("%d bytes at %d are no tensor", gap, len(b))
			}
			for k := range gap {
				b = append(b, byte(k*7+int64(i)+1))
			}
			crc[i] = crc32.ChecksumIEEE(b[part.Off-gap:])
		} else if gap < 0 {
			t.Fatalf("the part at %d overlaps the one before", part.Off)
		}
		b = append(b, part.Data...)
		for len(sums) > 0 && sums[0].At < int64(len(b)) {
			at := sums[0].At
			if at < part.Off || at+4 > int64(len(b)) || binary.LittleEndian.Uint32(b[at:]) != 0 {
				t.Fatalf("the checksum at %d has no place in the part at %d", at, part.Off)
			}
			binary.LittleEndian.PutUint32(b[at:], crc[sums[0].Tensor])
			sums = sums[1:]
		}
	}
	if int64(len(b)) != l.Size || len(sums) > 0 {
		t.Fatalf("%d bytes and %d checksums left of a file of %d", len(b), len(sums), l.Size)
	}
	return b
}

// checkOpen makes sure that Open reads the table that was encoded.
func checkOpen(t testing.TB, l *Layout, tensors []tensor.Info, storage []int) {
	t.Helper()
	c, err := Open(sparse{l}, l.Size, Options{})
	if err != nil {
		t.Fatalf("what Encode made is refused: %v", err)
	}
	if len(c.Tensors) != len(tensors) {
		t.Fatalf("%d tensors became %d", len(tensors), len(c.Tensors))
	}
	read := make(map[string]*Tensor)
	for i := range c.Tensors {
		read[c.Tensors[i].Name] = &c.Tensors[i]
	}
	last := int64(0)
	for i, want := range tensors {
		have := read[want.Name]
		if have == nil {
			t.Fatalf("%q is lost", want.Name)
		}
		tie := ""
		if storage != nil && storage[i] != i {
			tie = tensors[storage[i]].Name
		} else if l.Offsets[i] <= last || l.Offsets[i]%alignment != 0 {
			t.Errorf("%q begins at %d, after %d", want.Name, l.Offsets[i], last)
		} else {
			last = l.Offsets[i]
		}
		if have.DType != want.DType || !have.SameShape(want) || have.Offset != l.Offsets[i] || have.Strides != nil || have.SharesWith != tie {
			t.Errorf("%+v at %d, tied to %q, became %+v", want, l.Offsets[i], tie, have)
		}
	}
}

// checkZip makes sure that the standard library reads the archive and finds
// the checksums right.
func checkZip(t *testing.T, b []byte) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range r.File {
		body, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(body)
		if err != nil || f.CRC32 != crc32.ChecksumIEEE(content) {
			t.Errorf("%s: checksum %x: %v", f.Name, f.CRC32, err)
		}
		if at, err := f.DataOffset(); err != nil || at%alignment != 0 {
			t.Errorf("%s at %d: %v", f.Name, at, err)
		}
		want := fmt.Sprintf("archive/data/%d", i-2)
		switch i {
		case 0:
			want = "archive/data.pkl"
		case 1:
			want = "archive/byteorder"
		case len(r.File) - 1:
			want = "archive/version"
		}
		if f.Name != want {
			t.Errorf("entry %d is %s, not %s", i, f.Name, want)
		}
	}
}

func TestEncode(t *testing.T) {
	f32 := func(name string, shape ...uint64) tensor.Info { return info(name, tensor.F32, shape...) }
	batches := func(n int) []tensor.Info {
		var list []tensor.Info
		for i := range n {
			list = append(list, info(fmt.Sprint("t", i), tensor.U8, 1))
		}
		return list
	}
	many := batches(300)
	for i := range many {
		many[i].Shape = []uint64{uint64(i)}
	}
	for name, c := range map[string]struct {
		tensors []tensor.Info
		storage []int
	}{
		"types":      {allTypes(), nil},
		"scalars":    {[]tensor.Info{f32("a"), info("b", tensor.I64), info("c", tensor.F8E4M3)}, nil},
		"empty":      {[]tensor.Info{f32("a", 0), f32("b", 2, 0, 3), info("c", tensor.F4, 2, 0), info("d", tensor.U64, 0), f32("e", 1)}, nil},
		"only empty": {[]tensor.Info{f32("a", 0)}, nil},
		"tied":       {[]tensor.Info{f32("a", 2), f32("b", 3), f32("c", 2), f32("d", 1), f32("e", 3), f32("f", 2)}, []int{0, 1, 0, 3, 1, 0}},
		"tied empty": {[]tensor.Info{f32("a", 0), f32("b", 0), f32("c", 1)}, []int{0, 0, 2}},
		"names":      {[]tensor.Info{f32(""), f32("\x00"), f32("a\nb"), f32("state_dict"), f32("модель"), f32("\U0001f600"), f32("../x"), f32(strings.Repeat("n", maxText))}, nil},
		"ranks":      {[]tensor.Info{f32("1", 2), f32("2", 2, 3), f32("3", 2, 3, 4), f32("4", 2, 3, 4, 5), f32("64", slices.Repeat([]uint64{1}, 64)...)}, nil},
		"integers":   {[]tensor.Info{f32("a", 255), f32("b", 256), f32("c", 65535), f32("d", 65536), info("e", tensor.F4, 512, 3, 2)}, nil},
		"sizes":      {many, nil},
		"999":        {batches(999), nil},
		"1000":       {batches(1000), nil},
		"1001":       {batches(1001), nil},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := Encode(c.tensors, c.storage)
			if err != nil {
				t.Fatal(err)
			}
			checkOpen(t, l, c.tensors, c.storage)
			b := assemble(t, l, c.tensors)
			checkZip(t, b)
			_, values, err := open(t, b)
			if err != nil {
				t.Fatal(err)
			}
			storage := c.storage
			if storage == nil {
				storage = owners(len(c.tensors))
			}
			for i, x := range c.tensors {
				for k, v := range []byte(values[x.Name]) {
					if v != byte(k*7+storage[i]+1) {
						t.Fatalf("%q: byte %d is %d", x.Name, k, v)
					}
				}
			}
			again, err := Encode(c.tensors, storage)
			if err != nil || !bytes.Equal(assemble(t, again, c.tensors), b) {
				t.Errorf("a second time it is another file: %v", err)
			}
		})
	}
}

// TestEncodeMany has more entries than the old end record can count, and as
// many tensors as Open takes.
func TestEncodeMany(t *testing.T) {
	for _, n := range []int{math.MaxUint16 - 3, maxTensors} {
		if n == maxTensors && testing.Short() {
			continue
		}
		list := make([]tensor.Info, n)
		for i := range list {
			list[i] = info(fmt.Sprintf("model.layers.%d.weight", i), tensor.BF16, 2, 3)
		}
		start := time.Now()
		l, err := Encode(list, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d tensors in %v", n, time.Since(start))
		checkOpen(t, l, list, nil)
		if n == maxTensors {
			checkZip(t, assemble(t, l, list))
		}
	}
}

// TestEncodeLarge has sizes and places on both sides of where ZIP64 begins.
func TestEncodeLarge(t *testing.T) {
	u8 := func(n uint64) tensor.Info { return info("", tensor.U8, n) }
	cases := map[string][]tensor.Info{
		"4.5 GiB":  {u8(9 << 29), u8(16), u8(1 << 20)},
		"elements": {u8(1<<31 - 1), u8(1 << 31), u8(1<<31 + 16), info("", tensor.I16, 1<<31+16), info("", tensor.F8E5M2, 1<<16, 1<<16)},
		"8 GiB":    {u8(5 << 30), u8(3 << 30), u8(5 << 30), info("", tensor.F32), u8(0)},
		"exabytes": {u8(1<<59 - 1), info("", tensor.F64, 1<<58-1), info("", tensor.F64, 1<<58-1), info("", tensor.U32, 1<<57-1), u8(1)},
	}
	for _, size := range []uint64{full - 1, full, full + 1} {
		cases[fmt.Sprint("size ", size)] = []tensor.Info{u8(size), u8(1)}
		// The header of the second storage begins at size: before it
		// stand 64 bytes, the pickle and so on, and a descriptor.
		probe := []tensor.Info{u8(size - 1000), u8(1), u8(2)}
		cases[fmt.Sprint("place ", size)] = probe
		name(probe)
		l, err := Encode(probe, nil)
		if err != nil {
			t.Fatal(err)
		}
		probe[0].Shape[0] -= uint64(l.Offsets[0]+int64(probe[0].Shape[0])+16) - size
		probe[1].Shape[0] = 1
	}
	for title, list := range cases {
		t.Run(title, func(t *testing.T) {
			name(list)
			l, err := Encode(list, nil)
			if err != nil {
				t.Fatal(err)
			}
			checkOpen(t, l, list, nil)
			r, err := zip.NewReader(sparse{l}, l.Size)
			if err != nil {
				t.Fatal(err)
			}
			for i := range list {
				f := r.File[i+2]
				if at, err := f.DataOffset(); err != nil || at != l.Offsets[i] || f.UncompressedSize64 != uint64(list[i].Bytes()) {
					t.Errorf("%s: %d bytes at %d instead of %d: %v", f.Name, f.UncompressedSize64, at, l.Offsets[i], err)
				}
			}
			var place uint64
			if n, _ := fmt.Sscanf(title, "place %d", &place); n == 1 {
				a, err := openArchive(sparse{l}, l.Size)
				if err != nil {
					t.Fatal(err)
				}
				if e, err := a.find("data/1"); err != nil || e.header != int64(place) {
					t.Errorf("the second storage is not at %d: %v", place, err)
				}
			}
		})
	}
}

func name(list []tensor.Info) {
	for i := range list {
		list[i].Name = fmt.Sprint("t", i)
	}
}

// TestEncodeHeaders pins the local header of a storage and what follows its
// body: version, flags, two sizes, the ZIP64 field, the descriptor.
func TestEncodeHeaders(t *testing.T) {
	for _, c := range []struct {
		size        uint64
		header, end string
	}{
		{0, "1400 0008 00000000 00000000 4642", "504b0304"},
		{1, "1400 0808 00000000 00000000 4642", "504b0708 00000000 01000000 01000000 504b0304"},
		{full - 1, "1400 0808 00000000 00000000 4642", "504b0708 00000000 feffffff feffffff 504b0304"},
		{full, "2d00 0808 ffffffff ffffffff 0100 1000 ffffffff00000000 ffffffff00000000 4642",
			"504b0708 00000000 ffffffff00000000 ffffffff00000000 504b0304"},
		{full + 9, "2d00 0808 ffffffff ffffffff 0100 1000 0800000001000000 0800000001000000 4642",
			"504b0708 00000000 0800000001000000 0800000001000000 504b0304"},
	} {
		l, err := Encode([]tensor.Info{info("a", tensor.U8, c.size)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		a, err := openArchive(sparse{l}, l.Size)
		if err != nil {
			t.Fatal(err)
		}
		e, err := a.find("data/0")
		if err != nil {
			t.Fatal(err)
		}
		at := e.header
		var head [128]byte
		if err := readFull(sparse{l}, head[:], at); err != nil {
			t.Fatal(err)
		}
		extra := localLen + len("archive/data/0")
		have := slices.Concat(head[4:8], head[18:26], head[extra:])
		if want := unhex(t, c.header); !bytes.HasPrefix(have, want) {
			t.Errorf("%d bytes: header %x, not %x", c.size, have[:len(want)], want)
		}
		end := unhex(t, c.end)
		after := make([]byte, len(end))
		if err := readFull(sparse{l}, after, l.Offsets[0]+int64(c.size)); err != nil || !bytes.Equal(after, end) {
			t.Errorf("%d bytes: followed by %x, not %x: %v", c.size, after, end, err)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestEncodeRefuses(t *testing.T) {
	u8 := func(name string, shape ...uint64) tensor.Info { return info(name, tensor.U8, shape...) }
	wide := make([]tensor.Info, maxDims/128+1)
	for i := range wide {
		wide[i] = u8(fmt.Sprint(i), slices.Repeat([]uint64{1}, 64)...)
	}
	long := make([]tensor.Info, 65)
	for i := range long {
		long[i] = u8(strings.Repeat("x", maxText-i))
	}
	many := make([]tensor.Info, maxTensors+1)
	for i := range many {
		many[i] = u8(fmt.Sprint(i))
	}
	large := make([]tensor.Info, 8)
	for i := range large {
		large[i] = info(fmt.Sprint(i), tensor.F64, 1<<57)
	}
	for _, c := range []struct {
		want    string
		tensors []tensor.Info
		storage []int
	}{
		{"without tensors", nil, nil},
		{`the tensor "a" occurs twice`, []tensor.Info{u8("a"), u8("b"), u8("a", 2)}, nil},
		{`name "a\xff" is not UTF-8`, []tensor.Info{u8("a\xff")}, nil},
		{`name "\xed\xa0\x80" is not UTF-8`, []tensor.Info{u8("\xed\xa0\x80")}, nil},
		{"a name of 1048577 bytes", []tensor.Info{u8(strings.Repeat("x", maxText+1))}, nil},
		{`tensor "a": torch has no type F6_E2M3`, []tensor.Info{info("a", tensor.F6E2M3, 4)}, nil},
		{`tensor "a": torch has no type F6_E3M2`, []tensor.Info{info("a", tensor.F6E3M2, 4)}, nil},
		{`tensor "a": F4: the elements do not fill`, []tensor.Info{info("a", tensor.F4)}, nil},
		{`tensor "a": torch counts pairs of F4`, []tensor.Info{info("a", tensor.F4, 2, 3)}, nil},
		{`tensor "a": U8: the size does not fit 64 bits`, []tensor.Info{u8("a", math.MaxUint64, 2)}, nil},
		{`tensor "a": the size of [0 18446744073709551615] is too large`, []tensor.Info{u8("a", 0, math.MaxUint64)}, nil},
		{`tensor "a": the size of [576460752303423488 1] is too large`, []tensor.Info{u8("a", 1<<59, 1)}, nil},
		{`tensor "a": the storage is too large`, []tensor.Info{info("a", tensor.U64, 1<<57)}, nil},
		{"exceed 2^63-1 bytes", large, nil},
		{"65 dimensions, more than 64", []tensor.Info{u8("a", slices.Repeat([]uint64{1}, 65)...)}, nil},
		{"dimensions and strides in all tensors", wide, nil},
		{"longer than 67108864 bytes", long, nil},
		{"131073 tensors, more than 131072", many, nil},
		{"2 tensors, but storages for 1", []tensor.Info{u8("a"), u8("b")}, []int{0}},
		{`tensor "a": tied to tensor 1, which is no earlier`, []tensor.Info{u8("a"), u8("b")}, []int{1, 1}},
		{`tensor "a": tied to tensor -1, which is no earlier`, []tensor.Info{u8("a"), u8("b")}, []int{-1, 1}},
		{`tensor "c": tied to tensor 1, which is no earlier`, []tensor.Info{u8("a"), u8("b"), u8("c")}, []int{0, 0, 1}},
		{`tensor "b": tied to tensor 0, which is no earlier`, []tensor.Info{u8("a"), u8("b", 1)}, []int{0, 0}},
		{`tensor "b": tied to tensor 0, which is no earlier`, []tensor.Info{u8("a"), info("b", tensor.I8)}, []int{0, 0}},
	} {
		_, err := Encode(c.tensors, c.storage)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200v does not contain %q", err, c.want)
		}
	}
}

// small is the content of testdata/encode/small.bin.
var (
	small = []tensor.Info{
		info("weight", tensor.F32, 2, 3), info("bias", tensor.BF16, 3), info("tied", tensor.F32, 2, 3),
		info("empty", tensor.I64, 0), info("f8", tensor.F8E4M3, 2, 2, 1, 300), info("scalar", tensor.F64),
	}
	smallStorage = []int{0, 1, 0, 3, 4, 5}
)

// PyTorch 2.15.0 loads the golden file: plain, weights_only and mapped.
func TestEncodeGolden(t *testing.T) {
	const name = "testdata/encode/small.bin"
	l, err := Encode(small, smallStorage)
	if err != nil {
		t.Fatal(err)
	}
	b := assemble(t, l, small)
	if *update {
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(b, want) {
		t.Errorf("%d bytes are not the %d of %s: %v", len(b), len(want), name, err)
	}
}

// FuzzEncode makes tensors of bytes: their count of dimensions, type and tie,
// then the dimensions.
func FuzzEncode(f *testing.F) {
	f.Add([]byte("\x01\x11\x00\x05\x02\x11\x00\x06\x07\x01\x0d\x01\x00"), "a\nb")
	f.Add([]byte("\x00\x01\x00\x03\x01\x00\x02\x80\xff\x04\x03\x00\x01\x01\x01\x01"), "")
	f.Fuzz(func(t *testing.T, b []byte, names string) {
		var tensors []tensor.Info
		var storage []int
		b, names = b[:min(len(b), 1<<10)], names[:min(len(names), 100)]
		for len(b) > 3 {
			rank, d, tie := int(b[0]%66), tensor.DType(b[1])%(tensor.U64+1), int(b[2])
			b = b[3:]
			x := info(fmt.Sprint(len(tensors), names), d)
			for range min(rank, len(b)) {
				dim := uint64(b[0])
				if dim >= 0x80 { // a power of two, or one beside it
					dim = 1<<(dim&63) + dim>>6&1
				}
				x.Shape, b = append(x.Shape, dim), b[1:]
			}
			owner := len(tensors)
			if tie < owner && storage[tie] == tie {
				x.DType, x.Shape, owner = tensors[tie].DType, tensors[tie].Shape, tie
			}
			tensors, storage = append(tensors, x), append(storage, owner)
		}
		l, err := Encode(tensors, storage)
		if err == nil {
			checkOpen(t, l, tensors, storage)
		}
	})
}
