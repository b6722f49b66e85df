package report

import (
	"fmt"
	"strconv"
	"strings"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/recipe"
)

// CardName is the file that the Hub shows for a model.
const CardName = "README.md"

// Card makes the model card: front matter as the Hub reads it, what was
// merged, and the recipe as a mergekit YAML, so that either tool can repeat
// it.
func Card(r *merge.Result) []byte {
	p := r.Plan
	var names []string
	for _, m := range p.Models {
		names = append(names, m.Name())
	}
	var s strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&s, format, args...) }
	w("---\nbase_model:\n")
	for _, name := range names {
		w("- %s\n", yamlText(name))
	}
	w("base_model_relation: merge\n")
	if p.Config != nil {
		w("library_name: transformers\n")
	}
	w("tags:\n- merge\n- %s\n- slerpmerge\n---\n\n", p.Recipe.Method)
	w("# %s\n\n", markdown(strings.Join(names, " + ")))
	w("%s, made with slerpmerge.\n\n", methods[p.Recipe.Method])
	w("| | |\n|---|---|\n")
	if p.Recipe.Document == nil {
		w("| primary (t = 0) | %s |\n| secondary (t = 1) | %s |\n| t | %s |\n", markdown(names[0]), markdown(names[1]), markdown(p.Recipe.T.String()))
	} else {
		for i, name := range names {
			w("| %s | %s |\n", role(p, i), markdown(name))
		}
	}
	w("| element type | %s |\n| tensors | %d |\n\n", p.Recipe.DType, len(p.Tensors))
	linear := "interpolated linearly, being almost parallel"
	if p.Recipe.Method != recipe.Slerp {
		linear = "added up or scaled, by the weights of the recipe"
	}
	n := r.Branches()
	w("| what was done | tensors |\n|---|---|\n")
	for _, line := range []struct {
		b    merge.Branch
		what string
	}{
		{merge.Slerp, "interpolated on the sphere"}, {merge.Linear, linear},
		{merge.Equal, "equal in both parents, copied"}, {merge.Copy, "copied from one parent"}, {merge.Convert, "taken from one parent in another type"},
	} {
		if n[line.b] > 0 {
			w("| %s | %d |\n", line.what, n[line.b])
		}
	}
	if p.Recipe.Method == recipe.Slerp {
		w("\n`%s` has the angle and the norms of each tensor.\n", ProvenanceName)
	}
	w("\n")
	if len(r.Warnings) > 0 {
		w("## Notes\n\n")
		for _, line := range r.Warnings {
			w("- %s\n", markdown(line))
		}
		w("\n")
	}
	if d := p.Recipe.Document; d != nil {
		w("## Recipe\n\n```yaml\n%s\n```\n", strings.TrimSpace(string(d.Source)))
	} else if yaml, err := recipe.WriteYAML(recipe.ModelRef{Path: names[0]}, recipe.ModelRef{Path: names[1]}, p.Recipe.T, p.Recipe.DType); err == nil {
		w("## Recipe\n\n```yaml\n%s```\n", yaml)
	}
	return []byte(s.String())
}

var methods = map[recipe.Method]string{
	recipe.Slerp:       "A merge of two models by spherical linear interpolation (SLERP)",
	recipe.Linear:      "A merge of models by a weighted sum",
	recipe.Passthrough: "A model put together of layers of others",
}

// yamlText quotes a text where YAML could read it as something else.
func yamlText(s string) string {
	for i, c := range s {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' || c == '/')
		if !plain {
			return strconv.Quote(s)
		}
	}
	switch strings.ToLower(s) {
	case "", "yes", "no", "on", "off", "true", "false", "null", "y", "n":
		return strconv.Quote(s)
	}
	return s
}

// markdown keeps a name or message from being read as markup.
func markdown(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`, "`", "'", "\n", " ").Replace(s)
}
