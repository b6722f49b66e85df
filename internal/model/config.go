package model

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxConfig bounds config.json: the largest that were seen are some 100 KB.
const maxConfig = 16 << 20

// A Config is a config.json kept as its bytes, so that an edit changes what it
// must and leaves key order, number forms and white space alone (transformers
// releases disagree about both when they rewrite it).
type Config struct {
	raw    []byte
	fields []field
	parts  []string // the paths of the objects that describe a language model
	family string   // of a part: the model_type of the whole, which counts where it has none
}

// A field is one member of the object, or of an object inside it: sub is then
// the path to that object, such as thinker_config.text_config.
type field struct {
	sub, name        string
	start            int // where the decoder stood before the name
	valStart, valEnd int
	kind             jsontext.Kind
}

// ParseConfig reads a config.json. Duplicate names and broken UTF-8 are
// errors, since two readers could understand them differently. raw is kept, and
// must not be changed.
func ParseConfig(raw []byte) (*Config, error) {
	c := &Config{raw: raw}
	if err := c.scan(); err != nil {
		return nil, err
	}
	return c, nil
}

// Clone is a config to be edited. The text is shared until it is: edits leave
// the old one alone.
func (c *Config) Clone() *Config {
	clone := *c
	clone.fields, clone.parts = slices.Clone(c.fields), slices.Clone(c.parts)
	return &clone
}

// scan finds the members. Options are those of the decoder.
func (c *Config) scan(options ...jsontext.Options) error {
	c.fields, c.parts = c.fields[:0], nil
	d := jsontext.NewDecoder(bytes.NewBuffer(standIns(c.raw)), options...) // a buffer is not copied
	tok, err := d.ReadToken()
	if err != nil {
		return jsonError(err)
	}
	if tok.Kind() != '{' {
		return errors.New("not a JSON object")
	}
	if err := c.scanObject(d, "", 0); err != nil {
		return jsonError(err)
	}
	c.sortParts()
	if _, err := d.ReadToken(); err != io.EOF {
		return errors.New("data after the JSON object")
	}
	return nil
}

// standIns puts zeros of the same length in the place of the NaN and Infinity
// that Python writes into JSON (Mamba's time_step_limit), so that a strict
// reader gets past them.
func standIns(raw []byte) []byte {
	out, text := raw, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			text = !text
		case text && c == '\\':
			i++
		case !text && (c == 'N' || c == 'I'):
			for _, word := range []string{"NaN", "Infinity"} {
				if bytes.HasPrefix(raw[i:], []byte(word)) {
					if &out[0] == &raw[0] {
						out = bytes.Clone(raw)
					}
					copy(out[i:], "0.000000"[:len(word)])
					i += len(word) - 1
					break
				}
			}
		}
	}
	return out
}

// maxNesting is the deepest level at which members are looked for: a model of
// several parts has its text_config at the second or third level.
const maxNesting = 6

func (c *Config) scanObject(d *jsontext.Decoder, sub string, level int) error {
	for d.PeekKind() != '}' {
		before := int(d.InputOffset())
		tok, err := d.ReadToken()
		if err != nil {
			return err
		}
		f := field{sub: sub, name: tok.String(), start: before}
		kind := d.PeekKind()
		afterName := int(d.InputOffset())
		f.kind = kind
		part := kind == '{' && isPart(f.name)
		keep := level == 0 || part || nestedFields[f.name]
		i := len(c.fields)
		if keep {
			c.fields = append(c.fields, f)
		}
		if kind == '{' && level < maxNesting {
			path := joinPath(sub, f.name)
			if part {
				c.parts = append(c.parts, path)
			}
			if _, err := d.ReadToken(); err != nil {
				return err
			}
			if err := c.scanObject(d, path, level+1); err != nil {
				return err
			}
		} else if err := d.SkipValue(); err != nil {
			return err
		}
		if !keep {
			continue
		}
		end := int(d.InputOffset())
		c.fields[i].valStart = afterName + valueStart(c.raw[afterName:end])
		c.fields[i].valEnd = end
	}
	_, err := d.ReadToken()
	return err
}

// nestedFields are the names of members that are looked for below the top. Others
// are not remembered: id2label alone can have 100,000 members.
var nestedFields = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range slices.Concat(DepthNames, layerFields, vocabFields, []string{"dtype", "torch_dtype", "tie_word_embeddings", "tie_embedding", "quant_method", "quantization_config", "compression_config", "quantization",
		"hidden_size", "n_embd", "d_model", "num_attention_heads", "n_head", "num_key_value_heads", "head_dim", "intermediate_size", "n_inner",
		"num_local_experts", "num_experts"}) {
		names[name] = true
	}
	return names
}()

// joinPath returns the path to an object of that name inside another one. A name that
// would make the path ambiguous gives one that nothing is looked for at.
func joinPath(sub, name string) string {
	if name == "" || strings.ContainsAny(name, ".\x00") {
		name = "\x00"
	}
	if sub == "" {
		return name
	}
	return sub + "." + name
}

// valueStart skips the white space and the colon before a value.
func valueStart(b []byte) int {
	for i, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n', ':':
		default:
			return i
		}
	}
	return len(b)
}

func jsonError(err error) error {
	var s *jsontext.SyntacticError
	if errors.Is(err, jsontext.ErrDuplicateName) && errors.As(err, &s) {
		return fmt.Errorf("a name appears twice in one object, at byte %d", s.ByteOffset)
	}
	if errors.As(err, &s) {
		return fmt.Errorf("not valid JSON at byte %d", s.ByteOffset)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("not valid JSON: it ends too early")
	}
	return err
}

func (c *Config) find(sub, name string) *field {
	for i := range c.fields {
		if f := &c.fields[i]; f.sub == sub && f.name == name {
			return f
		}
	}
	return nil
}

// Bytes returns the text as it stands, edits included.
func (c *Config) Bytes() []byte { return c.raw }

// Has reports whether the member stands at the top level.
func (c *Config) Has(name string) bool { return c.find("", name) != nil }

// Raw returns the JSON text of a member at the top level, nil when it is absent.
func (c *Config) Raw(name string) []byte { return c.rawIn("", name) }

func (c *Config) rawIn(sub, name string) []byte {
	f := c.find(sub, name)
	if f == nil {
		return nil
	}
	return c.raw[f.valStart:f.valEnd]
}

// String returns the text of a member, "" when it is absent or no string.
func (c *Config) String(name string) string {
	v := c.Raw(name)
	if len(v) == 0 || v[0] != '"' {
		return ""
	}
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return ""
	}
	return string(b)
}

// Int returns an integer member, looked for at the top and then in the part that
// describes the language model; any of the names will do, since families
// disagree (num_hidden_layers, n_layer).
func (c *Config) Int(names ...string) (int64, bool) {
	for _, sub := range c.textPaths() {
		for _, name := range names {
			if n, err := strconv.ParseInt(string(c.rawIn(sub, name)), 10, 64); err == nil {
				return n, true
			}
		}
	}
	return 0, false
}

// Bool returns a boolean member, looked for as Int does.
func (c *Config) Bool(name string) (value, ok bool) {
	for _, sub := range c.textPaths() {
		switch string(c.rawIn(sub, name)) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

// Strings returns a list of strings, nil when the member is something else.
func (c *Config) Strings(name string) []string {
	d := jsontext.NewDecoder(bytes.NewReader(c.Raw(name)))
	if tok, err := d.ReadToken(); err != nil || tok.Kind() != '[' {
		return nil
	}
	var out []string
	for {
		tok, err := d.ReadToken()
		if err != nil || tok.Kind() != '"' {
			return out
		}
		out = append(out, tok.String())
	}
}

// Dtype gives the member of that name at the top the value, and the members
// of that name in the objects below it: all that are text, or
// without all those that said the same as the one at the top (the parts of a
// model may have different types). It reports whether there was one. value is
// JSON text.
func (c *Config) Dtype(name, value string, all bool) (found bool) {
	top := string(c.Raw(name))
	for i := len(c.fields) - 1; i >= 0; i-- { // backwards: offsets before stay true
		f := c.fields[i]
		if f.name != name || (f.kind != '"' && !(f.sub == "" && f.kind == 'n')) {
			continue
		}
		found = true
		if f.sub == "" || all || string(c.raw[f.valStart:f.valEnd]) == top {
			c.raw = splice(c.raw, f.valStart, f.valEnd, value)
		}
	}
	c.rescan()
	return found
}
