package torchbin

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// refused opens a file that must be refused with a message of one clean line
// that holds all of words.
func refused(t *testing.T, b []byte, words ...string) {
	t.Helper()
	_, _, err := open(t, b)
	var fe *FormatError
	if !errors.As(err, &fe) {
		t.Fatalf("error is %v, want a *FormatError with %q", err, words)
	}
	for _, w := range words {
		if !strings.Contains(fe.Reason, w) {
			t.Errorf("%q lacks %q", fe.Reason, w)
		}
	}
	if len(fe.Reason) > 2000 || strings.ContainsFunc(fe.Reason, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("not one short line: %q", fe.Reason)
	}
}

func TestRefusedGlobals(t *testing.T) {
	for _, g := range [][2]string{
		{"os", "system"}, {"posix", "system"}, {"nt", "system"}, {"builtins", "eval"}, {"__builtin__", "eval"},
		{"builtins", "exec"}, {"builtins", "getattr"}, {"builtins", "__import__"}, {"builtins", "open"},
		{"subprocess", "Popen"}, {"socket", "socket"}, {"ctypes", "CDLL"}, {"_pickle", "loads"}, {"runpy", "_run_code"},
		{"pty", "spawn"}, {"pip", "main"}, {"webbrowser", "open"}, {"shutil", "copyfile"},
		{"operator", "attrgetter"}, {"functools", "partial"}, {"pkgutil", "resolve_name"}, {"pydoc", "locate"},
		{"torch.serialization", "load"}, {"torch.jit.unsupported_tensor_ops", "execWrapper"},
		{"torch", "FloatStorage.from_file"}, {"torch", "os.system"}, {"collections", "OrderedDict.fromkeys"},
		{"types", "CodeType"}, {"cloudpickle.cloudpickle", "_builtin_type"}, {"sys", "modules"},
		{"builtins", "list"}, {"__builtin__", "object"}, {"copy_reg", "_reconstructor"}, {"array", "_array_reconstructor"},
		{"", ""}, {"torch._utils", "_rebuild_tensor_v2 "}, {"torch._utils", "_rebuild_sparse_tensor"},
	} {
		used := call(glob(g[0], g[1]), text("true"))
		place := "at byte "
		refused(t, archiveOf(object(used)), g[0], g[1], place)
		refused(t, archiveOf(object(dict(text("w"), four, text("x"), used))), g[0], g[1], place)
		refused(t, archiveOf(object(dict(text("w"), four, used, "N"))), g[0], g[1], place)
		refused(t, legacyOf(object(dict(text("x"), used)), object("]"), ""), g[0], g[1], place)
	}
	refused(t, archiveOf(object("cos\r\nsystem\n.")), `os\r.system`)
	refused(t, archiveOf(object("c\xf8mod\nx\n.")), "GLOBAL")
}

// In an archive bytes are counted from the beginning of data.pkl, as
// pickletools does, in a stream from that of the file.
func TestPlaces(t *testing.T) {
	pkl := object("N", glob("os", "system"), ")R")
	refused(t, archiveOf(pkl), "data.pkl: opcode GLOBAL (0x63) at byte 3: ")
	r := records(pkl)
	r[0].method = deflated
	refused(t, zipFile(ending{}, r...), "data.pkl: opcode GLOBAL (0x63) at byte 3: ")
	b := legacyOf(pkl, "", "")
	refused(t, b, fmt.Sprintf("the object: opcode GLOBAL (0x63) at byte %d: ", strings.Index(string(b), "cos\n")))
	refused(t, archiveOf(object(glob("torch", "Size"), nums(1), "\x81")), "at byte 18: ")
}

func TestRefusedPickles(t *testing.T) {
	storage := persistent(float, "0", 4)
	build := func(target, state string) string {
		return object(dict(text("w"), four, text("x"), target+state+"b"))
	}
	v2with := func(args ...string) string { return object(dict(text("w"), call(v2, args...))) }
	good := []string{storage, num(0), nums(4), nums(1), "\x89", ordered}
	with := func(i int, arg string) string {
		args := append([]string(nil), good...)
		args[i] = arg
		return v2with(args...)
	}
	for _, c := range []struct{ name, pkl, word string }{
		// 2, 3: other ways to name or call
		{"stack global", object(text("os"), text("system"), "\x93"), "STACK_GLOBAL"},
		{"inst", object("(ios\nsystem\n"), "os.system"},
		{"obj", object("(", float, "o"), "OBJ"},
		{"newobj", object(float, ")\x81"), "can't be made"},
		{"newobj ex", object("\x92"), "NEWOBJ_EX"},
		{"ext1", object("\x82\x01"), "EXT1"},
		{"persid", object("Pabc\n"), "PERSID"},
		{"next buffer", object("\x97"), "NEXT_BUFFER"},
		{"unicode", object("Vos\n"), "UNICODE"},
		{"get", object("g0\n"), "GET"},
		{"unknown", object("\xff"), "unknown"},
		// 5: wrong targets
		{"build global", build(float, "}"), "BUILD"},
		{"build dict", build("}", "}"), "BUILD"},
		{"build int", build(num(1), "N"), "BUILD"},
		{"build storage", build(storage, "}"), "BUILD"},
		{"build opaque", build(call(glob("torch", "Size"), nums(1)), "}"), "BUILD"},
		{"build class", build(ordered, dict(text("__class__"), num(1))), "__class__"},
		{"build slots", build(ordered, tuple("}", "}")), "no dict"},
		{"build one", object("}b"), "needs 2"},
		{"setitem int", object(num(1), num(2), num(3), "s"), "SETITEM"},
		{"setitems tensor", object(four, "(", text("a"), "Nu"), "SETITEMS"},
		{"append dict", object("}Na"), "APPEND"},
		{"key list", object("}]Ns"), "a key"},
		{"key in pairs", object(call(glob("collections", "OrderedDict"), "]("+"](]Ne"+"e")), "a key"},
		// 7: arguments
		{"arity 5", v2with(good[:5]...), "arguments"},
		{"arity 8", v2with(append(good[:6:6], "N", "N")...), "arguments"},
		{"no storage", with(0, "N"), "storage"},
		{"offset float", with(1, "G\x00\x00\x00\x00\x00\x00\x00\x00"), "offset"},
		{"offset bool", with(1, "\x89"), "offset"},
		{"offset negative", with(1, num(-1)), "offset"},
		{"offset past", with(1, num(1)), "reach"},
		{"offset 2^62", with(1, num(1<<62)), "offset"},
		{"offset 2^80", with(1, huge(80)), "offset"},
		{"size list", with(2, "](K\x04e"), "tuple"},
		{"size text", with(2, tuple(text("4"))), "integer"},
		{"size 5", with(2, nums(5)), "reach"},
		{"size negative", with(2, nums(-4)), "integer"},
		{"size 2^63", with(2, tuple(huge(63))), "integer"},
		{"size overflow", object(dict(text("w"), call(v2, storage, num(0), nums(1<<40, 1<<40), nums(0, 0), "\x89", ordered))), "too large"},
		{"expanded", object(dict(text("w"), call(v2, storage, num(0), nums(1<<20, 1<<20), nums(0, 0), "\x89", ordered))), "expanded"},
		{"stride rank", with(3, nums(1, 1)), "strides"},
		{"stride none", with(3, "N"), "tuple"},
		{"stride negative", with(3, nums(-1)), "integer"},
		{"stride wraps", with(3, nums(1<<62)), "reach"},
		{"grad", with(4, num(0)), "requires_grad"},
		{"hooks", with(5, ordered+text("a")+"Ns"), "hooks"},
		{"conj", v2with(append(good[:6:6], dict(text("conj"), "\x88"))...), "conjugated"},
		{"neg", v2with(append(good[:6:6], dict(text("neg"), "\x88"))...), "negated"},
		{"v3 dtype", object(dict(text("w"), call(v3, persistent(glob("torch.storage", "UntypedStorage"), "0", 16), num(0), nums(4), nums(1), "\x89", ordered, text("f")))), "dtype"},
		{"v3 complex128", object(dict(text("w"), call(v3, persistent(glob("torch.storage", "UntypedStorage"), "0", 16), num(0), nums(1), nums(1), "\x89", ordered, glob("torch", "complex128")))), "complex128"},
		{"v3 floats", object(dict(text("w"), call(v3, persistent(float, "0", 4), num(0), nums(1), nums(1), "\x89", ordered, glob("torch", "float8_e4m3fn")))), "bytes"},
		{"class text", with(0, persistent(text("FloatStorage"), "0", 4)), "class"},
		{"class function", with(0, persistent(v2, "0", 4)), "class"},
		{"key path", with(0, persistent(float, "../0", 4)), "single name"},
		{"key nul", with(0, persistent(float, "0\x00", 4)), "single name"},
		{"key empty", with(0, persistent(float, "", 4)), "single name"},
		{"key missing", with(0, persistent(float, "1", 4)), "lacks"},
		{"count negative", with(0, persistent(float, "0", -1)), "count"},
		{"count short", with(0, persistent(float, "0", 3)), "reach"},
		{"count wrong", object(dict(text("w"), tens(persistent(float, "0", 5), 0, []int64{4}, []int64{1}))), "declared"},
		{"two counts", object(dict(text("a"), four, text("b"), tens(persistent(float, "0", 5), 0, nil, nil))), "two classes"},
		{"two classes", object(dict(text("a"), four, text("b"), tens(persistent(glob("torch", "IntStorage"), "0", 4), 0, nil, nil))), "two classes"},
		{"meta", with(0, tuple(text("storage"), float, text("0"), text("meta"), num(4))+"Q"), "meta"},
		{"persid list", object("]Q"), "tuple"},
		{"persid short", object(tuple(text("storage"), float), "Q"), "tuple of 5"},
		{"ordered int", object(call(glob("collections", "OrderedDict"), num(5))), "pairs"},
		{"reduce text", object(text("a"), ")R"), "called"},
		{"reduce tensor", object(four, ")R"), "called"},
		{"reduce class", object(call(float, num(4))), "can't be called"},
		{"encode nothing", object(glob("_codecs", "encode"), ")R"), "a text and an encoding"},
		{"parameter of none", object(call(glob("torch._utils", "_rebuild_parameter"), "N", "\x89", ordered)), "tensor"},
		{"type function", object(call(glob("torch._tensor", "_rebuild_from_type_v2"), glob("torch", "Size"), glob("torch", "Tensor"), ")", "}")), "function"},
		// 8, 9: broken streams
		{"empty", "", "without STOP"},
		{"only stop", ".", "not one value"},
		{"no stop", "\x80\x02}", "without STOP"},
		{"after stop", object(dict(text("w"), four)) + "\x00", "STOP"},
		{"two pickles", object(dict(text("w"), four)) + object("}"), "STOP"},
		{"cut", object(dict(text("w"), four))[:60], "ends in a name"},
		{"mark left", object("(}"), "marks"},
		{"left over", object("NN"), "not one value"},
		{"proto 4", "\x80\x04}.", "protocol 4"},
		{"proto late", "\x80\x02\x80\x02}.", "beginning"},
		{"frame", "\x80\x02\x95\xff\xff\xff\xff\xff\xff\xff\x7f}.", "FRAME"},
		{"text 4 GiB", object("X\xff\xff\xff\xff"), "BINUNICODE"},
		{"text utf-8", object("X\x01\x00\x00\x00\xff"), "UTF-8"},
		{"long1 255", object("\x8a\xff"), "LONG1"},
		{"long4", object("\x8b\xff\xff\xff\x7f"), "LONG4"},
		{"odd items", object("}(Nu"), "without a value"},
		{"no mark", object("}u"), "without a mark"},
		{"tuple1 at mark", object("N(\x85t"), "needs 1"},
		{"memo missing", object("h\x05"), "never written"},
		{"memo big", object("Nr\xff\xff\xff\xff"), "memo"},
		// 10: bombs
		{"marks", object(strings.Repeat("(", 1<<20)), "marks"},
		{"lists", object(strings.Repeat("]", 2<<20)), "more than"},
		{"deep tuples", object("N" + strings.Repeat("\x85", 3<<20)), "more than"},
		{"values", object("(" + strings.Repeat("N", 2<<20)), "more than"},
		{"dup", object("N2"), "DUP"},
		{"long text", object("L1" + strings.Repeat("0", 1<<20) + "\n"), "LONG"},
		{"pairs again", object("(](", strings.Repeat("](NNe", 1<<16), "eq\x00", strings.Repeat(glob("collections", "OrderedDict")+"h\x00\x85R", 64), "t"), "more than"},
		{"dimensions again", object("("+nums(make([]int64, 64)...)+"q\x00"+persistent(float, "0", 4)+"q\x01"+ordered+"q\x02"+v2+"q\x03",
			strings.Repeat("h\x03(h\x01K\x00h\x00h\x00\x89h\x02tR", 1<<16), "t"), "dimensions in all"},
		// results
		{"lone tensor", object(four), "lone tensor"},
		{"list", object("](" + four + "e"), "a list"},
		{"number", object(num(1)), "not a dict"},
		{"no tensors", object("}"), "no tensors"},
		{"int key", object(dict(text("w"), four, num(1), four)), "no text"},
		{"twice", object(dict(text("w"), four, text("w"), tens(storage, 0, []int64{4}, []int64{1}))), "twice"},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, archiveOf(c.pkl), c.word) })
	}
}

func TestRefusedArchives(t *testing.T) {
	pkl := object(dict(text("w"), four))
	change := func(i int, f func(*item)) []byte {
		r := records(pkl)
		f(&r[i])
		return zipFile(ending{}, r...)
	}
	without := func(i int) []byte {
		r := records(pkl)
		return zipFile(ending{}, append(r[:i:i], r[i+1:]...)...)
	}
	extra := func(name string) []byte { return zipFile(ending{}, records(pkl, item{name: name, body: "x"})...) }
	ends := func(e ending) []byte { return zipFile(e, records(pkl)...) }
	whole := ends(ending{})
	for _, c := range []struct {
		name string
		file []byte
		word string
	}{
		{"encrypted", change(0, func(i *item) { i.flags = 1 }), "encrypted"},
		{"patched", change(2, func(i *item) { i.flags = 0x20 }), "encrypted"},
		{"strong", change(2, func(i *item) { i.flags = 0x40 }), "encrypted"},
		{"masked", change(2, func(i *item) { i.flags = 0x2000 }), "encrypted"},
		{"local name", change(2, func(i *item) { i.local = "m/data/1" }), "local header"},
		{"local method", change(2, func(i *item) { i.localMethod = -1 }), "disagrees"},
		{"other size", change(2, func(i *item) { i.size = 20 }), "overlaps"},
		{"same header", zipFile(ending{}, records(pkl, item{name: "m/x", body: "", header: 1})...), "overlaps"},
		{"past the end", change(3, func(i *item) { i.header = 1 << 30 }), "outside"},
		{"twice", extra("m/data/0"), "twice"},
		{"pickle twice", extra("m/data.pkl"), "twice"},
		{"dotdot", extra("m/../x"), "unsafe"},
		{"backslash", extra(`m/a\b`), "unsafe"},
		{"nul", extra("m/a\x00"), "unsafe"},
		{"absolute", extra("/m/a"), "unsafe"},
		{"two prefixes", extra("n/a"), "folder"},
		{"no prefix", extra("a"), "folder"},
		{"torchscript", extra("m/constants.pkl"), "TorchScript"},
		{"code", extra("m/code/a.txt"), "TorchScript"},
		{"no pickle", without(0), "no data.pkl"},
		{"no version", without(3), "version"},
		{"no storage", without(2), "lacks"},
		{"version 11", change(3, func(i *item) { i.body = "11" }), "version"},
		{"version 0", change(3, func(i *item) { i.body = "0" }), "version"},
		{"version long", change(3, func(i *item) { i.body = strings.Repeat("3", 100) }), "version"},
		{"big", change(1, func(i *item) { i.body = "big" }), "byte order"},
		{"short", change(2, func(i *item) { i.body = floats[:15] }), "declared"},
		{"long", change(2, func(i *item) { i.body = floats + "x" }), "declared"},
		{"deflated storage", change(2, func(i *item) { i.method = deflated }), "compressed"},
		{"crc", change(0, func(i *item) { i.crc++ }), "damaged"},
		{"deflate bomb", change(0, func(i *item) { i.method, i.body, i.size = deflated, strings.Repeat("x", 1<<20), 100 }), "unpacked"},
		{"deflate large", change(0, func(i *item) { i.method, i.size = deflated, maxPickle+1 }), "more than"},
		{"deflate short", change(0, func(i *item) { i.method, i.size = deflated, len(pkl)+1 }), "unpacked"},
		{"method", change(0, func(i *item) { i.method = 12 }), "method"},
		{"count less", ends(ending{count: -1}), "directory"},
		{"count more", ends(ending{count: 1}), "entries"},
		{"directory size", ends(ending{cdSize: 1}), "directory"},
		{"directory place", ends(ending{cdOff: 1 << 20}), "directory"},
		{"disk", ends(ending{disk: 1}), "disks"},
		{"appended", ends(ending{after: "x"}), "end record"},
		{"cut", whole[:len(whole)/2], "end record"},
		{"empty archive", zipFile(ending{before: "PK\x03\x04"}), "empty"},
		{"before", zipFile(ending{before: "PK\x03\x04"}, records(pkl)...), "before the first"},
		// 11, 13: other files
		{"png", []byte("\x89PNG\r\n\x1a\n"), "neither"},
		{"nothing", nil, "neither"},
		{"tar", append(make([]byte, 257), "ustar\x0000"...), "tar"},
		{"bare pickle", []byte(object(dict(text("w"), four))), "bare pickle"},
		{"eval magic", []byte("\x80\x02c__builtin__\neval\n(X\x01\x00\x00\x001tR."), "bare pickle"},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, c.file, c.word) })
	}
}

func TestRefusedStreams(t *testing.T) {
	s := persistent6(float, "7", 4, "N")
	pkl := object(dict(text("w"), tens(s, 0, []int64{4}, []int64{1})))
	view := func(first, n int64) []byte {
		s := persistent6(float, "7", 4, tuple(text("8"), num(first), num(n)))
		return legacyOf(object(dict(text("w"), tens(s, 0, []int64{1}, []int64{1}))), object("]"+text("7")+"a"), count(4)+floats)
	}
	keys := object("]" + text("7") + "a")
	good := string(legacyOf(pkl, keys, count(4)+floats))
	if _, _, err := open(t, []byte(good)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, file, word string }{
		{"magic only", legacyMagic, "protocol"},
		{"protocol", legacyMagic + object(num(1002)), "protocol"},
		{"no info", legacyMagic + object(num(1001)) + object("]"), "system info"},
		{"big-endian", legacyMagic + object(num(1001)) + object(dict(text("little_endian"), "\x89")), "big-endian"},
		{"keys missing", string(legacyOf(pkl, object("]"), "")), "missing"},
		{"keys unknown", string(legacyOf(pkl, object("]"+text("9")+"a"), count(4)+floats)), "unknown"},
		{"keys twice", string(legacyOf(pkl, object("]("+text("7")+text("7")+"e"), count(4)+floats+count(4)+floats)), "twice"},
		{"keys numbers", string(legacyOf(pkl, object("]K\x07a"), count(4)+floats)), "no text"},
		{"keys dict", string(legacyOf(pkl, object("}"), count(4)+floats)), "no list"},
		{"count", string(legacyOf(pkl, keys, count(3)+floats)), "declared"},
		{"data short", good[:len(good)-1], "past the end"},
		{"cut object", good[:180], "byte"},
		{"view negative", string(view(-1, 2)), "view"},
		{"view past", string(view(3, 2)), "view"},
		{"five", string(legacyOf(object(dict(text("w"), four)), keys, count(4)+floats)), "tuple of 6"},
		{"module", string(legacyOf(object(tuple(text("module"), float, text("a.py"), text("x"))+"Q"), keys, "")), "module"},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, []byte(c.file), c.word) })
	}
}

// Every prefix of a good file, and every good file with one byte changed,
// ends in an error or a table, never in a panic.
func TestDamagedFiles(t *testing.T) {
	b, err := os.ReadFile("testdata/a-attributes-t215.bin")
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		c := append([]byte(nil), b...)
		for _, x := range []byte{0xff, 0x80, 0x01} {
			c[i] = b[i] ^ x
			open(t, c)
		}
		open(t, b[:i])
	}
}
