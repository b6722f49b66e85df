package recipe

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"slerpmerge/internal/document"
)

// YAML writes a merge of flags as a recipe that means the same to mergekit. names
// are the models as it is to call them, in the order of Models, layers the numbers of
// layers that they have, and out is the type of the files, kept when Auto. The recipe
// does not have the seed.
func (r *Recipe) YAML(names []ModelRef, layers []int, out DType) ([]byte, error) {
	w := yamlWriter{recipe: r}
	for _, m := range names {
		w.utf8("name", m.Path+m.Revision)
	}
	w.printf("merge_method: %s\n", r.Method)
	if r.Base != nil && r.Slices[0].Base < 0 && !r.pair {
		// Among models the base would be one more of them.
		w.printf("slices:\n  - sources:\n")
		for _, src := range r.Slices[0].Sources {
			n := layers[src.Parent]
			if first := layers[r.Slices[0].Sources[0].Parent]; n != first || n == 0 {
				return nil, fmt.Errorf("the models have %d and %d layers, and no recipe can say so while the base is none of them", first, n)
			}
			w.printf("      - model: %s\n        layer_range: [0, %d]\n", yamlModel(names[src.Parent]), n)
			w.parameters("        ", src.place)
		}
	} else {
		w.printf("models:\n")
		for _, src := range r.Slices[0].Sources {
			w.printf("  - model: %s\n", yamlModel(names[src.Parent]))
			if src.place > 0 {
				w.parameters("    ", src.place)
			}
		}
	}
	if r.Base != nil || r.pair {
		w.printf("base_model: %s\n", yamlModel(names[0]))
	}
	w.parameters("", 0)
	if !out.Auto {
		w.printf("out_dtype: %s\n", LongName(out.To))
	}
	return []byte(w.text.String()), w.err
}

// A yamlWriter gathers the text of a recipe.
type yamlWriter struct {
	recipe *Recipe
	text   strings.Builder
	err    error // the first one
}

func (w *yamlWriter) printf(format string, args ...any) { fmt.Fprintf(&w.text, format, args...) }

func (w *yamlWriter) utf8(what, s string) {
	if !utf8.ValidString(s) && w.err == nil {
		w.err = fmt.Errorf("the %s %q is not UTF-8, so no recipe can have it", what, s)
	}
}

// parameters writes those of a model, or of all for place 0.
func (w *yamlWriter) parameters(indent string, place int) {
	head := indent + "parameters:\n"
	for _, g := range w.recipe.Given() {
		if g.Place != place {
			continue
		}
		w.printf("%s", head)
		head = ""
		i := slices.IndexFunc(w.recipe.Rules.Parameters(), func(p Parameter) bool { return p.Name == g.Name })
		boolean := i >= 0 && w.recipe.Rules.Parameters()[i].Boolean
		if len(g.Setting) == 1 && g.Setting[0].Filter == "" {
			w.printf("%s  %s: %s\n", indent, g.Name, yamlValues(g.Setting[0].Values, boolean))
			continue
		}
		w.printf("%s  %s:\n", indent, g.Name)
		for _, rule := range g.Setting {
			w.utf8("filter", rule.Filter)
			if rule.Filter != "" {
				w.printf("%s    - filter: %s\n%s      value: %s\n", indent, document.WriteText(rule.Filter), indent, yamlValues(rule.Values, boolean))
			} else {
				w.printf("%s    - value: %s\n", indent, yamlValues(rule.Values, boolean))
			}
		}
	}
}

// yamlModel writes a model as path@revision where that can't be misread: a +
// starts an adapter, and only one @ may be there.
func yamlModel(m ModelRef) string {
	if !strings.ContainsAny(m.Path, "@+") && !strings.ContainsAny(m.Revision, "@+") {
		return document.WriteText(m.String())
	}
	revision := ""
	if m.Revision != "" {
		revision = ", revision: " + document.WriteText(m.Revision)
	}
	return "{model: {path: " + document.WriteText(m.Path) + revision + "}}"
}

func yamlValues(values []float64, boolean bool) string {
	words := make([]string, len(values))
	for i, v := range values {
		if words[i] = yamlNumber(v); boolean {
			words[i] = strconv.FormatBool(v != 0)
		}
	}
	if len(values) == 1 {
		return words[0]
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// yamlNumber writes a number so that YAML 1.1 reads one: 1e-07 is text there,
// 1.0e-07 is not.
func yamlNumber(v float64) string {
	s := strconv.FormatFloat(v, 'g', -1, 64)
	mantissa, exponent, has := strings.Cut(s, "e")
	if has && !strings.Contains(mantissa, ".") {
		return mantissa + ".0e" + exponent
	}
	return s
}
