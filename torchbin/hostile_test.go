package torchbin

import (
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"
)

func memoPut(i int) string { return "r" + le32(i) }
func memoGet(i int) string { return "j" + le32(i) }

// Small files that once took minutes or gigabytes: a thing of some size that
// is looked at, hashed or copied over and over.
func TestBombs(t *testing.T) {
	od := glob("collections", "OrderedDict")
	// many is a dict of one pair over and over.
	many := func(key, value string, n int) string {
		return "}(" + key + memoPut(90) + value + strings.Repeat(memoGet(90)+value, n-1) + "u"
	}

	for _, c := range []struct{ name, pkl, word string }{
		{"state", object(dict(text("x"), ordered+many(text("a"), "N", 200_000)+memoPut(1)+"b",
			text("y"), ordered+strings.Repeat(memoGet(1)+"b", 50), text("w"), four)), "steps"},
		{"opcodes", object(dict(text("w"), four, text("x"), "N"+strings.Repeat("q\x00", 9<<20))), "steps"},
		{"builds", object(dict(text("w"), four, text("x"), ordered+"}"+memoPut(0)+"b"+strings.Repeat("h\x00b", 5<<20))), "steps"},
		{"one name", object(dict(text("w"), four, text(strings.Repeat("n", maxText))+memoPut(0), "N"+strings.Repeat(memoGet(0)+"N", 70))), "names are longer"},
		{"one tensor", object("}" + strings.Repeat("(U\x01w"+four+memoPut(0)+"u", 1) + nameAll(maxTensors+1)), "tensors"},
		{"tuples", object(dict(text("w"), four, text("x"), tuple(strings.Repeat(tuple(strings.Repeat("N", 500_000)), 10)))), "memory"},
		{"mark tuples", object(dict(text("w"), four, text("x"), tuple(strings.Repeat("(t", 500_000)))), "memory"},
		{"dicts", object(dict(text("w"), four, text("x"), tuple(tuple(strings.Repeat("}", 500_000)), tuple(strings.Repeat("}", 400_000))))), "memory"},
		{"sets", object(dict(text("w"), four, text("x"), tuple(tuple(strings.Repeat("\x8f", 520_000)), tuple(strings.Repeat("\x8f", 400_000))))), "memory"},
		{"globals", object(dict(text("w"), four, text("x"), tuple(tuple(strings.Repeat(float, 510_000)), tuple(strings.Repeat(float, 510_000)), tuple(strings.Repeat(float, 510_000))))), "memory"},
		{"large integers", object(dict(text("w"), four, text("x"), tuple(strings.Repeat(huge(64), 300_000)))), "memory"},
		{"long key", object(dict(text("w"), tens(persistent(float, strings.Repeat("k", 300), 4), 0, nil, nil))), "single name"},
		{"expanded often", object(dict(text("a"), tens(persistent(float, "0", 4), 0, []int64{1 << 27}, []int64{0}), text("b"), tens(persistent(float, "0", 4), 0, []int64{1 << 27}, []int64{0}),
			text("c"), tens(persistent(float, "0", 4), 0, []int64{1 << 27}, []int64{0}))), "expanded"},
		{"pairs", object(dict(text("w"), four, text("x"), "]("+strings.Repeat("(NNt", 10)+memoPut(8)+strings.Repeat(memoGet(8), 100_000)+"e"+memoPut(9)+strings.Repeat("N"+od+memoGet(9)+"\x85R", 30))), "memory"},
		// 31 kB that would take 150 MB.
		{"copied dicts", object(dict(text("w"), four, text("l"), "]("+manyPairs(2000)+"e"+memoPut(1), text("x"), "]("+strings.Repeat(od+memoGet(1)+"\x85R", 1000)+"e")), "far more than it is long"},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, archiveOf(c.pkl), c.word) })
	}
	// A wrapper that occurs over and over is one.
	_, values, err := open(t, archiveOf(object("}("+text("q"), many(text("a"), "N", 200_000)+memoPut(1)+text("model")+memoPut(2)+memoGet(1)+strings.Repeat(memoGet(2)+memoGet(1), 100_000)+text("w")+four+"u")))
	if err != nil || len(values) != 1 {
		t.Errorf("%d tensors, %v", len(values), err)
	}
}

func manyPairs(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(tuple(text(fmt.Sprint(i)), "N"))
	}
	return b.String()
}

// The memory that a caller allows is kept to, and what is asked for is enough.
func TestMemory(t *testing.T) {
	var parts []string
	for i := range 3000 {
		parts = append(parts, text(fmt.Sprint("layer.", i)), four)
	}
	b := archiveOf(object(dict(parts...)))
	_, err := Open(newMemory(b), int64(len(b)), Options{Memory: 100_000})
	var me *MemoryError
	if !errors.As(err, &me) || me.Need < 100_000 || me.Need > 10<<20 {
		t.Fatalf("%v", err)
	}
	if c, err := Open(newMemory(b), int64(len(b)), Options{Memory: me.Need}); err != nil || len(c.Tensors) != 3000 {
		t.Error(err)
	}
}

// nameAll gives memo entry 0 so many names.
func nameAll(n int) string {
	var b strings.Builder
	for i := range n {
		if i%1000 == 0 {
			b.WriteByte('(')
		}
		b.WriteString(text(fmt.Sprint(i)) + memoGet(0))
		if i%1000 == 999 || i == n-1 {
			b.WriteByte('u')
		}
	}
	return b.String()
}

// What torch reads otherwise, or not at all.
func TestAsTorch(t *testing.T) {
	od := glob("collections", "OrderedDict")
	state := dict(text("a"), num(1))
	byteStorage := persistent(glob("torch", "ByteStorage"), "0", 16)
	untyped := persistent(glob("torch.storage", "UntypedStorage"), "0", 16)
	f8 := call(v3, untyped, num(0), nums(16), nums(1), "\x89", ordered, glob("torch", "float8_e4m3fn"))
	u8 := tens(byteStorage, 0, []int64{16}, []int64{1})
	// __new__ of OrderedDict ignores its arguments.
	refused(t, archiveOf(object(od+tuple("]"+tuple(text("w"), four)+"a")+"\x81")), "OrderedDict can't be made this way")
	// The state of a tensor would be its values.
	refused(t, archiveOf(object(dict(text("w"), call(glob("torch._utils", "_rebuild_parameter"), four, "\x89", ordered)+state+"b"))), "state of a tensor")
	refused(t, archiveOf(object(dict(text("w"), four+state+"b"))), "state of a tensor")
	// The last value of a key counts.
	refused(t, archiveOf(object(dict(text("model"), dict(text("w"), four), text("model"), "N"))), "twice")
	// Bytes and untyped bytes may share a storage, in either order.
	for _, d := range []string{dict(text("a"), u8, text("b"), f8), dict(text("b"), f8, text("a"), u8)} {
		_, values, err := open(t, archiveOf(object(d)))
		if err != nil || len(values) != 2 || values["a"] != floats || values["b"] != floats {
			t.Errorf("%q, %v", values, err)
		}
	}
	// A legacy stream has one table of storages and views, by key.
	view := func(key string, n int64) string {
		return persistent6(float, "7", 4, tuple(text(key), num(1), num(n)))
	}
	two := func(a, b string) []byte {
		d := dict(text("a"), tens(a, 0, []int64{1}, []int64{1}), text("b"), tens(b, 0, []int64{1}, []int64{1}))
		return legacyOf(object(d), object("]"+text("7")+"a"), count(4)+floats)
	}
	if _, _, err := open(t, two(view("8", 2), view("9", 2))); err != nil {
		t.Error(err)
	}
	refused(t, two(view("8", 2), view("8", 3)), "two places")
	refused(t, two(view("7", 2), view("8", 3)), "also a view")
	refused(t, two(view("8", 2), persistent6(float, "8", 4, "N")), "also a view")
}

func TestHostileArchives(t *testing.T) {
	pkl := object(dict(text("w"), four))
	// torch takes the last end record, whatever its comment's length.
	other := string(zipFile(ending{}, records(object("}"))...))
	refused(t, zipFile(ending{comment: other + "x"}, records(pkl)...), "end record")
	// torch finds names in either case.
	refused(t, zipFile(ending{}, records(pkl, item{name: "m/DATA/0", body: floats})...), "twice")
	refused(t, zipFile(ending{}, records(pkl, item{name: "m/Data.pkl", body: pkl})...), "twice")
	// A directory is held in memory.
	long := strings.Repeat("n", 60_000)
	var many []item
	for i := range 600 {
		many = append(many, item{name: fmt.Sprint("m/", i, long)})
	}
	refused(t, zipFile(ending{}, records(pkl, many...)...), "entries")
	// Empty blocks take time to unpack and give nothing.
	r := records(pkl)
	r[0] = item{name: "m/data.pkl", body: strings.Repeat("x", maxUnpacked+1), method: deflated}
	refused(t, zipFile(ending{}, r...), "compressed")
	r[0] = item{name: "m/data.pkl", body: pkl, method: deflated, crc: crc32.ChecksumIEEE([]byte(pkl))}
	if _, _, err := open(t, zipFile(ending{}, r...)); err != nil {
		t.Error(err)
	}
}
