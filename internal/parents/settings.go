package parents

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/text"
)

// A setting of config.json that changes what the weights mean though no shape
// tells.
type setting struct {
	names  []string // that the families of transformers give it
	absent bool     // whether leaving it out means something too
	grave  bool     // whether models that differ in it hardly ever merge well
}

var settings = []setting{
	{names: []string{"model_type"}, grave: true},
	{names: []string{"architectures"}},
	{names: []string{"hidden_act", "activation_function", "hidden_activation"}, grave: true},
	{names: []string{"max_position_embeddings", "n_positions", "max_seq_len"}},
	{names: []string{"sliding_window"}, absent: true},
	{names: []string{"layer_types"}},
	{names: []string{"rotary_pct", "partial_rotary_factor"}},
	{names: []string{"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps"}},
	{names: []string{"num_experts_per_tok"}},
	{names: []string{"bos_token_id"}},
	{names: []string{"eos_token_id"}},
}

// ropeNames hold the rotary embedding's settings: compareRope knows them.
var ropeNames = []string{"rope_theta", "rotary_emb_base", "rope_scaling", "rope_parameters"}

// formal are settings that are handled elsewhere, or that say nothing about the
// weights.
var formal = []string{"_name_or_path", "transformers_version", "transformers_weights", "torch_dtype", "dtype", "use_cache", "vocab_size",
	"tie_word_embeddings", "auto_map", "text_config", "llm_config", "language_config"}

// compareSettings warns about settings of the config.json of the primary and
// another parent that differ and matter, and counts the rest.
func (c *comparison) compareSettings() {
	x, y := c.a.Config.LanguagePart(), c.b.Config.LanguagePart()
	if x != c.a.Config { // both parts and the whole can name them
		for _, name := range []string{"model_type", "architectures"} {
			c.compareSetting(setting{names: []string{name}, grave: name == "model_type"}, c.a.Config, c.b.Config)
		}
	}
	for _, s := range settings {
		c.compareSetting(s, x, y)
	}
	c.compareRope(x, y)
	known := slices.Concat(formal, ropeNames)
	for _, s := range settings {
		known = append(known, s.names...)
	}
	for _, names := range sizes {
		known = append(known, names...)
	}
	var others []string
	for _, name := range append(x.Names(), y.Names()...) {
		if !slices.Contains(known, name) && !slices.Contains(others, name) && !model.SameJSON(x.Raw(name), y.Raw(name)) {
			others = append(others, name)
		}
	}
	if n := len(others); n > 0 {
		var list text.Names
		for _, name := range others {
			list.Add(name, "")
		}
		c.add(Setting, "%s of config.json %s in %s and %s: %s", text.Count(n, "other setting"), text.Verb(n, "differs", "differ"), c.a.Name(), c.b.Name(), &list)
	}
}

func (c *comparison) compareSetting(s setting, x, y *model.Config) {
	first := func(c *model.Config) (name string, value []byte) {
		for _, name := range s.names {
			if v := c.Raw(name); v != nil && string(v) != "null" {
				return name, v
			}
		}
		return s.names[0], nil
	}
	name, vx := first(x)
	_, vy := first(y)
	if (vx == nil || vy == nil) && !s.absent || model.SameJSON(vx, vy) {
		return
	}
	c.differs(s.grave, name, vx, vy)
}

func (c *comparison) differs(grave bool, name string, x, y []byte) {
	say := c.warn
	if grave {
		say = c.grave
	}
	say("%s differs: %s in %s, %s in %s (the primary's is kept)", name, orNone(x), c.a.Name(), orNone(y), c.b.Name())
}

func orNone(v []byte) string {
	if v == nil {
		return "none"
	}
	return clip(squeeze(v))
}

// compareRope compares the rotary embeddings, which transformers 4 and 5 write
// in different ways: rope_theta and rope_scaling, or all in rope_parameters.
func (c *comparison) compareRope(x, y *model.Config) {
	thetaX, restX := rope(x)
	thetaY, restY := rope(y)
	if thetaX != nil && thetaY != nil && !model.SameJSON(thetaX, thetaY) {
		c.differs(true, "rope_theta", thetaX, thetaY)
	}
	if !model.SameJSON(restX, restY) {
		name := "rope_scaling"
		if x.Has("rope_parameters") {
			name = "rope_parameters"
		}
		c.differs(true, name, restX, restY)
	}
}

// rope takes the settings of the rotary embedding apart: the base of its
// frequencies, and all the rest as one JSON object; nil where it is not said.
func rope(c *model.Config) (theta, rest []byte) {
	for _, name := range []string{"rope_theta", "rotary_emb_base"} {
		if v := c.Raw(name); v != nil && string(v) != "null" {
			theta = v
		}
	}
	members := map[string]json.RawMessage{}
	for _, name := range []string{"rope_scaling", "rope_parameters"} {
		var more map[string]json.RawMessage
		if json.Unmarshal(c.Raw(name), &more) == nil {
			maps.Copy(members, more)
		}
	}
	if v, ok := members["rope_theta"]; ok {
		theta = v
		delete(members, "rope_theta")
	}
	if v, ok := members["type"]; ok { // the older name
		delete(members, "type")
		members["rope_type"] = v
	}
	if string(members["rope_type"]) == `"default"` {
		delete(members, "rope_type")
	}
	if len(members) == 0 {
		return theta, nil
	}
	rest, err := json.Marshal(members)
	if err != nil {
		return theta, nil
	}
	return theta, rest
}

// squeeze takes the white space out of JSON text so that layout is no
// difference. Strings with spaces in them keep their meaning for comparison.
func squeeze(v []byte) []byte { return bytes.Join(bytes.Fields(v), nil) }

func clip(v []byte) string {
	const max = 80
	if len(v) > max {
		return fmt.Sprintf("%q...", v[:max])
	}
	return text.Quote(strings.ReplaceAll(string(v), `"`, ""))
}
