package testmodel

import (
	"archive/zip"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// WriteCheckpoint writes a PyTorch checkpoint as trainers do, with dicts in
// dicts. An entry is PATH=VALUES. PATH is keys with slashes between. VALUES are
// numbers with commas between, which make a tensor of F32; one number with an @
// before it, which makes one without dimensions; [] for an empty tensor; or
// anything else, which is a text.
func WriteCheckpoint(w io.Writer, entries ...string) error {
	c := checkpoint{zip: zip.NewWriter(w)}
	top := &dict{}
	for _, e := range entries {
		path, value, ok := strings.Cut(e, "=")
		if !ok {
			return fmt.Errorf("testmodel: %q has no values", e)
		}
		keys := strings.Split(path, "/")
		d := top
		for _, k := range keys[:len(keys)-1] {
			d = d.dict(k)
		}
		text, err := c.value(value)
		if err != nil {
			return err
		}
		d.keys, d.values = append(d.keys, keys[len(keys)-1]), append(d.values, text)
	}
	if err := c.record("data.pkl", "\x80\x02"+top.pickle()+"."); err != nil {
		return err
	}
	if err := c.record("version", "3\n"); err != nil {
		return err
	}
	return c.zip.Close()
}

// A dict is to be pickled: its values are pickles or, where these are empty,
// the dicts of dicts.
type dict struct {
	keys, values []string
	dicts        map[string]*dict
}

func (d *dict) dict(key string) *dict {
	if d.dicts == nil {
		d.dicts = make(map[string]*dict)
	}
	if d.dicts[key] == nil {
		d.dicts[key] = &dict{}
		d.keys, d.values = append(d.keys, key), append(d.values, "")
	}
	return d.dicts[key]
}

func (d *dict) pickle() string {
	s := "}("
	for i, key := range d.keys {
		value := d.values[i]
		if value == "" {
			value = d.dicts[key].pickle()
		}
		s += pickled(key) + value
	}
	return s + "u"
}

// pickled returns the pickle of a text.
func pickled(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

// A checkpoint is the archive that is being written.
type checkpoint struct {
	zip      *zip.Writer
	storages int
}

func (c *checkpoint) record(name, body string) error {
	r, err := c.zip.CreateHeader(&zip.FileHeader{Name: "archive/" + name, Method: zip.Store})
	if err == nil {
		_, err = r.Write([]byte(body))
	}
	return err
}

// value pickles a value and writes its storage.
func (c *checkpoint) value(text string) (string, error) {
	var data []byte
	n := 0
	list, scalar := strings.CutPrefix(text, "@")
	if text != "[]" {
		for number := range strings.SplitSeq(list, ",") {
			v, err := strconv.ParseFloat(number, 32)
			if err != nil {
				return pickled(text), nil
			}
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
			n++
		}
	}
	key := strconv.Itoa(c.storages)
	c.storages++
	shape, stride := fmt.Sprintf("K%c\x85", n), "K\x01\x85"
	if scalar {
		shape, stride = ")", ")"
	}
	return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickled("storage") + "ctorch\nFloatStorage\n" + pickled(key) + pickled("cpu") +
		fmt.Sprintf("K%ctQK\x00", n) + shape + stride + "\x89ccollections\nOrderedDict\n)RtR", c.record("data/"+key, string(data))
}
