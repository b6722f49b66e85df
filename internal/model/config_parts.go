package model

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// partNames are the members in which models of several parts keep the settings
// of their language model, the most telling first; the last ones hold the
// decoder of a pair.
var partNames = []string{"text_config", "llm_config", "language_config", "lm_config", "language_model_config", "text_model_config", "llama_config",
	"text_decoder_config", "language_model", "text_model", "thinker_config", "vlm_config", "decoder", "decoder_config"}

// otherParts are words in the names of the objects that describe something
// else: a text_config inside of them is not the language model's.
var otherParts = []string{"vision", "visual", "image", "audio", "speech", "video", "talker", "code", "vocoder", "qformer", "encoder", "token2wav"}

// isOtherPart reports whether an object of that name describes something else
// than the language model.
func isOtherPart(name string) bool {
	return !isPart(name) && slices.ContainsFunc(otherParts, func(word string) bool { return strings.Contains(name, word) })
}

func isPart(name string) bool { return slices.Contains(partNames, name) }

// sortParts keeps the parts of the language model, the best first: the one that
// a text_config names, and of several the outermost.
func (c *Config) sortParts() {
	c.parts = slices.DeleteFunc(c.parts, func(path string) bool {
		for name := range strings.SplitSeq(path, ".") {
			if isOtherPart(name) {
				return true
			}
		}
		return false
	})
	slices.SortStableFunc(c.parts, func(a, b string) int {
		return cmp.Or(cmp.Compare(partRank(a), partRank(b)), cmp.Compare(strings.Count(a, "."), strings.Count(b, ".")))
	})
}

// partRank returns the place of a part among the partNames.
func partRank(path string) int {
	_, name := splitPath(path)
	return slices.Index(partNames, name)
}

// splitPath splits the path of an object into the path of the object that
// holds it and its name.
func splitPath(path string) (sub, name string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// textPaths returns the paths of the objects in which a setting of the language
// model may stand, the top first.
func (c *Config) textPaths() []string { return append([]string{""}, c.parts...) }

// TextPath returns the path of the object that describes the language model, such as
// text_config or thinker_config.text_config; "" is the top, where there is no
// such object or it leaves the number of layers to the top.
func (c *Config) TextPath() string {
	for _, path := range c.parts {
		if c.hasDepth(path) {
			return path
		}
	}
	if len(c.parts) > 0 && !c.hasDepth("") && partRank(c.parts[0]) < slices.Index(partNames, "thinker_config") {
		return c.parts[0]
	}
	return ""
}

func (c *Config) hasDepth(sub string) bool {
	return slices.ContainsFunc(DepthNames, func(name string) bool {
		f := c.find(sub, name)
		return f != nil && f.kind == '0'
	})
}

// Depth returns the number of layers that the language model has by its own part of
// the config, or by the top.
func (c *Config) Depth() (int64, bool) {
	for _, sub := range []string{c.TextPath(), ""} {
		for _, name := range DepthNames {
			if n, err := strconv.ParseInt(string(c.rawIn(sub, name)), 10, 64); err == nil {
				return n, true
			}
		}
	}
	return c.Int(DepthNames...)
}

// object parses the object at a path.
func (c *Config) object(path string) (*Config, error) {
	if path == "" {
		return ParseConfig(c.raw)
	}
	return ParseConfig(c.rawAt(path))
}

func (c *Config) rawAt(path string) []byte { return c.rawIn(splitPath(path)) }

// replace puts an edited object in the place of the one at a path.
func (c *Config) replace(path string, part *Config) {
	if path == "" {
		c.raw = part.raw
	} else {
		f := c.find(splitPath(path))
		c.raw = splice(c.raw, f.valStart, f.valEnd, string(part.raw))
	}
	c.rescan()
}

// LanguagePart returns the settings of the language model: of a model of several
// parts those that describe it, else c itself.
func (c *Config) LanguagePart() *Config {
	if path := c.TextPath(); path != "" {
		if part, err := c.object(path); err == nil {
			part.family = c.String("model_type")
			return part
		}
	}
	return c
}
