package recipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Limits on a recipe, far beyond any that says something. They bound the time
// that a hostile file can take.
const (
	maxFile   = 1 << 20
	maxValues = 100_000 // with every alias counted as what it stands for
	maxDepth  = 100
)

// load reads the one YAML document of a recipe: the value at its top.
func load(src []byte) (*yaml.Node, *Problem) {
	switch {
	case len(src) > maxFile:
		return nil, &Problem{Pos{1, 1}, fmt.Sprintf("the file has %d bytes; a recipe has at most %d", len(src), maxFile)}
	case !utf8.Valid(src):
		return nil, &Problem{Pos{1, 1}, "the file is not text in UTF-8"}
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src))
	if err != nil {
		return nil, syntaxProblem(err)
	}
	var first, second yaml.Node
	if err := loader.Load(&first); errors.Is(err, io.EOF) || err == nil && len(first.Content) == 0 {
		return nil, &Problem{Pos{1, 1}, "the file is empty; a recipe has merge_method and models, slices or modules"}
	} else if err != nil {
		return nil, syntaxProblem(err)
	}
	if err := loader.Load(&second); err == nil {
		return nil, &Problem{at(&second), "a second document starts here; a recipe is one, so give each its own file"}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxProblem(err)
	}
	top := first.Content[0]
	s := sizer{}
	if p := s.measure(top, 0); p != nil {
		return nil, p
	}
	return top, nil
}

func syntaxProblem(err error) *Problem {
	p := &Problem{Pos{1, 1}, "this is not YAML: " + err.Error()}
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		p.Message = "this is not YAML: " + e.Message
		if e.ContextMsg != "" {
			p.Message += " (" + e.ContextMsg + ")"
		}
		if strings.Contains(e.ContextMsg, "an alias") {
			p.Message += `; a filter * is written in quotes: "*"`
		}
		if m := e.Mark; m.Line > 0 {
			p.Pos = Pos{m.Line, max(m.Column, 1)}
		} else if m := e.ContextMark; m.Line > 0 {
			p.Pos = Pos{m.Line, max(m.Column, 1)}
		}
	}
	return p
}

func at(n *yaml.Node) Pos { return Pos{max(n.Line, 1), max(n.Column, 1)} }

// A sizer counts values, aliases as what they stand for. A node that is being
// measured counts -1.
type sizer map[*yaml.Node]int

func (s sizer) measure(n *yaml.Node, depth int) *Problem {
	if depth > maxDepth {
		return &Problem{at(n), fmt.Sprintf("values are nested deeper than %d levels", maxDepth)}
	}
	s[n] = -1
	size := 1
	below := n.Content
	if n.Kind == yaml.AliasNode {
		below = []*yaml.Node{n.Alias}
	}
	for _, c := range below {
		if s[c] == 0 {
			if p := s.measure(c, depth+1); p != nil {
				return p
			}
		}
		if s[c] < 0 {
			return &Problem{at(n), "alias " + quote(n.Value) + " stands for something that it is a part of"}
		}
		if size += s[c]; size > maxValues {
			return &Problem{at(n), fmt.Sprintf("aliases make this more than %d values", maxValues)}
		}
	}
	s[n] = size
	return nil
}

// follow is what an alias stands for, and any other node itself.
func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool {
	if n = follow(n); n.Kind != yaml.ScalarNode {
		return false
	}
	s, not := readScalar(n)
	return not == "" && s.kind == null
}

// kindName says what a node is, in words for a message.
func kindName(n *yaml.Node) string {
	switch n = follow(n); n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	s, not := readScalar(n)
	if not != "" {
		return not
	}
	switch s.kind {
	case null:
		return "nothing"
	case boolean:
		return s.text + ", which is a yes or no"
	case integer, float:
		return "the number " + quote(s.text)
	}
	return "the text " + quote(s.text)
}

// A table is a mapping: its values by key, in the order of the file.
type table struct {
	node *yaml.Node
	keys []string
	at   map[string]entry
}

type entry struct {
	key, value *yaml.Node
	merged     bool // by "<<"
}

// pairs lists a mapping's entries with those that "<<" merges in before its
// own, so that the later of two counts (as PyYAML's flatten_mapping has it).
func (p *parser) pairs(n *yaml.Node, merged bool) []entry {
	var own, in []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Value != "<<" || key.Style&^yaml.TaggedStyle != 0 {
			own = append(own, entry{key, value, merged})
			continue
		}
		switch from := follow(value); from.Kind {
		case yaml.MappingNode:
			in = append(in, p.pairs(from, true)...)
		case yaml.SequenceNode: // of several, the first counts
			for j := len(from.Content) - 1; j >= 0; j-- {
				if m := follow(from.Content[j]); m.Kind == yaml.MappingNode {
					in = append(in, p.pairs(m, true)...)
				} else {
					p.fail(from.Content[j], "\"<<\" takes mappings, not %s", kindName(m))
				}
			}
		default:
			p.fail(value, "\"<<\" takes a mapping or a list of mappings, not %s", kindName(value))
		}
	}
	return append(in, own...)
}

// table reads a mapping. what names it in messages: "a slice". Of a key that
// stands twice the last counts, as for PyYAML, so that the rest can be checked.
func (p *parser) table(n *yaml.Node, what string) (table, bool) {
	t := table{node: n, at: map[string]entry{}}
	m := follow(n)
	if m.Kind != yaml.MappingNode {
		p.fail(n, "%s is a mapping of keys to values, not %s", what, kindName(n))
		return t, false
	}
	for _, e := range p.pairs(m, false) {
		key := follow(e.key)
		if key.Kind != yaml.ScalarNode {
			p.fail(e.key, "a key is text, not %s", kindName(key))
			continue
		}
		before, had := t.at[key.Value]
		if had && !before.merged && !e.merged {
			p.fail(e.key, "key %s stands in line %d already", quote(key.Value), before.key.Line)
		}
		if !had {
			t.keys = append(t.keys, key.Value)
		}
		t.at[key.Value] = e
	}
	return t, true
}

// value is what stands under a key, nil for nothing.
func (t table) value(key string) *yaml.Node {
	if e, ok := t.at[key]; ok && !isNull(e.value) {
		return e.value
	}
	return nil
}
