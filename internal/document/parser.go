// Package document reads YAML files that people write by hand, and says
// everything that is wrong with one at once, each with its place in the file.
// The meaning of the files is known to the callers.
package document

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"slerpmerge/internal/text"
)

// A Parser gathers the errors in a file while it is read.
type Parser struct {
	Problems []Problem
	// Misplaced says more about a key that has no place among the known ones;
	// nil or "" for nothing.
	Misplaced func(key string, known []string) string
}

// Fail notes a problem with a node.
func (p *Parser) Fail(n *yaml.Node, format string, args ...any) { p.FailAt(At(n), format, args...) }

// FailAt notes a problem with a place.
func (p *Parser) FailAt(pos Pos, format string, args ...any) {
	p.Problems = append(p.Problems, Problem{pos, fmt.Sprintf(format, args...)})
}

// Only reports the keys of a table that are none of the known ones. ignored
// are keys that may be there but say nothing.
func (p *Parser) Only(t Table, what string, known []string, ignored ...string) {
	for _, k := range t.Keys {
		if slices.Contains(known, k) || slices.Contains(ignored, k) || p.Suspect(t, k, known) {
			continue
		}
		p.Fail(t.At[k].Key, "unknown key %s; %s has %s", text.QuoteWord(k), what, text.List(known, "and"))
	}
}

// Suspect fails for a key that is probably a mistake: one that is nearly a
// known key, or that Misplaced knows. It reports whether it did.
func (p *Parser) Suspect(t Table, key string, known []string) bool {
	node, more := t.At[key].Key, ""
	if p.Misplaced != nil {
		more = p.Misplaced(key, known)
	}
	switch near := text.Nearest(key, known); {
	case near != "":
		p.Fail(node, "unknown key %s, did you mean %q?", text.QuoteWord(key), near)
	case more != "":
		p.Fail(node, "key %s %s", text.QuoteWord(key), more)
	default:
		return false
	}
	return true
}

// Items lists the entries of a list.
func (p *Parser) Items(n *yaml.Node, what string) []*yaml.Node {
	f := Follow(n)
	if f.Kind != yaml.SequenceNode {
		p.Fail(n, "%s is a list, not %s", what, KindName(n))
		return nil
	}
	return f.Content
}

// Text reads a text. what names it in messages: "a filter".
func (p *Parser) Text(n *yaml.Node, what string) (string, bool) {
	f := Follow(n)
	if f.Kind == yaml.ScalarNode {
		s, not := ReadScalar(f)
		switch {
		case not == "" && s.Kind == Text:
			return s.Text, true
		case not == "" && s.Kind != Null:
			p.Fail(n, "%s is text, and %s is not read as text; write it in quotes: %s", what, s.Text, text.QuoteWord(s.Text))
			return "", false
		}
	}
	p.Fail(n, "%s is text, not %s", what, KindName(n))
	return "", false
}
