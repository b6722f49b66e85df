package torchbin

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/big"
	"slices"
	"testing"
)

// A memory is a File in memory that counts what is read.
type memory struct {
	*bytes.Reader
	read  int64
	reads int
}

func newMemory(b []byte) *memory { return &memory{Reader: bytes.NewReader(b)} }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.read += int64(len(p))
	m.reads++
	return m.Reader.ReadAt(p, off)
}

func (m *memory) Prefetch(int64, int64) {}

// Pieces of pickles. They are joined by cat.

func cat(parts ...string) string {
	var b bytes.Buffer
	for _, p := range parts {
		b.WriteString(p)
	}
	return b.String()
}

func le32(n int) string { return string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }

func glob(module, name string) string { return "c" + module + "\n" + name + "\n" }
func text(s string) string            { return "X" + le32(len(s)) + s }
func short(s string) string           { return "U" + string([]byte{byte(len(s))}) + s }
func tuple(parts ...string) string    { return "(" + cat(parts...) + "t" }
func call(f string, args ...string) string {
	return f + tuple(args...) + "R"
}

// num is an integer in its shortest form.
func num(n int64) string {
	switch {
	case n >= 0 && n < 256:
		return "K" + string([]byte{byte(n)})
	case n >= 0 && n < 1<<16:
		return "M" + string(binary.LittleEndian.AppendUint16(nil, uint16(n)))
	case n == int64(int32(n)):
		return "J" + le32(int(n))
	}
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

// huge is a positive integer of more than 8 bytes.
func huge(bit uint) string {
	b := new(big.Int).Lsh(big.NewInt(1), bit).Bytes()
	slices.Reverse(b)
	return "\x8a" + string([]byte{byte(len(b) + 1)}) + string(b) + "\x00"
}

func nums(ns ...int64) string {
	var parts []string
	for _, n := range ns {
		parts = append(parts, num(n))
	}
	return tuple(parts...)
}

var (
	ordered = glob("collections", "OrderedDict") + ")R"
	v2      = glob("torch._utils", "_rebuild_tensor_v2")
	v3      = glob("torch._utils", "_rebuild_tensor_v3")
	float   = glob("torch", "FloatStorage")
)

func persistent(class, key string, n int64) string {
	return tuple(text("storage"), class, text(key), text("cpu"), num(n)) + "Q"
}

func tens(storage string, offset int64, size, stride []int64) string {
	return call(v2, storage, num(offset), nums(size...), nums(stride...), "\x89", ordered)
}

// four is a tensor of four floats in storage 0.
var four = tens(persistent(float, "0", 4), 0, []int64{2, 2}, []int64{2, 1})

// dict is a dict of names and values in turn; object is a whole pickle.
func dict(parts ...string) string   { return "}(" + cat(parts...) + "u" }
func object(parts ...string) string { return "\x80\x02" + cat(parts...) + "." }

// An item is one entry of an archive to build. Zero fields are filled in.
type item struct {
	name, body   string
	method       uint16
	flags        uint16
	crc          uint32
	local        string // name in the local header
	localMethod  int    // -1 for the true one's opposite
	size         int    // claimed, when not 0
	header       int64  // claimed place, when not 0
	descriptor   bool
	zip64        bool
	storedExtra  string // in the local header
	centralExtra string
}

// An ending says how the archive ends.
type ending struct {
	count, cdSize, cdOff int // added to the true ones
	disk                 uint16
	zip64                bool
	comment, after       string
	before               string
}

func zipFile(e ending, items ...item) []byte {
	b := bytes.NewBufferString(e.before)
	var cd bytes.Buffer
	u16 := func(w *bytes.Buffer, vs ...uint16) {
		for _, v := range vs {
			w.Write(binary.LittleEndian.AppendUint16(nil, v))
		}
	}
	u32 := func(w *bytes.Buffer, vs ...uint32) {
		for _, v := range vs {
			w.Write(binary.LittleEndian.AppendUint32(nil, v))
		}
	}
	u64 := func(w *bytes.Buffer, vs ...uint64) {
		for _, v := range vs {
			w.Write(binary.LittleEndian.AppendUint64(nil, v))
		}
	}
	for _, it := range items {
		body, size := it.body, uint32(len(it.body))
		if it.method == deflated {
			var z bytes.Buffer
			w, _ := flate.NewWriter(&z, 9)
			io.WriteString(w, body)
			w.Close()
			body = z.String()
		}
		packed := uint32(len(body))
		if it.size != 0 {
			size = uint32(it.size)
			if it.method == stored {
				packed = size
			}
		}
		local := it.local
		if local == "" {
			local = it.name
		}
		method := it.method
		if it.localMethod != 0 {
			method ^= deflated
		}
		at := uint32(b.Len())
		if it.header != 0 {
			at = uint32(it.header)
		}
		flags := it.flags
		if it.descriptor {
			flags |= flagDescriptor
		}
		extra, ls, lp := it.storedExtra, size, packed
		if it.zip64 {
			var x bytes.Buffer
			u16(&x, 1, 16)
			u64(&x, uint64(size), uint64(packed))
			extra, ls, lp = x.String()+extra, 1<<32-1, 1<<32-1
		}
		if it.descriptor {
			ls, lp = 0, 0
		}
		u32(b, localSignature)
		u16(b, 20, flags, method, 0, 0)
		u32(b, it.crc, lp, ls)
		u16(b, uint16(len(local)), uint16(len(extra)))
		b.WriteString(local + extra + body)
		if it.descriptor {
			u32(b, 0x08074b50, it.crc, packed, size)
		}
		cextra, place := it.centralExtra, at
		if it.zip64 {
			var x bytes.Buffer
			u16(&x, 1, 24)
			u64(&x, uint64(size), uint64(packed), uint64(at))
			cextra, size, packed, place = x.String()+cextra, 1<<32-1, 1<<32-1, 1<<32-1
		}
		u32(&cd, centralSignature)
		u16(&cd, 20, 20, flags, it.method, 0, 0)
		u32(&cd, it.crc, packed, size)
		u16(&cd, uint16(len(it.name)), uint16(len(cextra)), 0, 0, 0)
		u32(&cd, 0, place)
		cd.WriteString(it.name + cextra)
	}
	off, n := b.Len()+e.cdOff, cd.Len()+e.cdSize
	count := len(items) + e.count
	b.Write(cd.Bytes())
	if e.zip64 {
		at := b.Len()
		u32(b, end64Signature)
		u64(b, 44)
		u16(b, 45, 45)
		u32(b, 0, 0)
		u64(b, uint64(count), uint64(count), uint64(n), uint64(off))
		u32(b, locator64Signature, 0)
		u64(b, uint64(at))
		u32(b, 1, endSignature)
		u16(b, 0, 0, 1<<16-1, 1<<16-1)
		u32(b, 1<<32-1, 1<<32-1)
	} else {
		u32(b, endSignature)
		u16(b, e.disk, 0, uint16(count), uint16(count))
		u32(b, uint32(n), uint32(off))
	}
	u16(b, uint16(len(e.comment)))
	b.WriteString(e.comment + e.after)
	return b.Bytes()
}

const floats = "\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40"

// records are the entries of a whole archive around a pickle.
func records(pkl string, more ...item) []item {
	return append([]item{
		{name: "m/data.pkl", body: pkl, crc: crc32.ChecksumIEEE([]byte(pkl))},
		{name: "m/byteorder", body: "little"},
		{name: "m/data/0", body: floats},
		{name: "m/version", body: "3\n"},
	}, more...)
}

func archiveOf(pkl string) []byte { return zipFile(ending{}, records(pkl)...) }

// legacyOf is a legacy stream; data holds counts and values.
func legacyOf(pkl, keys, data string) []byte {
	info := object(dict(text("protocol_version"), num(1001), text("little_endian"), "\x88"))
	return []byte(legacyMagic + object(num(legacyProtocol)) + info + pkl + keys + data)
}

func count(n int64) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }

func persistent6(class, key string, n int64, view string) string {
	return tuple(text("storage"), class, text(key), text("cpu"), num(n), view) + "Q"
}

// open opens a file in memory and reads all of its values.
func open(t testing.TB, b []byte) (*Checkpoint, map[string]string, error) {
	t.Helper()
	f := newMemory(b)
	c, err := Open(f, int64(len(b)), Options{})
	if err != nil {
		return nil, nil, err
	}
	values := make(map[string]string)
	for i := range c.Tensors {
		p := make([]byte, c.Tensors[i].Bytes())
		if err := c.Source(f, i).ReadAt(p, 0); err != nil {
			t.Fatalf("reading %q: %v", c.Tensors[i].Name, err)
		}
		values[c.Tensors[i].Name] = string(p)
	}
	return c, values, nil
}
