package model

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Names returns the members at the top level, in their order.
func (c *Config) Names() []string {
	var names []string
	for i := range c.fields {
		if c.fields[i].sub == "" {
			names = append(names, c.fields[i].name)
		}
	}
	return names
}

// SameJSON reports whether two JSON texts have the same value, whatever their
// white space, the order of their members and the form of their numbers. An
// absent text (nil) is the same as null.
func SameJSON(x, y []byte) bool {
	return bytes.Equal(x, y) || bytes.Equal(canonical(x), canonical(y))
}

// canonical returns a JSON text in the one form that its value has; null for nil,
// and a text that is none as it is.
func canonical(text []byte) []byte {
	if len(text) == 0 {
		return []byte("null")
	}
	v := jsontext.Value(bytes.Clone(text))
	if v.Canonicalize() != nil {
		return text
	}
	return v
}
