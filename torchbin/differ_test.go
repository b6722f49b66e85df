package torchbin

import (
	"fmt"
	"strings"
	"testing"
)

// What some mode of torch.load reads in another way than this package would, or
// what no mode reads, is refused. difffuzz.py looks for more of the kind.
func TestRefusedDifferences(t *testing.T) {
	parameter := func(state string) string {
		return object(dict(text("w"), call(glob("torch._utils", "_rebuild_parameter_with_state"), four, "\x89", ordered, state)))
	}
	fromType := func(function, state string) string {
		return object(dict(text("w"), call(glob("torch._tensor", "_rebuild_from_type_v2"), function, glob("torch", "Tensor"),
			tuple(persistent(float, "0", 4), num(0), nums(4), nums(1), "\x89", ordered), state)))
	}
	set := func(name, value string) string { return dict(text(name), value) }
	leaf := func(module, name string, args ...string) string {
		return object(dict(text("w"), four, text("x"), call(glob(module, name), args...)))
	}
	bytes16 := persistent(glob("torch.storage", "UntypedStorage"), "0", 16)
	integers := tens(persistent(glob("torch", "IntStorage"), "0", 4), 0, []int64{4}, []int64{1})
	for _, c := range []struct{ name, pkl, word string }{
		// Setters.
		{"data", parameter(set("data", four)), `"data"`},
		{"real", fromType(v2, set("real", four)), `"real"`},
		{"imag", fromType(v2, set("imag", four)), `"imag"`},
		{"in slots", parameter(tuple("N", set("data", four))), `"data"`},
		{"a method", parameter(set("detach", ordered)), `"detach"`},
		{"the class", parameter(set("__class__", glob("torch", "Tensor"))), `"__class__"`},
		{"attribute by number", parameter(dict(num(1), num(2))), "no text"},
		{"state of three", parameter(tuple("}", "}", "}")), "tuple of 3"},
		{"state of text", parameter(text("a")), "no dict"},
		{"state of an OrderedDict", object(ordered + text("w") + four + "s" + dict(text("items"), ordered, text("keys"), ordered) + "b"), `"items"`},
		{"state below", object(dict(text("w"), four, text("x"), ordered+set("get", "N")+"b")), `"get"`},
		// Calls that fail.
		{"too many for Parameter", object(dict(text("w"), call(glob("torch.nn.parameter", "Parameter"), four, "\x89", "N"))), "arguments"},
		{"too few", object(dict(text("w"), call(glob("torch._utils", "_rebuild_parameter"), four))), "arguments"},
		{"gradient of integers", object(dict(text("w"), call(glob("torch._utils", "_rebuild_parameter"), integers, "\x88", ordered))), "gradient"},
		{"gradient by default", object(dict(text("w"), call(glob("torch.nn.parameter", "Parameter"), integers))), "gradient"},
		{"gradient by v3", object(dict(text("w"), call(v3, bytes16, num(0), nums(1), nums(1), "\x88", ordered, glob("torch", "float32")))), "gradient"},
		{"Size of text", leaf("torch", "Size", tuple(text("a"))), "integers"},
		{"device nowhere", leaf("torch", "device", text("nowhere")), "device"},
		{"device twice numbered", leaf("torch", "device", text("cuda:0"), num(0)), "device"},
		{"encode beyond", leaf("_codecs", "encode", text("\u20ac"), text("latin1")), "latin1"},
		{"encode otherwise", leaf("_codecs", "encode", text("a"), text("rot13")), "latin1"},
		{"bytearray of a number", leaf("__builtin__", "bytearray", num(1<<40)), "bytes"},
		{"set of lists", leaf("builtins", "set", "](]e"), "item"},
		{"complex of text", leaf("__builtin__", "complex", text("1"), num(2)), "numbers"},
		{"Counter of numbers", leaf("collections", "Counter", num(3)), "dict"},
		{"Python 2's name in protocol 3", "\x80\x03" + leaf("__builtin__", "set")[2:], "protocol 3"},
		// Keys.
		{"tuple of a list", object(dict(text("w"), four, tuple("]"), "N")), "a key"},
		{"OrderedDict as a key", object(dict(text("w"), four, ordered, "N")), "a key"},
		{"put into a tensor", object(dict(text("w"), four+num(0)+num(1)+"s")), "a dict to put"},
		// torch sets the bit for the key alone.
		{"not negated", object(dict(text("w"), call(v2, persistent(float, "0", 4), num(0), nums(4), nums(1), "\x89", ordered, set("neg", "\x89")))), "negated"},
	} {
		t.Run(c.name, func(t *testing.T) { refused(t, archiveOf(c.pkl), c.word) })
	}
	t.Run("untyped in a stream", func(t *testing.T) {
		s := persistent6(glob("torch.storage", "UntypedStorage"), "0", 16, "N")
		pkl := object(dict(text("w"), call(v3, s, num(0), nums(4), nums(1), "\x89", ordered, glob("torch", "float32"))))
		refused(t, legacyOf(pkl, object("]"+text("0")+"a"), count(16)+floats), "untyped")
	})
}

// Attributes that say nothing about the values, and values of other kinds.
func TestHarmless(t *testing.T) {
	plain := dict(text("_is_hf_initialized"), "\x88", text("partition_dim"), num(0), text("note"), "N")
	for name, value := range map[string]string{
		"a parameter's": call(glob("torch._utils", "_rebuild_parameter_with_state"), four, "\x89", ordered, plain),
		"none":          call(glob("torch._utils", "_rebuild_parameter_with_state"), four, "\x89", ordered, "N"),
		"in slots":      call(glob("torch._utils", "_rebuild_parameter_with_state"), four, "\x89", ordered, tuple("N", plain)),
	} {
		t.Run(name, func(t *testing.T) {
			_, values, err := open(t, archiveOf(object(dict(text("w"), value))))
			if err != nil || values["w"] != floats {
				t.Errorf("%x, %v", values, err)
			}
		})
	}
	complexNumber := "G" + "\x3f\xf8" + strings.Repeat("\x00", 6)
	for _, value := range []string{
		call(glob("collections", "Counter"), dict(text("a"), num(2))), call(glob("collections", "Counter")),
		call(glob("builtins", "complex"), complexNumber, num(2)), call(glob("__builtin__", "bytearray"), text("\u00ff"), text("latin-1")),
		call(glob("__builtin__", "bytearray"), call(glob("_codecs", "encode"), text("\u00ff"), text("latin1"))),
		call(glob("builtins", "set"), "]("+num(1)+tuple(num(1), text("a"))+"e"), call(glob("torch", "device"), text("cuda"), num(3)),
		call(glob("torch", "Size"), nums(1, 2)), "\x8f", dict(tuple(num(1), num(2)), "N"),
	} {
		if _, values, err := open(t, archiveOf(object(dict(text("w"), four, text("x"), value)))); err != nil || len(values) != 1 {
			t.Errorf("%q: %v", value, err)
		}
	}
}

// A file has one meaning: ZIP readers differ in which of several records they
// take, and torch tries a tar archive before a stream.
func TestRefusedTwoMeanings(t *testing.T) {
	pkl := object(dict(text("w"), four))
	for _, extra := range []string{"m/BYTEORDER", "m/Data.pkl", "m/VERSION", "m/data/0", "m/Data/0", "m/.data/version"} {
		t.Run(extra, func(t *testing.T) {
			refused(t, zipFile(ending{}, records(pkl, item{name: extra, body: "big"})...), "the archive")
		})
	}
	for i, name := range []string{"m/DATA.pkl", "m/byteOrder", "m/data/0", "m/Version"} {
		if i == 2 {
			continue
		}
		r := records(pkl)
		r[i].name = name
		refused(t, zipFile(ending{}, r...), "only in case")
	}
	// The first eight bytes of safetensors are a length, the next is a brace.
	refused(t, zipFile(ending{}, records(pkl, item{name: "m/x", method: '{'})...), "method")

	stream := string(legacyOf(object(dict(text("w"), tens(persistent6(float, "7", 4, "N"), 0, []int64{4}, []int64{1}), text("x"), text(strings.Repeat(" ", 600)))),
		object("]"+text("7")+"a"), count(4)+floats))
	if _, _, err := open(t, []byte(stream)); err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"%06o\x00 ", "%07o\x00", "0o%05o\x00", " %05o  "} {
		b := []byte(legacyMagic + object(num(legacyProtocol)) + object(dict(text("a"), text(strings.Repeat(" ", 600)))))
		copy(b[148:156], "        ")
		sum := 0
		for _, c := range b[:512] {
			sum += int(c)
		}
		copy(b[148:156], fmt.Sprintf(form, sum))
		refused(t, b, "tar archive")
	}
}

// Protocol 3 changes the first bytes of each pickle of a stream, and nothing
// else.
func TestStreamOfProtocol3(t *testing.T) {
	s := persistent6(float, "7", 4, "N")
	b := string(legacyOf(object(dict(text("w"), tens(s, 0, []int64{4}, []int64{1}))), object("]"+text("7")+"a"), count(4)+floats))
	b = strings.ReplaceAll(b, "\x80\x02", "\x80\x03")
	c, values, err := open(t, []byte(b))
	if err != nil || values["w"] != floats || c.Format != "torch-legacy" {
		t.Errorf("%x, %v", values, err)
	}
	for _, protocol := range []string{"\x80\x04", "\x80\x05"} {
		refused(t, []byte(strings.ReplaceAll(b, "\x80\x03", protocol)), "protocol "+string('0'+protocol[1]))
	}
}
