package report

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"slerpmerge/internal/model"
)

func TestReadCard(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want parentCard
	}{
		"none":      {"# Title\n---\nlicense: mit\n---\n", parentCard{}},
		"unclosed":  {"---\nlicense: mit\n", parentCard{}},
		"no yaml":   {"---\nlicense: {mit\n---\n", parentCard{}},
		"plain":     {"---\nlicense: mit\nlanguage: en\npipeline_tag: text-generation\n---\n# Title", parentCard{License: "mit", Languages: []string{"en"}, Pipeline: "text-generation"}},
		"windows":   {"\ufeff---\r\nlicense: mit\r\n---\r\n", parentCard{License: "mit"}},
		"lists":     {"---\nmodel-index:\n- license: x\nlicense:\n- apache-2.0\nlanguage:\n- fr\n- en\n- fr\n---\n", parentCard{License: "apache-2.0", Languages: []string{"en", "fr"}}},
		"norwegian": {"---\nlanguage: [no, en]\n---\n", parentCard{Languages: []string{"en", "no"}}},
		"other": {"---\nlicense: other\nlicense_name: llama3\nlicense_link: LICENSE\n---\n",
			parentCard{License: "other", LicenseName: "llama3", LicenseLink: "LICENSE"}},
		"wrong kinds": {"---\nlicense: {a: b}\nlanguage: 7\n---\n", parentCard{}},
		"aliases":     {"---\nlicense: &a [&b [*a, *a]]\n---\n", parentCard{}},
		"too long":    {"---\nlicense: " + strings.Repeat("x", maxMembers) + "\n---\n", parentCard{}},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, CardName), []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		got := readCard(&model.Model{Path: dir, Dir: dir})
		if len(got.Languages) == 0 {
			got.Languages = nil
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// Without a card of any parent nothing is agreed on.
func TestAgree(t *testing.T) {
	card := func(text string) *model.Model {
		dir := filepath.Join(t.TempDir(), "m")
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, CardName), []byte("---\n"+text+"\n---\n"), 0o666); err != nil {
			t.Fatal(err)
		}
		return &model.Model{Path: dir, Dir: dir}
	}
	for name, c := range map[string]struct {
		a, b    string
		license string
		note    string
	}{
		"same":      {"license: mit\nlanguage: en", "license: mit\nlanguage: [en]", "mit", ""},
		"differ":    {"license: mit", "license: apache-2.0", "", "don't agree on a licence (mit in m, apache-2.0 in m)"},
		"one":       {"license: mit", "language: en", "", "(mit in m, none in m)"},
		"none":      {"a: b", "language: en", "", "No parent's model card names a licence"},
		"other":     {"license: other\nlicense_name: x", "license: other\nlicense_name: y", "", "(other (x) in m, other (y) in m)"},
		"same link": {"license: other\nlicense_name: x", "license: other\nlicense_name: x", "other", ""},
	} {
		got := agree([]*model.Model{card(c.a), card(c.b)})
		if got.License != c.license || !strings.Contains(strings.Join(got.notes, "; "), c.note) || (c.note == "") != (len(got.notes) == 0) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
