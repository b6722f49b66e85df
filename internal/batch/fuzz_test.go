package batch_test

import (
	"errors"
	"strings"
	"testing"

	"slerpmerge/internal/batch"
	"slerpmerge/internal/document"
)

// FuzzManifest: what is accepted can be run as it stands, in an order in which
// nothing comes before what it needs; what is refused is refused with places
// in the file.
func FuzzManifest(f *testing.F) {
	for _, src := range []string{
		chain,
		"defaults: {dtype: f16, t: [0, 1], vocab: ~}\njobs:\n- {name: a, primary: p, secondary: q, t: [x=0, 1], output: o, after: b}\n- {name: b, model: m, output: n}\n",
		"jobs:\n- &j {name: a, model: m, output: o}\n- {<<: *j, name: b, output: p}\n- *j\n",
		"jobs:\n- {name: a, model: b, output: a, after: [a, b, 1]}\n- {name: b, model: a/w.bin, output: b}\n",
		"jobs:\n- {name: a, recipe: r, model: m, output: [o], threads: {}}\n- 1\n",
		"jobs: &x [*x]\n", "jobs:\n- {? [a] : b}\n", "--- {}\n--- {}\n", "\xff", "jobs: !!set {a}\n", "{", "",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := batch.ParseManifest("m.yaml", src, &fakeGrammar{dir: "/nowhere/that/exists"})
		if err != nil {
			var refusal *batch.Refusal
			var doc *document.Error
			if !errors.As(err, &refusal) || !errors.As(err, &doc) || len(doc.Problems) == 0 {
				t.Fatalf("refused with %#v", err)
			}
			lines := strings.Count(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(string(src)), "\n") + 1
			for _, p := range doc.Problems {
				if p.Line < 1 || p.Line > lines+1 || p.Column < 1 || p.Message == "" {
					t.Fatalf("problem %+v in a file of %d lines", p, lines)
				}
			}
			return
		}
		if len(m.Jobs) == 0 {
			t.Fatal("no jobs")
		}
		made, names := map[string]bool{}, map[string]bool{}
		for _, j := range m.Jobs {
			models := 0
			for _, w := range []batch.Word{j.Primary, j.Recipe, j.Model} {
				if w.Text != "" {
					models++
				}
			}
			if names[j.Name] || j.Name == "" || j.Output.Text == "" || models != 1 || (j.Kind == batch.Convert) != (j.Model.Text != "") || j.Task == nil {
				t.Fatalf("accepted job %+v", j)
			}
			names[j.Name] = true
			for _, a := range j.After {
				if !names[a.Text] {
					t.Fatalf("%s comes before %s", j.Name, a.Text)
				}
			}
			out := j.Task.Output()
			if made[out] {
				t.Fatalf("%s is made twice", out)
			}
			made[out] = true
		}
	})
}
