package document

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

var form = Form{Noun: "a recipe", Has: "models and a method", Several: ", and merge them one after the other"}

// Files that are not documents are refused, with the place.
func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", "1:1: the file is empty; a recipe has models and a method"},
		"comments":     {"# nothing\n", "1:1: the file is empty"},
		"not UTF-8":    {"a: \xff\n", "1:1: the file is not text in UTF-8"},
		"long":         {strings.Repeat("#", maxFile+1), "1:1: the file has 1048577 bytes; a recipe has at most 1048576"},
		"two":          {"a: 1\n---\nb: 2\n", "2:1: a second document starts here; a recipe is one document, so give each its own file, and merge them one after the other"},
		"unclosed":     {"a: [1, 2\n", "this is not YAML: "},
		"backslash":    {`a: "D:\models\a"`, "write a path with forward slashes or in single quotes"},
		"backslash u":  {"\ufeff# é\r\na: é\r\nb: \"é:\\users\"\r\n", "write a path with forward slashes or in single quotes"},
		"star":         {"filter: *\n", `a filter * is written in quotes: "*"`},
		"no anchor":    {"a: *b\n", "this is not YAML: "},
		"own part":     {"a: &a [1, *a]\n", `1:11: alias "a" stands for something that it is a part of`},
		"deep":         {strings.Repeat("[", 102) + strings.Repeat("]", 102), "1:102: values are nested deeper than 100 levels"},
		"bombs":        {bomb(), "aliases make this more than 100000 values"},
		"second wrong": {"a: 1\n---\n]\n", "this is not YAML: "},
	} {
		n, p := Load([]byte(c.text), form)
		if p == nil {
			t.Errorf("%s: accepted as %s", name, KindName(n))
			continue
		}
		if got := fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Message); !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Advice is for the mistake that was made.
func TestLoadAdvises(t *testing.T) {
	for _, text := range []string{"a: \"b\n", "a: \"b\\\\c\n", "a: &\n", "a: 'b\\c\n", "a: %\\\n"} {
		if _, p := Load([]byte(text), form); p == nil || strings.Contains(p.Message, "; ") {
			t.Errorf("%q: %v", text, p)
		}
	}
}

// bomb is a list of lists of lists, ten in each.
func bomb() string {
	var b strings.Builder
	b.WriteString("l0: &l0 x\n")
	for i := range 6 {
		fmt.Fprintf(&b, "l%d: &l%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d,", i), 10), ","))
	}
	return b.String()
}

// A value is named in messages by what it is.
func TestKindName(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1": "a mapping", "[1]": "a list", "~": "nothing", "on": "on, which is a yes or no", "0.5": `the number "0.5"`, "slerp": `the text "slerp"`, "!!set {}": "a mapping",
		"!x y": `the tag "!x"`,
	} {
		if got := KindName(node(t, text)); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

// Tables have the keys that << merges in, then those of the mapping itself.
func TestTable(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string // the entries, or the problems
	}{
		"plain":             {"b: 1\na: x\n", "b=1 a=x"},
		"null is nothing":   {"a: ~\nb:\n", "a= b="},
		"quoted key":        {`"a": 1`, "a=1"},
		"twice":             {"a: 1\nb: 2\na: 3\n", `3:1: key "a" is already on line 1`},
		"merged":            {"base: &b {a: 1, b: 2}\n<<: *b\nb: 3\n", "a=1 b=3 base=a mapping"},
		"merged before":     {"b: 3\n<<: {a: 1, b: 2}\n", "a=1 b=3"},
		"first of several":  {"<<: [{a: 1}, {a: 2, b: 2}]\n", "a=1 b=2"},
		"merged in merged":  {"<<: {<<: {a: 1, b: 1}, b: 2}\n", "a=1 b=2"},
		"quoted << is none": {`"<<": 1`, "<<=1"},
		"merging a list":    {"<<: [1]\n", `1:6: "<<" takes mappings, not the number "1"`},
		"merging a text":    {"<<: x\n", `1:5: "<<" takes a mapping or a list of mappings, not the text "x"`},
		"a list as key":     {"? [1]\n: 2\n", "a key is text, not a list"},
		"a list":            {"[1]", "1:1: a slice is a mapping of keys to values, not a list"},
		"free":              {"x: 1\nx: 2\n", "x=2"},
	} {
		var p Parser
		table, _ := p.TableWith(node(t, c.text), "a slice", func(key string) bool { return key == "x" })
		var got []string
		for _, k := range table.Keys {
			text := ""
			if v := table.Value(k); v != nil {
				if text = Follow(v).Value; text == "" {
					text = KindName(v)
				}
			}
			got = append(got, k+"="+text)
		}
		if len(p.Problems) > 0 {
			got = nil
			for _, x := range p.Problems {
				got = append(got, fmt.Sprintf("%d:%d: %s", x.Line, x.Column, x.Message))
			}
		}
		if s := strings.Join(got, " "); !strings.HasSuffix(s, c.want) {
			t.Errorf("%s: %s, want %s", name, s, c.want)
		}
	}
}

// Unknown keys are reported with the known one that is meant, or with all of them.
func TestOnly(t *testing.T) {
	var p Parser
	p.Misplaced = func(key string, _ []string) string {
		if key == "density" {
			return "belongs to another method"
		}
		return ""
	}
	table, _ := p.Table(node(t, "models: 1\nbase_modle: 2\ndensity: 3\nzzz: 4\nnote: 5\n"), "a recipe")
	p.Only(table, "a recipe", []string{"models", "base_model"}, "note")
	want := []string{`unknown key "base_modle", did you mean "base_model"?`, `key "density" belongs to another method`, `unknown key "zzz"; a recipe has models and base_model`}
	var got []string
	for _, x := range p.Problems {
		got = append(got, x.Message)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !table.Has("zzz") || table.Has("absent") {
		t.Error("Has")
	}
}

// Texts and lists that are something else are reported with the cure.
func TestTextAndItems(t *testing.T) {
	for text, want := range map[string]string{
		"abc": "abc", `"1"`: "1", "1": `a filter is text, and 1 is not read as text; write it in quotes: "1"`, "no": `a filter is text, and no is not read as text; write it in quotes: "no"`,
		"~": "a filter is text, not nothing", "[a]": "a filter is text, not a list", "!x y": `a filter is text, not the tag "!x"`,
	} {
		var p Parser
		got, ok := p.Text(node(t, text), "a filter")
		if !ok {
			got = p.Problems[0].Message
		}
		if got != want || ok != (len(p.Problems) == 0) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	var p Parser
	if items := p.Items(node(t, "[1, 2]"), "a gradient"); len(items) != 2 || p.Problems != nil {
		t.Errorf("%d items, %v", len(items), p.Problems)
	}
	if p.Items(node(t, "a: 1"), "a gradient"); len(p.Problems) != 1 || p.Problems[0].Message != "a gradient is a list, not a mapping" {
		t.Errorf("%v", p.Problems)
	}
}

// Aliases are followed, and known by the anchor that they share.
func TestShared(t *testing.T) {
	top := node(t, "a: &x [1]\nb: *x\nc: &y [2]\n")
	var p Parser
	table, _ := p.Table(top, "a file")
	if Follow(table.Value("b")) != table.Value("a") {
		t.Error("an alias is not followed")
	}
	if !Shared(top, table.Value("a")) || Shared(top, table.Value("c")) || Shared(top, top) {
		t.Error("what an alias refers to is shared, and nothing else")
	}
}

// An error shows each problem once, in the order of the file, with its line and a
// caret below the place.
func TestErrorText(t *testing.T) {
	src := "\ufeffone: 1\r\ntwo: \t2\u2028three: 3\n" + strings.Repeat("x", 300) + "\n"
	err := NewError("a.yml", []byte(src), []Problem{{Pos{4, 250}, "far"}, {Pos{2, 6}, "second"}, {Pos{2, 6}, "second"}, {Pos{1, 1}, "first"}, {Pos{9, 1}, "beyond"}})
	want := `a.yml:1:1: first
    1 | one: 1
      | ^
a.yml:2:6: second
    2 | two:  2
      |      ^
a.yml:4:250: far
    4 | ...` + strings.Repeat("x", 100) + `
      |` + strings.Repeat(" ", 53) + `^
a.yml:9:1: beyond`
	if got := err.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	many := make([]Problem, maxShown+3)
	for i := range many {
		many[i] = Problem{Pos{i + 1, 1}, "wrong"}
	}
	if got := NewError("a.yml", nil, many).Error(); !strings.HasSuffix(got, "\na.yml: 3 more problems") {
		t.Errorf("many end with %q", got[len(got)-60:])
	}
}
