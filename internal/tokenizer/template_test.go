package tokenizer

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	for _, c := range []struct {
		name string
		dir  []string
		want string
	}{
		{"none", nil, ""},
		{"not set", []string{"tokenizer_config.json", `{"a": 1, "chat_template": null}`}, ""},
		{"text", []string{"tokenizer_config.json", `{"a": {}, "chat_template": "a\n\u00e9{{b}}"}`}, "a\né{{b}}"},
		{"file", []string{"tokenizer_config.json", `{"chat_template": "a"}`, "chat_template.jinja", "b"}, "b"},
		{"list", []string{"tokenizer_config.json", `{"chat_template": [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}]}`}, "b"},
		{"by name", []string{"tokenizer_config.json", `{"chat_template": {"default": "b", "x": "a"}}`}, "b"},
		{"list without", []string{"tokenizer_config.json", `{"chat_template": [{"name": "tool_use", "template": "a"}]}`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			open := files(c.dir...)
			got, err := Template(open)
			if err != nil || got != c.want {
				t.Errorf("%q, %v, want %q", got, err, c.want)
			}
			changed, err := SetTemplate(open, nil, "{{ \"new\" }}\n")
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Template(over(t, open, changed)); err != nil || got != "{{ \"new\" }}\n" {
				t.Errorf("set: %q, %v", got, err)
			}
		})
	}
	for name, dir := range map[string][]string{
		"corrupt":  {"tokenizer_config.json", `{"chat_template": "a`},
		"list":     {"tokenizer_config.json", `{"chat_template": ["a"]}`},
		"by name":  {"tokenizer_config.json", `{"chat_template": {"default": 1}}`},
		"too long": {"chat_template.jinja", strings.Repeat("a", maxTemplate+1)},
	} {
		var bad *FormatError
		if text, err := Template(files(dir...)); !errors.As(err, &bad) {
			t.Errorf("%s: %.20q, %v", name, text, err)
		}
		if _, err := SetTemplate(files(dir...), nil, "a"); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The template's place and the lists of tokens are changed in one file, in
// whatever order they stand there, and nothing else is.
func TestSetTemplateBesideTokens(t *testing.T) {
	const decoder = `"added_tokens_decoder": {"2": {"content": "<x>"}}`
	for _, order := range [][]string{{decoder, `"chat_template": "old"`}, {`"chat_template": "old"`, decoder}} {
		text := "{" + strings.Join(order, ", ") + `, "last": 1}`
		base := []string{"vocab.json", `{"a": 0, "b": 1}`, "tokenizer_config.json", text}
		other := []string{"vocab.json", `{"a": 0, "b": 1, "c": 2}`}
		o, err := Build(Config{Parents: []Parent{parent(t, "A", 0, base...), parent(t, "B", 0, other...)}, Source: Union})
		if err != nil {
			t.Fatal(err)
		}
		open := files(base...)
		changed, err := o.Files(open)
		if err != nil {
			t.Fatal(err)
		}
		before := slices.Clone(changed[0].edits)
		set, err := SetTemplate(open, changed, "new")
		if err != nil {
			t.Fatal(err)
		}
		checkWritten(t, o, open, set)
		if got, err := Template(over(t, open, set)); err != nil || got != "new" {
			t.Errorf("%q, %v", got, err)
		}
		i := slices.IndexFunc(set, func(f File) bool { return f.Name == configFile })
		if got := content(t, &set[i], open); !strings.Contains(got, `"chat_template": "new"`) || !strings.HasSuffix(got, `, "last": 1}`) {
			t.Error(got)
		}
		if !slices.EqualFunc(before, changed[0].edits, func(a, b edit) bool { return a.at == b.at && string(a.text) == string(b.text) }) {
			t.Error("what was given has changed")
		}
	}
}
