package plan

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/model"
	"slerpmerge/internal/tokenizer"
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
func (p *planner) compareSettings(b *model.Model) {
	x, y := p.Primary.Config.LanguagePart(), b.Config.LanguagePart()
	if x != p.Primary.Config { // both parts and the whole can name them
		for _, name := range []string{"model_type", "architectures"} {
			p.compareSetting(setting{names: []string{name}, grave: name == "model_type"}, p.Primary.Config, b.Config, b)
		}
	}
	for _, s := range settings {
		p.compareSetting(s, x, y, b)
	}
	p.compareRope(x, y, b)
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
		var list mismatch
		for _, name := range others {
			list.add(name, "")
		}
		p.Differences = append(p.Differences, fmt.Sprintf("%s of config.json %s in %s and %s: %s", count(n, "other setting"), verb(n, "differs", "differ"), p.Primary.Name(), b.Name(), list.list()))
	}
}

func (p *planner) compareSetting(s setting, x, y *model.Config, b *model.Model) {
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
	p.differs(s.grave, name, vx, vy, b)
}

func (p *planner) differs(grave bool, name string, x, y []byte, b *model.Model) {
	say := p.warn
	if grave {
		say = p.warnFirst
	}
	say("%s differs: %s in %s, %s in %s (the primary's is kept)", name, orNone(x), p.Primary.Name(), orNone(y), b.Name())
}

func orNone(v []byte) string {
	if v == nil {
		return "none"
	}
	return clip(squeeze(v))
}

// compareRope compares the rotary embeddings, which transformers 4 and 5 write
// in different ways: rope_theta and rope_scaling, or all in rope_parameters.
func (p *planner) compareRope(x, y *model.Config, b *model.Model) {
	thetaX, restX := rope(x)
	thetaY, restY := rope(y)
	if thetaX != nil && thetaY != nil && !model.SameJSON(thetaX, thetaY) {
		p.differs(true, "rope_theta", thetaX, thetaY, b)
	}
	if !model.SameJSON(restX, restY) {
		name := "rope_scaling"
		if x.Has("rope_parameters") {
			name = "rope_parameters"
		}
		p.differs(true, name, restX, restY, b)
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

// compareOutlines warns about special tokens and chat templates that differ.
func (p *planner) compareOutlines(b *model.Model) {
	x, err := tokenizer.ReadOutline(p.Primary.OpenCompanion)
	if err != nil {
		return // whoever opens the model will see
	}
	y, err := tokenizer.ReadOutline(b.OpenCompanion)
	if err != nil {
		return
	}
	var roles []string
	for _, role := range tokenizer.Roles() {
		s, okX := x.Special[role]
		t, okY := y.Special[role]
		if okX && okY && s != t {
			roles = append(roles, fmt.Sprintf("%s is %s and %s", role, model.Quote(s), model.Quote(t)))
		}
	}
	if len(roles) > 0 {
		p.warn("special tokens differ in %s and %s: %s", p.Primary.Name(), b.Name(), strings.Join(roles, ", "))
	}
	if x.Template == y.Template {
		return
	}
	switch "" {
	case x.Template:
		p.warn("%s has a chat template, %s has none", b.Name(), p.Primary.Name())
	case y.Template:
		p.warnLast("%s has a chat template, %s has none", p.Primary.Name(), b.Name())
	default:
		p.warn("the chat templates of %s and %s differ: the one beside the tokenizer that is copied is kept", p.Primary.Name(), b.Name())
	}
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
