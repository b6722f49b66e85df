package torchbin

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestStoredFiles(t *testing.T) {
	for id, want := range digests {
		t.Run(id, func(t *testing.T) {
			b, err := os.ReadFile("testdata/" + id + ".bin")
			if err != nil {
				t.Fatal(err)
			}
			c, values, err := open(t, b)
			if err != nil {
				t.Fatal(err)
			}
			if len(c.Tensors) != len(want) {
				t.Errorf("%d tensors, want %d", len(c.Tensors), len(want))
			}
			last := int64(0)
			for _, x := range c.Tensors {
				got := fmt.Sprintf("%v %v %x", x.DType, x.Shape, sha256.Sum256([]byte(values[x.Name])))
				if got != want[x.Name] {
					t.Errorf("%q is %s, want %s", x.Name, got, want[x.Name])
				}
				if x.Offset < last {
					t.Errorf("%q at %d is out of order", x.Name, x.Offset)
				}
				last = x.Offset
			}
		})
	}
}

// matrix has one row-major tensor, its transpose, an expanded row, a view, a
// scalar, one without elements, and one under two names.
var matrix = dict(
	text("t"), tens(persistent(float, "0", 4), 0, []int64{2, 2}, []int64{1, 2}),
	text("w"), four,
	text("tied"), four,
	text("row"), tens(persistent(float, "0", 4), 2, []int64{2, 2}, []int64{0, 1}),
	text("scalar"), tens(persistent(float, "0", 4), 3, nil, nil),
	text("none"), tens(persistent(float, "0", 4), 4, []int64{0, 5}, []int64{5, 1}),
	text("one"), tens(persistent(float, "0", 4), 1, []int64{1, 2}, []int64{1 << 60, 1}),
)

func checkMatrix(t *testing.T, b []byte) {
	t.Helper()
	c, values, err := open(t, b)
	if err != nil {
		t.Fatal(err)
	}
	f := func(i ...int) string {
		s := ""
		for _, i := range i {
			s += floats[4*i : 4*i+4]
		}
		return s
	}
	for name, want := range map[string]string{
		"t": f(0, 2, 1, 3), "w": floats, "tied": floats, "row": f(2, 3, 2, 3), "scalar": f(3), "none": "", "one": f(1, 2),
	} {
		if values[name] != want {
			t.Errorf("%q is %x, want %x", name, values[name], want)
		}
	}
	for _, x := range c.Tensors {
		if want := map[string]string{"tied": "w"}[x.Name]; x.SharesWith != want {
			t.Errorf("%q shares with %q, want %q", x.Name, x.SharesWith, want)
		}
	}
}

func TestArchives(t *testing.T) {
	pkl := object(matrix)
	r := func(f func([]item)) []item { r := records(pkl); f(r); return r }
	for name, b := range map[string][]byte{
		"plain":       archiveOf(pkl),
		"zip64":       zipFile(ending{zip64: true}, r(func(r []item) { r[0].zip64, r[2].zip64 = true, true })...),
		"comment":     zipFile(ending{comment: "hello"}, records(pkl)...),
		"descriptors": zipFile(ending{}, r(func(r []item) { r[0].descriptor, r[2].descriptor = true, true })...),
		"deflated":    zipFile(ending{}, r(func(r []item) { r[0].method = deflated })...),
		"padded":      zipFile(ending{}, r(func(r []item) { r[2].storedExtra = "FB\x03\x00ZZZ" })...),
		"any crc":     zipFile(ending{}, r(func(r []item) { r[2].crc = 7 })...),
		"reversed":    zipFile(ending{}, r(func(r []item) { r[0], r[3], r[1], r[2] = r[3], r[0], r[2], r[1] })...),
		"more":        zipFile(ending{}, records(pkl, item{name: "m/.data/serialization_id", body: "1"}, item{name: "m/"})...),
		"unmarked":    zipFile(ending{}, records(matrix+".")...),
	} {
		t.Run(name, func(t *testing.T) { checkMatrix(t, b) })
	}
	t.Run("legacy", func(t *testing.T) {
		p := strings.ReplaceAll(pkl, persistent(float, "0", 4), persistent6(float, "0", 4, "N"))
		checkMatrix(t, legacyOf(p, object("]"+text("0")+"a"), count(4)+floats))
		s := persistent6(float, "0", 6, tuple(text("1"), num(2), num(4)))
		p = strings.ReplaceAll(pkl, persistent(float, "0", 4), s)
		checkMatrix(t, legacyOf(p, object("]"+short("0")+"a"), count(6)+"12345678"+floats+"trailing"))
	})
}

func TestPickles(t *testing.T) {
	od := glob("collections", "OrderedDict")
	v3f := func(name string, n int64) string {
		return call(v3, persistent(glob("torch.storage", "UntypedStorage"), "0", 16), num(1), nums(n), nums(1), "\x89", ordered, glob("torch", name))
	}
	for name, c := range map[string]struct{ pkl, want string }{
		"dict":           {object(dict(text("w"), four)), floats},
		"ordered":        {object(ordered + text("w") + four + "s}" + text("_metadata") + ordered + "sb"), floats},
		"memo":           {object(dict(text("w"), four+"q\x05", text("x"), "N"+"r\x07\x00\x00\x00", text("y"), "j\x07\x00\x00\x00")), floats},
		"python 2":       {object(call(od, "](]("+short("w")+four+"e"+"](U\x01xNe"+"e")), floats},
		"pairs":          {object(call(od, "](("+short("w")+four+"te")), floats},
		"state_dict":     {object(dict(text("state_dict"), dict(text("w"), four), text("epoch"), num(3))), floats},
		"model":          {object(dict(text("model"), ordered+text("w")+four+"s", text("optimizer"), dict(num(1), dict(text("m"), four)))), floats},
		"parameter":      {object(dict(text("w"), call(glob("torch._utils", "_rebuild_parameter"), four, "\x88", ordered))), floats},
		"parameter call": {object(dict(text("w"), glob("torch.nn.parameter", "Parameter")+four+"\x89\x86\x81")), floats},
		"with state":     {object(dict(text("w"), call(glob("torch._utils", "_rebuild_parameter_with_state"), four, "\x88", ordered, "}"))), floats},
		"from type":      {object(dict(text("w"), call(glob("torch._tensor", "_rebuild_from_type_v2"), v2, glob("torch", "Tensor"), tuple(persistent(float, "0", 4), num(0), nums(4), nums(1), "\x89", ordered), dict(text("a"), num(1))))), floats},
		"v3":             {object(dict(text("w"), v3f("float8_e4m3fn", 15))), floats[1:]},
		"v3 u32":         {object(dict(text("w"), v3f("uint32", 2))), floats[4:12]},
		"leaves": {object(dict(text("a"), call(glob("_codecs", "encode"), text("x"), text("latin1")), text("b"), call(glob("__builtin__", "set"), "]"),
			text("c"), call(glob("torch", "device"), text("cpu")), text("d"), glob("torch", "complex128"), text("w"), four)), floats},
		"long zero": {object(dict(text("w"), call(v2, persistent(float, "0", 4), "\x8a\x00", nums(4), nums(1), "\x89", ordered))), floats},
		"seven":     {object(dict(text("w"), call(v2, persistent(float, "0", 4), num(0), nums(4), nums(1), "\x89", ordered, "}"))), floats},
		"twice":     {object(dict(text("w"), four, text("w"), four)), floats},
		"cuda":      {object(dict(text("w"), tens(tuple(text("storage"), float, text("0"), text("cuda:1"), num(4))+"Q", 0, []int64{4}, []int64{1}))), floats},
	} {
		t.Run(name, func(t *testing.T) {
			_, values, err := open(t, archiveOf(c.pkl))
			if err != nil || len(values) != 1 || values["w"] != c.want {
				t.Errorf("%x, %v", values, err)
			}
		})
	}
	// torch.load takes a byte string as UTF-8.
	_, values, err := open(t, archiveOf(object(dict(short("h\xc3\xa9"), four))))
	if err != nil || values["hé"] != floats {
		t.Errorf("a byte string: %q, %v", values, err)
	}
	refused(t, archiveOf(object(dict(short("h\xe9"), four))), "not UTF-8")
}

// A name of any bytes reaches a message quoted and cut.
func TestHostileNames(t *testing.T) {
	name := strings.Repeat("\n\x1b[2J", 1000)
	refused(t, archiveOf(object(dict(text(name), four, text(name), "N"))), "twice")
	refused(t, archiveOf(object(dict(text("w"), tens(persistent(float, name, 4), 0, nil, nil)))), "single name")
}

func TestManyEntries(t *testing.T) {
	const n = 70_000
	var pkl bytes.Buffer
	pkl.WriteString("\x80\x02}(")
	items := []item{{}, {name: "m/version", body: "3\n"}}
	for i := range n {
		key := strconv.Itoa(i)
		pkl.WriteString(text("w"+key) + tens(persistent(float, key, 1), 0, []int64{1}, []int64{1}))
		items = append(items, item{name: "m/data/" + key, body: string(le32(i))})
	}
	pkl.WriteString("u.")
	items[0] = item{name: "m/data.pkl", body: pkl.String(), crc: crc32.ChecksumIEEE(pkl.Bytes())}
	b := zipFile(ending{zip64: true}, items...)
	start := time.Now()
	c, values, err := open(t, b)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d tensors in %v", len(c.Tensors), time.Since(start))
	if len(c.Tensors) != n || values["w69999"] != le32(69999) {
		t.Errorf("%d tensors", len(c.Tensors))
	}
}
