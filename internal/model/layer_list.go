package model

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"slerpmerge/internal/text"
)

// layerFields are lists of config.json with one entry for each layer. Some
// families give a number where others have such a list.
var layerFields = []string{"layer_types", "layers_block_type", "mlp_layer_types", "no_rope_layers", "attention_layers", "attn_layers", "block_types",
	"intermediate_size", "moe_intermediate_size", "activation_sparsity_pattern", "layer_rope_theta", "num_attention_heads_per_layer", "num_key_value_heads_per_layer",
	"num_attention_heads", "num_key_value_heads", "num_query_heads", "num_kv_heads", "head_dim", "ffn_multipliers", "block_configs", "indexer_types", "compress_ratios",
	"attention_window", "attention_windows", "swiglu_limits", "swiglu_limits_shared", "sliding_window", "sliding_windows", "moe_layer_freq", "sparse_attention_freq",
	"num_experts", "num_local_experts", "n_routed_experts", "moe_topk", "num_shared_expert", "num_experts_per_tok", "hybrid_layer_pattern", "attn_type_list",
	"rope_theta", "partial_rotary_factors", "sliding_window_pattern", "index_topk_pattern", "hybrid_override_pattern", "kv_source_layers"}

// layerNumbers are lists that name layers by their numbers, and the number of
// the first layer.
var layerNumbers = map[string]int{"cross_attention_layers": 0, "mlp_only_layers": 0, "moe_layers": 0, "moe_layers_enum": 0, "attn_layer_indices": 0, "full_attn_idxs": 0,
	"attn_layer_idx": 0, "global_attn_idx": 0,
	"local_layer_ids": 0, "hybrid_layer_ids": 0, "rope_scaling_layers": 0, "value_embedding_layers": 0, "full_attn_layers": 1, "kda_layers": 1, "ple_layer_ids": 1}

// layerWords finds the names of settings that speak of layers.
var layerWords = regexp.MustCompile(`layer|block|pattern|per_depth`)

// rebuild goes through the members of an object: sub is its path within the
// part.
func (r *relayer) rebuild(c *Config, sub string, level int) {
	var names []string
	for i := range c.fields {
		if f := &c.fields[i]; f.sub == "" && (f.kind == '[' || f.kind == '{' || f.kind == '"') {
			names = append(names, f.name)
		}
	}
	for _, name := range names {
		f := c.find("", name)
		_, numbers := layerNumbers[name]
		switch {
		case f.kind == '{':
			r.rebuildObject(c, sub, name, level)
		case numbers:
			r.renumber(c, sub, name)
		case f.kind == '"':
			r.rebuildText(c, sub, name)
		default:
			r.rebuildList(c, sub, name)
		}
	}
}

// notLayers are objects of a language part in which nothing is said of layers.
var notLayers = []string{"id2label", "label2id", "auto_map", "quantization_config", "task_specific_params", "rope_scaling", "rope_parameters"}

// rebuildObject looks into an object of the language part: a table by layer, or
// settings of one thing, which may be lists.
func (r *relayer) rebuildObject(c *Config, sub, name string, level int) {
	if level > 1 || slices.Contains(notLayers, name) || isPart(name) || isOtherPart(name) {
		return
	}
	inner, err := c.object(name)
	if err != nil {
		return
	}
	if layerWords.MatchString(name) {
		r.rekey(inner, joinPath(sub, name))
	} else {
		r.rebuild(inner, joinPath(sub, name), level+1)
	}
	if f := c.find("", name); !bytes.Equal(c.raw[f.valStart:f.valEnd], inner.raw) {
		c.replace(name, inner)
	}
}

// rekey renames the members of an object whose names are numbers of layers,
// such as per_layer_config.
func (r *relayer) rekey(c *Config, path string) {
	old := numbered(c, r.depth)
	width := 0 // of names with leading zeros
	for _, k := range old {
		if len(k.name) > 1 && k.name[0] == '0' {
			width = max(len(k.name), len(strconv.Itoa(len(r.layers)-1)))
		}
	}
	var members [][2]string
	for j, l := range r.layers {
		own := c
		if theirs := r.at(l.Config, path); theirs != nil {
			own = theirs
		}
		for _, k := range numbered(own, l.Depth) {
			if k.layer == l.Layer {
				members = append(members, [2]string{fmt.Sprintf("%0*d", width, j), string(own.Raw(k.name))})
				break
			}
		}
	}
	for _, k := range old {
		c.Remove(k.name)
	}
	for _, m := range members {
		c.Set(m[0], m[1])
	}
}

// A layerMember is a member that is called by the number of a layer.
type layerMember struct {
	name  string
	layer int
}

func numbered(c *Config, depth int) []layerMember {
	var found []layerMember
	for _, name := range c.Names() {
		if n, err := strconv.Atoi(name); err == nil && n >= 0 && n < depth {
			found = append(found, layerMember{name, n})
		}
	}
	return found
}

// at returns the object at a path of the language part of a source.
func (r *relayer) at(c *Config, path string) *Config {
	part := r.part(c)
	if part == nil || path == "" {
		return part
	}
	for name := range strings.SplitSeq(path, ".") {
		next, err := ParseConfig(part.Raw(name))
		if err != nil {
			return nil
		}
		part = next
	}
	return part
}

// entries returns the entries of the output's layers, of a list that a source has with as
// many entries as layers. own is the primary's.
func (r *relayer) entries(sub, name string, own []string, list func(c *Config) []string) []string {
	at := map[*Config][]string{}
	values := make([]string, 0, len(r.layers)+len(own)-r.depth)
	for _, l := range r.layers {
		theirs, ok := at[l.Config]
		if !ok {
			if c := r.at(l.Config, sub); c != nil {
				theirs = list(c)
			}
			at[l.Config] = theirs
		}
		if l.Layer >= len(theirs) || len(theirs) < l.Depth {
			theirs = own
		}
		values = append(values, theirs[min(l.Layer, len(theirs)-1)])
	}
	return append(values, own[r.depth:]...)
}

// rebuildList remakes a list with an entry for each layer.
func (r *relayer) rebuildList(c *Config, sub, name string) {
	own := c.list("", name)
	if len(own) == 0 || len(own) != r.depth && len(own) != r.depth+r.extra {
		r.suspect(c, name, own)
		return
	}
	known := slices.Contains(layerFields, name) || layerWords.MatchString(name)
	if !known {
		if r.depth > 3 {
			r.note("%s in config.json has as many entries as there were layers (%d), and is not known to be one for each: it is kept as it is", text.Quote(name), len(own))
		}
		return
	}
	values := r.entries(sub, name, own, func(c *Config) []string { return c.list("", name) })
	if name == "kv_source_layers" {
		values = r.sources(values)
	}
	if !slices.Equal(values, own) {
		c.setList("", name, values)
	}
}

// sources renames the layers that the entries of a list point at: the nearest
// output layer before that was it.
func (r *relayer) sources(values []string) []string {
	out := slices.Clone(values)
	for j, l := range r.layers {
		n := atoi(values[j])
		for k := j; k >= 0; k-- {
			if r.layers[k].Config == l.Config && r.layers[k].Layer == n {
				out[j] = strconv.Itoa(k)
				break
			}
		}
	}
	return out
}

// suspect says of a list of numbers that it may mean layers.
func (r *relayer) suspect(c *Config, name string, own []string) {
	if len(own) == 0 || len(own) > r.depth || !layerWords.MatchString(name) || !strings.HasSuffix(name, "s") || strings.Contains(name, "vision") {
		return
	}
	if numbers, ok := c.numbers(name); ok && slices.IsSorted(numbers) && numbers[0] >= 0 && numbers[len(numbers)-1] <= r.depth {
		r.note("%s in config.json seems to name layers by their numbers, and layers have moved: it is kept as it is", text.Quote(name))
	}
}

// rebuildText remakes a text with a letter for each layer.
func (r *relayer) rebuildText(c *Config, sub, name string) {
	own := letters(c, name)
	if len(own) != r.depth || r.depth == 0 || !strings.Contains(name, "pattern") {
		return
	}
	values := r.entries(sub, name, own, func(c *Config) []string { return letters(c, name) })
	c.Set(name, strconv.Quote(strings.Join(values, "")))
}

func letters(c *Config, name string) []string {
	text := c.String(name)
	if strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }) {
		return nil
	}
	return strings.Split(text, "")
}

// renumber remakes a list of the numbers of layers.
func (r *relayer) renumber(c *Config, sub, name string) {
	own, ok := c.numbers(name)
	if !ok {
		return
	}
	base := layerNumbers[name]
	var now []string
	same := true
	for j, l := range r.layers {
		theirs := own
		if part := r.at(l.Config, sub); part != nil {
			if list, ok := part.numbers(name); ok {
				theirs = list
			}
		}
		if slices.Contains(theirs, l.Layer+base) {
			now = append(now, strconv.Itoa(j+base))
		}
	}
	for i, text := range now {
		same = same && i < len(own) && text == strconv.Itoa(own[i])
	}
	if same && len(now) == len(own) {
		return
	}
	if c.find("", name).kind == '"' {
		c.Set(name, strconv.Quote(strings.Join(now, ",")))
	} else {
		c.setValues(name, now)
	}
}

// list gives the entries of a list as JSON text, nil when the member is none.
func (c *Config) list(sub, name string) []string { return listOf(c.rawIn(sub, name)) }

func listOf(raw []byte) []string {
	d := jsontext.NewDecoder(bytes.NewReader(standIns(raw)))
	if tok, err := d.ReadToken(); err != nil || tok.Kind() != '[' {
		return nil
	}
	var out []string
	for d.PeekKind() != ']' {
		before := int(d.InputOffset())
		if err := d.SkipValue(); err != nil {
			return nil
		}
		end := int(d.InputOffset())
		out = append(out, string(bytes.TrimLeft(raw[before:end], ", \t\r\n")))
	}
	return out
}

func atoi(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return -1
	}
	return n
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
