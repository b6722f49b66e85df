package torchbin

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"
)

// A hollow file is zero but for a few parts.
type hollow struct {
	size  int64
	parts map[int64]string
}

func (h *hollow) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off+int64(len(p)) > h.size {
		return 0, fmt.Errorf("[%d,+%d) is not in the file of %d bytes", off, len(p), h.size)
	}
	clear(p)
	for at, s := range h.parts {
		if from, to := max(at, off), min(at+int64(len(s)), off+int64(len(p))); from < to {
			copy(p[from-off:to-off], s[from-at:])
		}
	}
	return len(p), nil
}

func (h *hollow) Prefetch(int64, int64) {}

func (h *hollow) add(s string) {
	h.parts[h.size] = s
	h.size += int64(len(s))
}

// le lays numbers out: int is two bytes, uint32 four, int64 eight.
func le(values ...any) string {
	var b []byte
	for _, v := range values {
		switch v := v.(type) {
		case int:
			b = binary.LittleEndian.AppendUint16(b, uint16(v))
		case uint32:
			b = binary.LittleEndian.AppendUint32(b, v)
		case int64:
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
	}
	return string(b)
}

// hollowZip lays records out as torch does: aligned bodies, sizes in
// descriptors, ZIP64 fields where a size or a place needs them. A storage is
// zero but for its last 16 bytes, which are floats.
func hollowZip(pkl string, sizes ...int64) *hollow {
	h := &hollow{parts: make(map[int64]string)}
	var cd strings.Builder
	add := func(name, body string, size int64) {
		at := h.size
		large, far := size >= math.MaxUint32, at >= math.MaxUint32
		extra := ""
		if large {
			extra = le(1, 16, size, size)
		}
		n := 64 - (at+30+int64(len(name)+len(extra))+4)%64
		extra += le(0x4246, int(n)) + strings.Repeat("Z", int(n))
		local, central := uint32(0), uint32(size)
		if large {
			local, central = math.MaxUint32, math.MaxUint32
		}
		h.add(le(uint32(localSignature), 0, 0x0808, 0, 0, 0, uint32(0), local, local, len(name), len(extra)) + name + extra)
		if body == "" && size > 0 {
			h.size += size - 16
			body = floats
		}
		h.add(body)
		if large || far {
			h.add(le(uint32(0x08074b50), uint32(0), size, size))
		} else {
			h.add(le(uint32(0x08074b50), uint32(0), uint32(size), uint32(size)))
		}
		fields, place := "", uint32(at)
		if large {
			fields += le(size, size)
		}
		if far {
			fields, place = fields+le(at), math.MaxUint32
		}
		if fields != "" {
			fields = le(1, len(fields)) + fields
		}
		cd.WriteString(le(uint32(centralSignature), 0, 0, 0x0808, 0, 0, 0, uint32(0), central, central, len(name), len(fields), 0, 0, 0, uint32(0), place) + name + fields)
	}
	add("m/data.pkl", pkl, int64(len(pkl)))
	add("m/byteorder", "little", 6)
	for i, size := range sizes {
		add(fmt.Sprint("m/data/", i), "", size)
	}
	add("m/version", "3\n", 2)
	start, n, entries := h.size, int64(cd.Len()), int64(len(sizes)+3)
	h.add(cd.String())
	end := h.size
	h.add(le(uint32(end64Signature), int64(44), 0, 0, uint32(0), uint32(0), entries, entries, n, start))
	h.add(le(uint32(locator64Signature), uint32(0), end, uint32(1)))
	h.add(le(uint32(endSignature), 0, 0, int(entries), int(entries), uint32(n), uint32(min(start, math.MaxUint32)), 0))
	return h
}

// A storage of more than 4 GiB, and one behind it.
func TestLargeArchive(t *testing.T) {
	for _, size := range []int64{math.MaxUint32 - 3, math.MaxUint32 + 1, 9 << 29, 1 << 40} {
		n := size / 4
		s0, s1 := persistent(float, "0", n), persistent(float, "1", 4)
		h := hollowZip(object(dict(text("first"), tens(s0, n-4, []int64{4}, []int64{1}), text("back"), tens(s0, n-4, []int64{2, 2}, []int64{1, 2}),
			text("all"), tens(s0, 0, []int64{n}, []int64{1}), text("w"), tens(s1, 0, []int64{4}, []int64{1}))), size, 16)
		c, err := Open(h, h.size, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range c.Tensors {
			if x.Name == "all" {
				if x.Bytes() != size {
					t.Errorf("%d bytes, want %d", x.Bytes(), size)
				}
				continue
			}
			want := floats
			if x.Name == "back" {
				want = floats[:4] + floats[8:12] + floats[4:8] + floats[12:]
			}
			got := make([]byte, 16)
			if err := c.Source(h, i).ReadAt(got, 0); err != nil || string(got) != want {
				t.Errorf("%d bytes: %q is %q, %v", size, x.Name, got, err)
			}
		}
	}
	// Places past the file, and counts that only wrap to the right size.
	h := hollowZip(object(dict(text("w"), tens(persistent(float, "0", 1<<30+4), 0, nil, nil))), 16)
	if _, err := Open(h, h.size, Options{}); err == nil {
		t.Error("a size that wraps at 4 GiB was accepted")
	}
	h = hollowZip(object(dict(text("w"), tens(persistent(float, "0", 1<<30), 0, nil, nil))), 4<<30)
	if _, err := Open(h, h.size-1, Options{}); err == nil {
		t.Error("a cut file was accepted")
	}
}

func TestLargeStream(t *testing.T) {
	for _, size := range []int64{math.MaxUint32 - 3, 9 << 29, 1 << 40} {
		n := size / 4
		pkl := object(dict(text("end"), tens(persistent6(float, "0", n, "N"), n-4, []int64{4}, []int64{1}), text("w"), tens(persistent6(float, "1", 4, "N"), 0, []int64{4}, []int64{1})))
		h := &hollow{parts: make(map[int64]string)}
		h.add(string(legacyOf(pkl, object("]("+text("0")+text("1")+"e"), count(n))))
		h.size += size - 16
		h.add(floats + count(4) + floats)
		c, err := Open(h, h.size, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Tensors {
			got := make([]byte, 16)
			if err := c.Source(h, i).ReadAt(got, 0); err != nil || string(got) != floats {
				t.Errorf("%q is %q, %v", c.Tensors[i].Name, got, err)
			}
		}
		if _, err := Open(h, h.size-1, Options{}); err == nil {
			t.Error("a cut file was accepted")
		}
	}
}
