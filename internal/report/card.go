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
	a, b := p.Primary.Name(), p.Secondary.Name()
	var s strings.Builder
	w := func(format string, args ...any) { fmt.Fprintf(&s, format, args...) }
	w("---\nbase_model:\n- %s\n- %s\nbase_model_relation: merge\n", yamlText(a), yamlText(b))
	if p.Config != nil {
		w("library_name: transformers\n")
	}
	w("tags:\n- merge\n- slerp\n- slerpmerge\n---\n\n")
	w("# %s + %s\n\n", markdown(a), markdown(b))
	w("A merge of two models by spherical linear interpolation (SLERP), made with slerpmerge.\n\n")
	w("| | |\n|---|---|\n")
	w("| primary (t = 0) | %s |\n| secondary (t = 1) | %s |\n| t | %v |\n", markdown(a), markdown(b), p.Recipe.T)
	w("| element type | %s |\n| tensors | %d |\n\n", p.Recipe.DType, len(p.Tensors))
	n := r.Branches()
	w("| what was done | tensors |\n|---|---|\n")
	for _, line := range []struct {
		b    merge.Branch
		what string
	}{
		{merge.Slerp, "interpolated on the sphere"}, {merge.Linear, "interpolated linearly, being almost parallel"},
		{merge.Equal, "equal in both parents, copied"}, {merge.Copy, "copied from one parent"}, {merge.Convert, "taken from one parent in another type"},
	} {
		if n[line.b] > 0 {
			w("| %s | %d |\n", line.what, n[line.b])
		}
	}
	w("\n`%s` has the angle and the norms of each tensor.\n\n", ProvenanceName)
	if len(r.Warnings) > 0 {
		w("## Notes\n\n")
		for _, line := range r.Warnings {
			w("- %s\n", markdown(line))
		}
		w("\n")
	}
	w("## Recipe\n\n```yaml\nmodels:\n  - model: %s\n  - model: %s\nmerge_method: slerp\nbase_model: %s\nparameters:\n  t: %s\n", yamlText(a), yamlText(b), yamlText(a),
		strconv.FormatFloat(p.Recipe.T, 'f', -1, 64)) // YAML 1.1 takes 1e-07 for a text
	if !p.Recipe.DType.Auto {
		// mergekit's dtype would cast the parents before the arithmetic
		w("out_dtype: %s\n", recipe.LongName(p.Recipe.DType.To))
	}
	w("```\n")
	return []byte(s.String())
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
