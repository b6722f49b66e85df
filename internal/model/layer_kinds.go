package model

import (
	"slices"
	"strings"
)

// LayerKinds returns the kinds of the layers of a model of so many, as its
// config.json has them: such as "full_attention, sparse". They are "" where
// it says nothing.
func (c *Config) LayerKinds(depth int) []string {
	part := c.LanguagePart()
	kinds := make([]string, depth)
	for k := range layerAxes {
		for i, kind := range layerAxes[k].kindsOf(part, depth) {
			if kinds[i] != "" {
				kinds[i] += ", "
			}
			switch {
			case kind == "0" || kind == "1":
				kind = either(kind == "1", "with", "without") + " positions"
			case layerAxes[k].keys[0] == "indexer_types":
				kind += " indexer"
			case layerAxes[k].keys[0] == sharedKey:
				kind += " keys and values"
			}
			kinds[i] += kind
		}
	}
	return kinds
}

// LayerTexts returns all that config.json says of each layer: its kind, and its
// entries in lists and tables.
func (c *Config) LayerTexts(depth int) []string {
	texts := c.LayerKinds(depth)
	c.LanguagePart().addTexts(texts, 0)
	return texts
}

func (c *Config) addTexts(texts []string, level int) {
	depth := len(texts)
	for _, name := range c.Names() {
		f := c.find("", name)
		switch base, numbers := layerNumbers[name]; {
		case f.kind == '{' && level < 2 && !slices.Contains(notLayers, name) && !isPart(name) && !isOtherPart(name):
			inner, err := c.object(name)
			if err != nil {
				continue
			}
			for _, k := range numbered(inner, depth) {
				texts[k.layer] += "; " + name + " " + string(inner.Raw(k.name))
			}
			inner.addTexts(texts, level+1)
		case numbers:
			list, _ := c.numbers(name)
			for _, n := range list {
				if n -= base; n >= 0 && n < depth {
					texts[n] += "; " + name
				}
			}
		case f.kind == '[' || f.kind == '"' && strings.Contains(name, "pattern"):
			list := c.list("", name)
			if f.kind == '"' {
				list = letters(c, name)
			}
			if len(list) < depth || !slices.Contains(layerFields, name) && !layerWords.MatchString(name) {
				continue
			}
			for i := range texts {
				texts[i] += "; " + name + " " + list[i]
			}
		}
	}
}
