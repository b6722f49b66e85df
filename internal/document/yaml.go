package document

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"slerpmerge/internal/text"
)

// Limits on a file, far beyond any that says something. They bound the time
// that a hostile one can take.
const (
	maxFile   = 1 << 20
	maxValues = 100_000 // with every alias counted as what it stands for
	maxDepth  = 100
)

// A Form says what kind of file is read, for messages.
type Form struct {
	Noun string // "a recipe"
	Has  string // what is in it: "models and a method"
	// Several continues the message about a second document: ", and ...".
	Several string
}

// Load reads the one YAML document of a file: the value at its top.
func Load(src []byte, form Form) (*yaml.Node, *Problem) {
	switch {
	case len(src) > maxFile:
		return nil, &Problem{Pos{1, 1}, fmt.Sprintf("the file has %d bytes; %s has at most %d", len(src), form.Noun, maxFile)}
	case !utf8.Valid(src):
		return nil, &Problem{Pos{1, 1}, "the file is not text in UTF-8"}
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src))
	if err != nil {
		return nil, syntaxProblem(src, err)
	}
	var first, second yaml.Node
	if err := loader.Load(&first); errors.Is(err, io.EOF) || err == nil && len(first.Content) == 0 {
		return nil, &Problem{Pos{1, 1}, "the file is empty; " + form.Noun + " has " + form.Has}
	} else if err != nil {
		return nil, syntaxProblem(src, err)
	}
	if err := loader.Load(&second); err == nil {
		return nil, &Problem{At(&second), "a second document starts here; " + form.Noun + " is one document, so give each its own file" + form.Several}
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxProblem(src, err)
	}
	top := first.Content[0]
	s := sizer{}
	if p := s.measure(top, 0); p != nil {
		return nil, p
	}
	return top, nil
}

// BackslashAdvice says how a path of Windows is written in YAML.
const BackslashAdvice = `in double quotes a backslash begins an escape, so write a path with forward slashes or in single quotes: 'D:\models\a'`

func syntaxProblem(src []byte, err error) *Problem {
	p := &Problem{Pos{1, 1}, "this is not YAML: " + err.Error()}
	if e, ok := errors.AsType[*yaml.LoadError](err); ok {
		p.Message = "this is not YAML: " + e.Message
		if e.ContextMsg != "" {
			p.Message += " (" + e.ContextMsg + ")"
		}
		p.Message += advice(src, e)
		if m := e.Mark; m.Line > 0 {
			p.Pos = Pos{m.Line, max(m.Column, 1)}
		} else if m := e.ContextMark; m.Line > 0 {
			p.Pos = Pos{m.Line, max(m.Column, 1)}
		}
	}
	return p
}

// advice explains an error by what stands in the file: in double quotes the
// backslash of an escape, or a * that begins no name.
func advice(src []byte, e *yaml.LoadError) string {
	if e.Stage != yaml.ScannerStage {
		return ""
	}
	chars := []rune(strings.TrimPrefix(string(src), "\ufeff"))
	at := func(i int, c rune) bool { return i >= 0 && i < len(chars) && chars[i] == c }
	begin, end := e.ContextMark.Index, e.Mark.Index
	switch {
	case at(begin, '"') && (at(end, '\\') || at(end-2, '\\')): // digits are missed behind the letter
		return "; " + BackslashAdvice
	case at(begin, '*'):
		return `; a filter * is written in quotes: "*"`
	}
	return ""
}

// At returns the place of a node.
func At(n *yaml.Node) Pos { return Pos{max(n.Line, 1), max(n.Column, 1)} }

// A sizer counts values, aliases as what they stand for. A node that is being
// measured counts -1.
type sizer map[*yaml.Node]int

func (s sizer) measure(n *yaml.Node, depth int) *Problem {
	if depth > maxDepth {
		return &Problem{At(n), fmt.Sprintf("values are nested deeper than %d levels", maxDepth)}
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
			return &Problem{At(n), "alias " + text.QuoteWord(n.Value) + " stands for something that it is a part of"}
		}
		if size += s[c]; size > maxValues {
			return &Problem{At(n), fmt.Sprintf("aliases make this more than %d values", maxValues)}
		}
	}
	s[n] = size
	return nil
}

// Follow returns the node to which an alias refers, and any other node itself.
func Follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// Shared reports whether n has an anchor that an alias in root refers to.
func Shared(root, n *yaml.Node) bool {
	if n.Anchor == "" {
		return false
	}
	if root.Kind == yaml.AliasNode {
		return root.Alias == n
	}
	return slices.ContainsFunc(root.Content, func(c *yaml.Node) bool { return Shared(c, n) })
}

// IsNull reports whether a node says nothing.
func IsNull(n *yaml.Node) bool {
	if n = Follow(n); n.Kind != yaml.ScalarNode {
		return false
	}
	s, not := ReadScalar(n)
	return not == "" && s.Kind == Null
}

// KindName says what a node is, in words for a message.
func KindName(n *yaml.Node) string {
	switch n = Follow(n); n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	s, not := ReadScalar(n)
	if not != "" {
		return not
	}
	switch s.Kind {
	case Null:
		return "nothing"
	case Boolean:
		return s.Text + ", which is a yes or no"
	case Integer, Float:
		return "the number " + text.QuoteWord(s.Text)
	}
	return "the text " + text.QuoteWord(s.Text)
}

// A Table is a mapping: its values by key, in the order of the file.
type Table struct {
	Node *yaml.Node
	Keys []string
	At   map[string]Entry
}

// An Entry is a key of a mapping with its value.
type Entry struct {
	Key, Value *yaml.Node
	merged     bool // by "<<"
}

// pairs lists a mapping's entries with those that "<<" merges in before its
// own, so that the later of two counts (as PyYAML's flatten_mapping has it).
func (p *Parser) pairs(n *yaml.Node, merged bool) []Entry {
	var own, in []Entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Value != "<<" || key.Style&^yaml.TaggedStyle != 0 {
			own = append(own, Entry{key, value, merged})
			continue
		}
		switch from := Follow(value); from.Kind {
		case yaml.MappingNode:
			in = append(in, p.pairs(from, true)...)
		case yaml.SequenceNode: // of several, the first counts
			for j := len(from.Content) - 1; j >= 0; j-- {
				if m := Follow(from.Content[j]); m.Kind == yaml.MappingNode {
					in = append(in, p.pairs(m, true)...)
				} else {
					p.Fail(from.Content[j], "\"<<\" takes mappings, not %s", KindName(m))
				}
			}
		default:
			p.Fail(value, "\"<<\" takes a mapping or a list of mappings, not %s", KindName(value))
		}
	}
	return append(in, own...)
}

// Table reads a mapping. what names it in messages: "a slice". Of a key that
// stands twice the last counts, as for PyYAML, so that the rest can be checked.
func (p *Parser) Table(n *yaml.Node, what string) (Table, bool) {
	return p.TableWith(n, what, func(string) bool { return false })
}

// TableWith is Table for a mapping in which some keys, those that free reports,
// may stand more than once.
func (p *Parser) TableWith(n *yaml.Node, what string, free func(key string) bool) (Table, bool) {
	t := Table{Node: n, At: map[string]Entry{}}
	m := Follow(n)
	if m.Kind != yaml.MappingNode {
		p.Fail(n, "%s is a mapping of keys to values, not %s", what, KindName(n))
		return t, false
	}
	for _, e := range p.pairs(m, false) {
		key := Follow(e.Key)
		if key.Kind != yaml.ScalarNode {
			p.Fail(e.Key, "a key is text, not %s", KindName(key))
			continue
		}
		before, had := t.At[key.Value]
		if had && !before.merged && !e.merged && !free(key.Value) {
			p.Fail(e.Key, "key %s is already on line %d", text.QuoteWord(key.Value), before.Key.Line)
		}
		if !had {
			t.Keys = append(t.Keys, key.Value)
		}
		t.At[key.Value] = e
	}
	return t, true
}

// Value returns the node of a key, nil if there is none.
func (t Table) Value(key string) *yaml.Node {
	if e, ok := t.At[key]; ok && !IsNull(e.Value) {
		return e.Value
	}
	return nil
}

// Has reports whether a key is there with something under it, right or wrong.
func (t Table) Has(key string) bool { return t.Value(key) != nil }
