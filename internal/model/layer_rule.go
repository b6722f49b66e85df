package model

import (
	"slices"
	"strconv"
	"strings"
)

// A layerRule works out what kind each of n layers is by the settings of a
// language model. It returns nil where they don't say.
type layerRule func(c *Config, n int) []string

// each makes a rule of the kind of one layer.
func each(kind func(c *Config, i, n int) string) layerRule {
	return func(c *Config, n int) []string {
		kinds := make([]string, n)
		for i := range kinds {
			kinds[i] = kind(c, i, n)
		}
		return kinds
	}
}

// every gives the last layer of each period one kind and the others another.
// The period is the setting of that name, def where it is absent.
func every(key string, def int, last, others string) layerRule {
	return each(func(c *Config, i, _ int) string {
		if period := c.number(key, def); period > 0 && (i+1)%period == 0 {
			return last
		}
		return others
	})
}

// everyFirst gives the first layer of each period one kind and the others
// another.
func everyFirst(key string, def int, first, others string) layerRule {
	return each(func(c *Config, i, _ int) string {
		if period := c.number(key, def); period > 0 && i%period == 0 {
			return first
		}
		return others
	})
}

// below gives the layers before a number one kind and the others another.
func below(key string, def int, before, from string) layerRule {
	return each(func(c *Config, i, _ int) string {
		if i < c.number(key, def) {
			return before
		}
		return from
	})
}

// alike makes all layers the same.
func alike(kind string) layerRule { return each(func(*Config, int, int) string { return kind }) }

// lastIs overrules the kind of the last layer, also where it is said layer by
// layer.
func lastIs(kind string, rule layerRule) layerRule {
	return func(c *Config, n int) []string {
		kinds := rule(c, n)
		if n > 0 && len(kinds) == n {
			kinds[n-1] = kind
		}
		return kinds
	}
}

// listed takes the kinds from a list with an entry for each layer where there
// is one, and else from the rule.
func listed(rule layerRule, names ...string) layerRule {
	return func(c *Config, n int) []string {
		for _, name := range names {
			if kinds := c.kindList(name); len(kinds) >= n && n > 0 {
				return kinds[:n]
			}
		}
		if rule == nil {
			return nil
		}
		return rule(c, n)
	}
}

// indexed gives the layers that a list of layer numbers, counted from base,
// names one kind and the others another; without a list the rule decides.
func indexed(name string, base int, in, out string, rule layerRule) layerRule {
	return func(c *Config, n int) []string {
		numbers, ok := c.numbers(name)
		if !ok {
			if rule == nil {
				return nil
			}
			return rule(c, n)
		}
		kinds := slices.Repeat([]string{out}, n)
		for _, i := range numbers {
			if i -= base; i >= 0 && i < n {
				kinds[i] = in
			}
		}
		return kinds
	}
}

// number returns an integer setting, def where it is absent or none.
func (c *Config) number(name string, def int) int {
	if name == "" {
		return def
	}
	if n, err := strconv.Atoi(string(c.Raw(name))); err == nil {
		return n
	}
	return def
}

// isNull reports whether a setting is null, or absent where absent says so.
func (c *Config) isNull(name string, absent bool) bool {
	raw := c.Raw(name)
	return string(raw) == "null" || raw == nil && absent
}

// isTrue reports whether a boolean setting is true, def where it is absent.
func (c *Config) isTrue(name string, def bool) bool {
	raw := c.Raw(name)
	return string(raw) == "true" || raw == nil && def
}

// kindList returns a list of kinds as text. Names of older releases are made those
// of today, as remap_legacy_layer_types of transformers does.
func (c *Config) kindList(name string) []string {
	list := c.list("", name)
	kinds := make([]string, len(list))
	for i, raw := range list {
		kind := strings.Trim(raw, `"`)
		switch kind {
		case "mamba":
			kind = "linear_attention"
		case "attention":
			kind = "full_attention"
		case "deepseek_sparse_attention", "qwen_sparse_attention":
			kind = "indexed_attention"
		case "true":
			kind = "1"
		case "false":
			kind = "0"
		}
		kinds[i] = kind
	}
	return kinds
}

// numbers returns a list of integers, or a text of integers with commas between
// them; ok is false where the setting is something else.
func (c *Config) numbers(name string) (numbers []int, ok bool) {
	var list []string
	switch raw := c.Raw(name); {
	case len(raw) == 0:
		return nil, false
	case raw[0] == '[':
		list = c.list("", name)
	case raw[0] == '"':
		list = strings.Split(strings.Trim(string(raw), `"`), ",")
	default:
		return nil, false
	}
	for _, text := range list {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return nil, false
		}
		numbers = append(numbers, n)
	}
	return numbers, true
}

// layerFamily returns the model_type without the endings that the part of a model
// of several parts has.
func (c *Config) layerFamily() string {
	family := c.String("model_type")
	if family == "" {
		family = c.family
	}
	for _, ending := range []string{"_text_model", "_text", "-text"} {
		family = strings.TrimSuffix(family, ending)
	}
	return family
}
