package recipe_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"slerpmerge/internal/method"
	"slerpmerge/internal/recipe"
)

// Files of several documents, or what is wrong with them.
func TestStages(t *testing.T) {
	doc := func(name string, models ...string) string {
		s := ""
		if name != "" {
			s = "name: " + name + "\n"
		}
		s += "merge_method: linear\nparameters: {weight: 1}\nmodels:\n"
		for _, m := range models {
			s += "  - model: " + m + "\n"
		}
		return s
	}
	for _, c := range []struct {
		name, src string
		order     string // of the stages, with their needs
		output    string // "-" for none
		problems  []string
	}{
		{"one", doc("", "a", "b"), "output()", "output", nil},
		{"one that has a name", doc("x", "a"), "x()", "x", nil},
		{"one between marks", "---\n# one\n" + doc("", "a") + "---\n...\n", "output()", "output", nil},
		{"a chain", doc("first", "a", "b") + "---\n" + doc("second", "first", "c") + "--- # the last\n" + doc("", "second", "a"), "first() second(first) output(second)", "output", nil},
		{"all with names", doc("first", "a") + "---\n" + doc("second", "first", "b"), "first() second(first)", "second", nil},
		{"backwards", doc("", "x", "y") + "---\n" + doc("x", "y") + "---\n" + doc("y", "a"), "y() x(y) output(x,y)", "output", nil},
		{"several ends", doc("x", "a") + "---\n" + doc("y", "a"), "x() y()", "-", nil},
		{"an end beside the output", doc("x", "a") + "---\n" + doc("", "b"), "x() output()", "output", nil},
		{"a name in a path is none", doc("x", "a") + "---\n" + doc("", "./x", "org/x", "x@v1"), "x() output()", "output", nil},
		{"as base and tokenizer", doc("x", "a") + "---\nmerge_method: slerp\nbase_model: x\ntokenizer_source: x\nmodels: [{model: x}, {model: b}]\nparameters: {t: 0.5}\n", "x() output(x)", "output", nil},
		{"of slices", doc("x", "a") + "---\nmerge_method: passthrough\nslices: [{sources: [{model: x, layer_range: [0, 1]}]}, {sources: [{model: a, layer_range: [0, 1]}]}]\n", "x() output(x)", "output", nil},
		{"inline", "--- {name: x, merge_method: passthrough, models: [{model: a}]}\n--- {merge_method: passthrough, models: [{model: x}]}\n", "x() output(x)", "output", nil},
		{"lines of Windows", strings.ReplaceAll(doc("x", "a")+"---\n"+doc("", "x"), "\n", "\r\n"), "x() output(x)", "output", nil},

		{"two without a name", doc("", "a") + "---\n" + doc("", "b"), "", "", []string{"5:1 this document has no name, and neither has that on line 1"}},
		{"a name twice", doc("x", "a") + "---\n" + doc("x", "b"), "", "", []string{`7:7 the name "x" is already that of the document on line 1`}},
		{"a circle", doc("x", "z") + "---\n" + doc("y", "x") + "---\n" + doc("z", "y", "a"), "", "", []string{`11:12 the documents need each other in a circle: "x" needs "z" needs "y" needs "x"`}},
		{"itself", doc("x", "a", "x"), "x()", "x", nil}, // one document: x is a model
		{"itself, of two", doc("x", "a", "x") + "---\n" + doc("", "x"), "", "", []string{`6:12 the documents need each other in a circle: "x" needs "x"`}},
		{"a name that leads away", doc("../x", "a") + "---\n" + doc("", "b"), "", "", []string{`1:7 the name "../x" can't be that of a folder`}},
		{"a hidden name", doc(".x", "a") + "---\n" + doc("", "b"), "", "", []string{`1:7 the name ".x" can't be`}},
		{"a name with a revision", doc("x@1", "a") + "---\n" + doc("", "b"), "", "", []string{`1:7 the name "x@1" has characters`}},
		{"problems of two", "merge_metod: x\nmodels: [{model: a}]\n---\nname: y\nmerge_method: linear\nmodels: [{model: b}]\n", "", "", []string{
			`1:1 unknown key "merge_metod"`, `1:1 merge_method is missing`, "6:18 linear needs a weight"}},
		{"not YAML", doc("x", "a") + "---\na: [\n", "", "", []string{"8:1 this is not YAML"}},
	} {
		s, err := recipe.ParseStages("r.yml", []byte(c.src), method.All())
		if e := (*recipe.DocumentError)(nil); errors.As(err, &e) {
			got := spell(e.Problems)
			ok := len(got) == len(c.problems)
			for i := range c.problems {
				ok = ok && strings.HasPrefix(got[i], c.problems[i])
			}
			if !ok {
				t.Errorf("%s: %q, want %q", c.name, got, c.problems)
			}
			continue
		}
		if err != nil || c.problems != nil {
			t.Errorf("%s: %v, want %q", c.name, err, c.problems)
			continue
		}
		var order []string
		for _, stage := range s.All {
			var needs []string
			for _, n := range stage.Needs {
				needs = append(needs, n.Label())
			}
			order = append(order, stage.Label()+"("+strings.Join(needs, ",")+")")
			if strings.Contains(string(stage.Recipe.Source), "---") && c.name != "inline" && len(s.All) > 1 {
				t.Errorf("%s: the text of %s is not that of one document:\n%s", c.name, stage.Label(), stage.Recipe.Source)
			}
			if _, err := recipe.Parse("again.yml", stage.Recipe.Source, method.All()); err != nil {
				t.Errorf("%s: the text of %s: %v", c.name, stage.Label(), err)
			}
		}
		output := "-"
		if s.Output != nil {
			output = s.Output.Label()
		}
		if got := strings.Join(order, " "); got != c.order || output != c.output {
			t.Errorf("%s: %s, output %s; want %s, %s", c.name, got, output, c.order, c.output)
		}
	}
}

// The outputs that a stage needs are looked for where they are made, under every key.
func TestPlaceOfStages(t *testing.T) {
	src := "name: x\nmerge_method: passthrough\nmodels: [{model: a}]\n---\nmerge_method: linear\nbase_model: x\ntokenizer: {source: x, tokens: {t: {source: x}}}\nparameters: {weight: 1}\nmodels: [{model: a}]\n"
	s, err := recipe.ParseStages("r.yml", []byte(src), method.All())
	if err != nil {
		t.Fatal(err)
	}
	r := s.Output.Recipe
	s.Output.Place(func(o *recipe.Stage) string { return "dir/" + o.Name })
	if got := fmt.Sprint(r.Parents(), r.Slices[0].Sources[1].Model, r.Vocabulary.Model, r.Vocabulary.Tokens[0].Model); got != "[dir/x a] dir/x dir/x dir/x" {
		t.Error(got)
	}
	if place := r.Reject(recipe.Problem{Pos: r.Vocabulary.Pos, Message: "bad"}).Error(); !strings.HasPrefix(place, "r.yml:7:12: bad\n    7 | tokenizer: {") {
		t.Error(place)
	}
}
