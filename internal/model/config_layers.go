package model

import (
	"bytes"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// layerFields are lists of config.json with one entry for each layer.
var layerFields = []string{"layer_types", "layers_block_type", "block_types", "mlp_layer_types", "no_rope_layers", "attention_layers"}

// A LayerSettings says whose entries of such lists a layer has.
type LayerSettings struct {
	Config *Config
	Layer  int
}

// SetLayers makes the number of layers, and the lists with an entry for each of
// them, true for a model that is put together of the given layers.
func (c *Config) SetLayers(layers []LayerSettings) {
	depth, known := c.Int(depthFields...)
	for _, sub := range textConfigs {
		for _, name := range layerFields {
			own := c.list(sub, name)
			if !known || len(own) == 0 || int64(len(own)) != depth {
				continue
			}
			values := make([]string, len(layers))
			for i, l := range layers {
				list := own
				if l.Config != nil {
					if theirs := l.Config.list(sub, name); l.Layer < len(theirs) {
						list = theirs
					}
				}
				values[i] = list[min(l.Layer, len(list)-1)]
			}
			c.setList(sub, name, values)
		}
	}
	c.SetInt(int64(len(layers)), depthFields...)
}

// SetInt gives the member that Int finds by these names another value.
func (c *Config) SetInt(value int64, names ...string) {
	for _, sub := range textConfigs {
		for _, name := range names {
			if f := c.find(sub, name); f != nil && f.kind == '0' {
				c.raw = splice(c.raw, f.valStart, f.valEnd, strconv.FormatInt(value, 10))
				c.rescan()
				return
			}
		}
	}
}

// list gives the entries of a list as JSON text, nil when the member is none.
func (c *Config) list(sub, name string) []string {
	d := jsontext.NewDecoder(bytes.NewReader(c.rawIn(sub, name)))
	if tok, err := d.ReadToken(); err != nil || tok.Kind() != '[' {
		return nil
	}
	var out []string
	for d.PeekKind() != ']' {
		v, err := d.ReadValue()
		if err != nil {
			return nil
		}
		out = append(out, string(v))
	}
	return out
}

// setList replaces a list that has entries, and keeps the white space.
func (c *Config) setList(sub, name string, values []string) {
	f := c.find(sub, name)
	old := c.raw[f.valStart:f.valEnd]
	inner := bytes.TrimSpace(old[1 : len(old)-1])
	lead := old[1 : 1+bytes.Index(old[1:], inner)]
	trail := old[1+len(lead)+len(inner) : len(old)-1]
	sep := append([]byte{','}, lead...)
	if len(lead) == 0 {
		sep = []byte(", ")
	}
	b := append([]byte{'['}, lead...)
	for i, v := range values {
		if i > 0 {
			b = append(b, sep...)
		}
		b = append(b, v...)
	}
	b = append(append(b, trail...), ']')
	c.raw = splice(c.raw, f.valStart, f.valEnd, string(b))
	c.rescan()
}
