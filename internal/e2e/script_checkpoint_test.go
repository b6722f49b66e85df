package e2e

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// mkcheckpoint FILE ENTRY=VALUES...: writes a PyTorch checkpoint as trainers
// do, with dicts in dicts. ENTRY is a path of keys with slashes between. VALUES
// are numbers with commas between, which make a tensor of F32; one number with
// an @ before it, which makes one without dimensions; [] for an empty tensor; or
// anything else, which is a text.
func cmdMkcheckpoint(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 1, "mkcheckpoint file entry=values...")
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	w := &checkpointWriter{top: &checkpointDict{}, zip: zip.NewWriter(f)}
	for _, arg := range args[1:] {
		path, value, ok := strings.Cut(arg, "=")
		if !ok {
			ts.Fatalf("mkcheckpoint: %q has no values", arg)
		}
		keys := strings.Split(path, "/")
		d := w.top
		for _, k := range keys[:len(keys)-1] {
			d = d.dict(k)
		}
		text, err := w.value(value)
		ts.Check(err)
		d.keys, d.values = append(d.keys, keys[len(keys)-1]), append(d.values, text)
	}
	ts.Check(w.record("data.pkl", "\x80\x02"+w.top.pickle()+"."))
	ts.Check(w.record("version", "3\n"))
	ts.Check(w.zip.Close())
	ts.Check(f.Close())
}

// A checkpointDict is a dict to be pickled: its values are pickles or, where
// these are empty, the dicts of dicts.
type checkpointDict struct {
	keys, values []string
	dicts        map[string]*checkpointDict
}

func (d *checkpointDict) dict(key string) *checkpointDict {
	if d.dicts == nil {
		d.dicts = make(map[string]*checkpointDict)
	}
	if d.dicts[key] == nil {
		d.dicts[key] = &checkpointDict{}
		d.keys, d.values = append(d.keys, key), append(d.values, "")
	}
	return d.dicts[key]
}

func (d *checkpointDict) pickle() string {
	s := "}("
	for i, key := range d.keys {
		value := d.values[i]
		if value == "" {
			value = d.dicts[key].pickle()
		}
		s += pickledText(key) + value
	}
	return s + "u"
}

func pickledText(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

type checkpointWriter struct {
	top     *checkpointDict
	zip     *zip.Writer
	records int
}

func (w *checkpointWriter) record(name, body string) error {
	r, err := w.zip.CreateHeader(&zip.FileHeader{Name: "archive/" + name, Method: zip.Store})
	if err == nil {
		_, err = r.Write([]byte(body))
	}
	return err
}

// value pickles a value and writes its storage.
func (w *checkpointWriter) value(text string) (string, error) {
	var data []byte
	n := 0
	list, scalar := strings.CutPrefix(text, "@")
	if text != "[]" {
		for number := range strings.SplitSeq(list, ",") {
			v, err := strconv.ParseFloat(number, 32)
			if err != nil {
				return pickledText(text), nil
			}
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
			n++
		}
	}
	key := strconv.Itoa(w.records)
	w.records++
	shape, stride := fmt.Sprintf("K%c\x85", n), "K\x01\x85"
	if scalar {
		shape, stride = ")", ")"
	}
	return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickledText("storage") + "ctorch\nFloatStorage\n" + pickledText(key) + pickledText("cpu") +
		fmt.Sprintf("K%ctQK\x00", n) + shape + stride + "\x89ccollections\nOrderedDict\n)RtR", w.record("data/"+key, string(data))
}
