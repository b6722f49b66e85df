package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"slerpmerge/internal/model"
)

// maxFront bounds the front matter of a parent's card: the Hub's largest have
// some 10 KB, those of results of evaluations.
const maxFront = 256 << 10

// A parentCard has the front matter of a parent's README.md.
type parentCard struct {
	License     string
	LicenseName string // with License "other"
	LicenseLink string
	Languages   []string // sorted
	Pipeline    string
}

// readCard reads the front matter of a parent's model card. What can't be
// read says nothing: a parent's card forbids no merge.
func readCard(m *model.Model) parentCard {
	var c parentCard
	if m.Dir == "" {
		return c
	}
	f, err := m.OpenCompanion(CardName)
	if err != nil {
		return c
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFront))
	if err != nil {
		return c
	}
	var v struct {
		License     any `yaml:"license"`
		LicenseName any `yaml:"license_name"`
		LicenseLink any `yaml:"license_link"`
		Language    any `yaml:"language"`
		Pipeline    any `yaml:"pipeline_tag"`
	}
	if yaml.Unmarshal(members(frontMatter(text)), &v) != nil {
		return c
	}
	c.License, c.LicenseName, c.LicenseLink = textOf(v.License), textOf(v.LicenseName), textOf(v.LicenseLink)
	c.Pipeline = textOf(v.Pipeline)
	if list, ok := v.Language.([]any); ok {
		for _, x := range list {
			c.Languages = append(c.Languages, textOf(x))
		}
	} else {
		c.Languages = []string{textOf(v.Language)}
	}
	c.Languages = slices.DeleteFunc(c.Languages, func(s string) bool { return s == "" })
	slices.Sort(c.Languages)
	c.Languages = slices.Compact(c.Languages)
	return c
}

// textOf returns a value of the front matter that is a word or a list of one.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case bool: // no, for Norwegian
		if !v {
			return "no"
		}
	case []any:
		if len(v) == 1 {
			return textOf(v[0])
		}
	}
	return ""
}

// maxMembers bounds what is parsed: a tree of all of the front matter could
// take many times its size in memory.
const maxMembers = 16 << 10

// members returns the lines of the members at the top that readCard wants; nil if
// they are too long.
func members(front []byte) []byte {
	var out []byte
	keep := false
	for line := range bytes.Lines(front) {
		if c := line[0]; c >= 'a' && c <= 'z' { // a name at the top, not the rest of a value
			name, _, _ := bytes.Cut(line, []byte(":"))
			keep = slices.Contains([]string{"license", "license_name", "license_link", "language", "pipeline_tag"}, string(name))
		}
		if keep {
			out = append(out, line...)
		}
		if len(out) > maxMembers {
			return nil
		}
	}
	return out
}

// frontMatter returns the YAML between the first line, ---, and the next such line.
func frontMatter(card []byte) []byte {
	card = bytes.TrimPrefix(card, []byte("\xef\xbb\xbf"))
	card = bytes.ReplaceAll(card, []byte("\r\n"), []byte("\n"))
	rest, ok := bytes.CutPrefix(card, []byte("---\n"))
	if !ok {
		return nil
	}
	front, _, ok := bytes.Cut(append([]byte("\n"), rest...), []byte("\n---"))
	if !ok {
		return nil
	}
	return front
}

// An agreement has the values that are the same in the cards of all parents.
type agreement struct {
	parentCard
	notes []string // on what they do not
}

func agree(models []*model.Model) agreement {
	var cards []parentCard
	for _, m := range models {
		cards = append(cards, readCard(m))
	}
	all := func(same func(a, b parentCard) bool) bool {
		return !slices.ContainsFunc(cards, func(c parentCard) bool { return !same(cards[0], c) })
	}
	var a agreement
	first := cards[0]
	if all(func(a, b parentCard) bool {
		return a.License == b.License && a.LicenseName == b.LicenseName && a.LicenseLink == b.LicenseLink
	}) {
		a.License, a.LicenseName, a.LicenseLink = first.License, first.LicenseName, first.LicenseLink
		if a.License == "" {
			a.notes = append(a.notes, "No parent's model card names a licence: ask before you publish this model.")
		}
	} else {
		var said []string
		for i, m := range models {
			what := "none"
			if cards[i].License != "" {
				what = cards[i].License
				if cards[i].LicenseName != "" {
					what += " (" + cards[i].LicenseName + ")"
				}
			}
			said = append(said, fmt.Sprintf("%s in %s", what, m.Name()))
		}
		a.notes = append(a.notes, "The parents' model cards don't agree on a licence ("+strings.Join(said, ", ")+"): all of them apply.")
	}
	if all(func(a, b parentCard) bool { return slices.Equal(a.Languages, b.Languages) }) {
		a.Languages = first.Languages
	}
	if all(func(a, b parentCard) bool { return a.Pipeline == b.Pipeline }) {
		a.Pipeline = first.Pipeline
	}
	return a
}
