package model

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

// A LayerSettings says what layer of which model an output layer is.
type LayerSettings struct {
	Config *Config // nil without a config.json
	Layer  int
	Depth  int // of the model's stack
}

// A LayerIssue is a setting by which an output layer would be of another kind
// than it was.
type LayerIssue struct {
	Key   string // "" for a default of the class
	Layer int    // of the output
	Has   string // its kind
	Gets  string // by the output's config.json
	// Like is a layer of the same model that is of the kind Gets there; -1 if
	// there is none.
	Like int
}

// A LayerReport lists the entries that SetLayers could not correct, and those
// about which a user should know.
type LayerReport struct {
	Issues []LayerIssue // the first one of each setting comes first
	Notes  []string
}

// A relayer edits a config for a model that is put together of other layers.
type relayer struct {
	layers []LayerSettings
	depth  int // before
	extra  int // layers behind them, for multi-token prediction
	path   string
	parts  map[*Config]*Config // the language part of each source
	report LayerReport
}

// SetLayers makes the config true for a model that is put together of the given
// layers: their number, the lists with an entry for each of them or with the
// numbers of some, and the rules that say which layer is of which kind. stack
// is the name before the numbers in the names of the primary's tensors, depth
// how many layers it has there.
func (c *Config) SetLayers(stack string, depth int, layers []LayerSettings) LayerReport {
	r := &relayer{layers: layers, depth: depth, path: c.TextPath(), parts: map[*Config]*Config{}}
	part, err := c.object(r.path)
	if err != nil {
		return r.report
	}
	part.family = c.String("model_type")
	for _, key := range []string{"num_nextn_predict_layers", "num_mtp_layers"} {
		r.extra = max(r.extra, part.number(key, 0))
	}
	r.rebuild(part, "", 0)
	r.setDepth(part, stack)
	r.axes(part)
	r.scales(part)
	c.replace(r.path, part)
	if r.path != "" { // older releases repeat the text settings at the top
		top, err := c.object("")
		if err != nil {
			return r.report
		}
		r.repeat(top, stack)
		c.replace("", top)
	}
	return r.report
}

func (r *relayer) note(format string, args ...any) {
	r.report.Notes = append(r.report.Notes, fmt.Sprintf(format, args...))
}

// part returns the language part of a source's config.
func (r *relayer) part(c *Config) *Config {
	if c == nil {
		return nil
	}
	part, ok := r.parts[c]
	if !ok {
		part = c.LanguagePart()
		r.parts[c] = part
	}
	return part
}

// axes checks the rules that say of which kind a layer is, and changes them
// where they can be made true.
func (r *relayer) axes(c *Config) {
	for k := range layerAxes {
		x := &layerAxes[k]
		want := r.wanted(x)
		if want == nil || x.rule(c) == nil {
			continue
		}
		kinds := func() []string {
			if kinds := x.kindsOf(c, len(r.layers)); kinds != nil {
				return kinds
			}
			return make([]string, len(r.layers)) // too short for so many
		}
		got := kinds()
		differ := func() int {
			for j := range want {
				if want[j] != "" && want[j] != got[j] {
					return j
				}
			}
			return -1
		}
		if differ() < 0 {
			continue
		}
		if !slices.Contains(want, "") {
			before := bytes.Clone(c.raw)
			if x.fix(c, want) {
				if got = kinds(); differ() < 0 {
					continue
				}
				c.raw = before
				c.rescan()
				got = kinds()
			}
		}
		for j := range want {
			if want[j] == "" || want[j] == got[j] {
				continue
			}
			if got[j] == "" {
				got[j] = "nothing"
			}
			l := r.layers[j]
			like := -1
			if part := r.part(l.Config); part != nil {
				like = slices.Index(x.kindsOf(part, l.Depth), got[j])
			}
			r.report.Issues = append(r.report.Issues, LayerIssue{Key: x.key(c), Layer: j, Has: want[j], Gets: got[j], Like: like})
		}
	}
}

// wanted returns the kinds that the layers had, "" where their config does not say;
// nil where none says.
func (r *relayer) wanted(x *layerAxis) []string {
	kinds := map[*Config][]string{}
	want := make([]string, len(r.layers))
	said := false
	for j, l := range r.layers {
		own, ok := kinds[l.Config]
		if !ok {
			if part := r.part(l.Config); part != nil {
				own = x.kindsOf(part, l.Depth)
			}
			kinds[l.Config] = own
		}
		if l.Layer < len(own) {
			want[j], said = own[l.Layer], true
		}
	}
	if !said {
		return nil
	}
	return want
}

// scales says what transformers works out from the place of a layer or from
// their number.
func (r *relayer) scales(c *Config) {
	moved := -1
	for j, l := range r.layers {
		if l.Layer != j {
			moved = j
			break
		}
	}
	if moved >= 0 && c.isTrue("scale_attn_by_inverse_layer_idx", false) {
		r.note("scale_attn_by_inverse_layer_idx is true: layer %d of the output scales its attention by its new place, not by %d as before", moved, r.layers[moved].Layer)
	}
	number := placeNumbers[c.layerFamily()]
	switch {
	case number != "" && moved >= 0:
		r.note("%s depends on the place of a layer: in layer %d of the output it is no longer that of layer %d", number, moved, r.layers[moved].Layer)
	case number != "" && len(r.layers) != r.depth:
		r.note("%s depends on the place of a layer among all of them, of which there are now %d and no longer %d", number, len(r.layers), r.depth)
	}
	if _, err := strconv.ParseFloat(string(c.Raw("scale_depth")), 64); err == nil && len(r.layers) != r.depth {
		r.note("scale_depth depends on the number of layers, which is now %d and no longer %d: every layer adds less or more than before", len(r.layers), r.depth)
	}
}

// SetInt gives the member that Int finds by these names another value.
func (c *Config) SetInt(value int64, names ...string) {
	for _, sub := range c.textPaths() {
		for _, name := range names {
			if f := c.find(sub, name); f != nil && f.kind == '0' {
				c.raw = splice(c.raw, f.valStart, f.valEnd, strconv.FormatInt(value, 10))
				c.rescan()
				return
			}
		}
	}
}
