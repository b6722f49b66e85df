package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slerpmerge/internal/document"
	"slerpmerge/internal/merge"
	"slerpmerge/internal/method"
	"slerpmerge/internal/model"
	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
)

// CardName is the file that the Hub shows for a model.
const CardName = "README.md"

// Card makes the model card: front matter as the Hub reads it, what was
// merged and how, and the recipe as a mergekit YAML, so that either tool can
// repeat it. Nothing of this machine goes into it but the parents' names.
func Card(r *merge.Result) []byte {
	c := &card{r: r, p: r.Plan, agreed: agree(r.Plan.Models)}
	c.front()
	c.what()
	c.levels()
	c.notes()
	c.recipe()
	c.credits()
	return []byte(c.s.String())
}

type card struct {
	s      strings.Builder
	r      *merge.Result
	p      *plan.Plan
	agreed agreement
}

func (c *card) printf(format string, args ...any) { fmt.Fprintf(&c.s, format, args...) }

// front writes the front matter. base_model lists what the Hub can resolve; a
// licence, a language and a task stand there if all parents have the same.
func (c *card) front() {
	c.printf("---\n")
	if c.agreed.License != "" {
		c.printf("license: %s\n", document.WriteText(c.agreed.License))
		for _, more := range []struct{ key, value string }{{"license_name", c.agreed.LicenseName}, {"license_link", c.agreed.LicenseLink}} {
			if more.value != "" {
				c.printf("%s: %s\n", more.key, document.WriteText(more.value))
			}
		}
	}
	c.list("language", c.agreed.Languages)
	if repos := c.repos(); len(repos) > 0 {
		c.list("base_model", repos)
		c.printf("base_model_relation: merge\n")
	}
	switch {
	case slices.ContainsFunc(c.p.Companions, func(x plan.Companion) bool { return x.Name == model.ModulesName }):
		c.printf("library_name: sentence-transformers\n")
	case c.p.Config != nil:
		c.printf("library_name: transformers\n")
	}
	if c.agreed.Pipeline != "" {
		c.printf("pipeline_tag: %s\n", document.WriteText(c.agreed.Pipeline))
	}
	c.list("tags", []string{"merge", string(c.p.Recipe.Method), "slerpmerge"})
	c.printf("---\n\n")
}

func (c *card) list(key string, values []string) {
	if len(values) == 0 {
		return
	}
	c.printf("%s:\n", key)
	for _, v := range values {
		c.printf("- %s\n", document.WriteText(v))
	}
}

// repos returns the parents that the Hub knows, each once.
func (c *card) repos() []string {
	var repos []string
	for _, m := range c.p.Models {
		if repo, _ := m.Repo(); strings.Contains(repo, "/") && !slices.Contains(repos, repo) {
			repos = append(repos, repo)
		}
	}
	return repos
}

// link returns a parent's name, with its page on the Hub if it has one.
func link(m *model.Model) string {
	if repo, _ := m.Repo(); repo != "" {
		return fmt.Sprintf("[%s](https://huggingface.co/%s)", markdown(m.Name()), repo)
	}
	return markdown(m.Name())
}

// what says which models were merged, and how many tensors had which outcome.
func (c *card) what() {
	p := c.p
	var names []string
	for _, m := range p.Models {
		names = append(names, markdown(m.Name()))
	}
	c.printf("# %s\n\n", strings.Join(names, " + "))
	c.printf("%s, made with slerpmerge.\n\n", title(p))
	c.printf("| | |\n|---|---|\n")
	for i, m := range p.Models {
		what := p.Recipe.Role(i)
		switch {
		case !p.Recipe.IsPair():
		case i == 0:
			what += " (t = 0)"
		default:
			what += " (t = 1)"
		}
		revision := ""
		if _, at := m.Repo(); at != "" {
			revision = ", revision " + markdown(at)
		}
		c.printf("| %s | %s%s |\n", what, link(m), revision)
	}
	for _, g := range p.Recipe.Given() {
		what := g.Name
		if g.Place > 0 {
			models, _ := p.Recipe.Listed()
			what += " of " + p.Models[slices.IndexFunc(p.Recipe.Models(), models[g.Place-1].Same)].Name()
		}
		c.printf("| %s | %s |\n", markdown(what), markdown(g.Setting.String()))
	}
	c.printf("| element type | %s |\n| tensors | %d |\n\n", elementTypes(p), len(p.Tensors))
	linear := "interpolated linearly, being almost parallel"
	if !p.Pairs() {
		linear = "added up or scaled, by the weights of the recipe"
	}
	equal := "equal in both parents, copied"
	if len(p.Models) > 2 {
		equal = "equal in all parents, copied"
	}
	n := c.r.Outcomes()
	c.printf("| what was done | tensors |\n|---|---|\n")
	for _, line := range []struct {
		b    method.Outcome
		what string
	}{
		{method.Spherical, "interpolated on the sphere"}, {method.Straight, linear},
		{method.Equal, equal}, {method.Copied, "copied from one parent"}, {method.Converted, "taken from one parent in another type"},
	} {
		if n[line.b] > 0 {
			c.printf("| %s | %d |\n", line.what, n[line.b])
		}
		delete(n, line.b)
	}
	for _, b := range slices.Sorted(maps.Keys(n)) {
		if n[b] > 0 {
			c.printf("| merged by %s | %d |\n", b, n[b])
		}
	}
	c.printf("\n")
	if lines := CameTo(c.r); lines != nil {
		c.printf("## What the method came to\n\n")
		for _, line := range lines {
			c.printf("- %s\n", markdown(line))
		}
		c.printf("\n")
	}
}

// elementTypes names the types of the floating tensors, that of most bytes
// first.
func elementTypes(p *plan.Plan) string {
	bytes := map[tensor.DType]int64{}
	for i := range p.Tensors {
		if t := &p.Tensors[i]; t.DType.Blends() {
			bytes[t.DType] += t.Bytes()
		}
	}
	if len(bytes) == 0 {
		return p.Recipe.DType.String()
	}
	types := slices.SortedFunc(maps.Keys(bytes), func(x, y tensor.DType) int { return cmp.Or(cmp.Compare(bytes[y], bytes[x]), cmp.Compare(x, y)) })
	var names []string
	for _, d := range types {
		names = append(names, recipe.LongName(d))
	}
	return strings.Join(names, ", ")
}

// maxLevels keeps the table of t readable.
const maxLevels = 60

// levels lists t by kind and layers, or for a method without t, where the
// tensors come from.
func (c *card) levels() {
	parts := c.p.Parts()
	if c.p.Pairs() {
		parts = slices.DeleteFunc(parts, func(g plan.Part) bool { return !g.Mixed })
		if len(parts) == 0 {
			return
		}
		c.printf("## How much of each\n\nt = 0 is the first parent, t = 1 the second. `%s` has t, the angle and the norms of each tensor.\n\n", ProvenanceName)
		c.printf("| part | layers | tensors | t |\n|---|---|---|---|\n")
	} else {
		c.printf("## What is where\n\n| part | layers | tensors | what |\n|---|---|---|---|\n")
	}
	for i := range parts {
		if i == maxLevels {
			c.printf("| %d more lines | | | |\n", len(parts)-i)
			break
		}
		g := &parts[i]
		what := g.T()
		if !g.Mixed {
			what = strings.TrimSpace(g.Op + " " + g.Remark())
		}
		c.printf("| %s | %s | %d | %s |\n", g.Kind, markdown(g.Where()), g.Tensors, markdown(what))
	}
	c.printf("\n")
}

func (c *card) notes() {
	notes := slices.Concat(c.agreed.notes, c.r.Warnings)
	if len(notes) == 0 {
		return
	}
	c.printf("## Notes\n\n")
	for _, line := range notes {
		c.printf("- %s\n", markdown(line))
	}
	c.printf("\n")
}

// recipe writes the recipe, and the command that repeats the merge with it.
func (c *card) recipe() {
	p := c.p
	var text string
	if p.Recipe.FromFile() {
		text = strings.TrimSpace(string(p.Recipe.Source)) + "\n"
	} else {
		names, layers := make([]recipe.ModelRef, len(p.Models)), make([]int, len(p.Models))
		for i, m := range p.Models {
			names[i] = ref(m)
			_, layers[i], _ = m.TextStack()
		}
		yaml, err := p.Recipe.YAML(names, layers, c.outType())
		if err != nil { // a name or filter that is no UTF-8
			return
		}
		text = string(yaml)
	}
	text, same := printable(text)
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	c.printf("## Recipe\n\nFor mergekit and slerpmerge alike:\n\n%syaml\n%s%s\n\n", fence, text, fence)
	c.printf("    slerpmerge merge --recipe recipe.yml -o merged%s\n\n", c.flags())
	if !same {
		c.printf("The recipe has control characters, which are shown as \uFFFD.\n\n")
	}
	if !p.Recipe.FromFile() && slices.ContainsFunc(p.Models, func(m *model.Model) bool { repo, _ := m.Repo(); return repo == "" }) {
		c.printf("A name without a link stands for a local folder: put its path there.\n\n")
	}
}

// flags returns the flags that a recipe file does not state.
func (c *card) flags() string {
	r := c.p.Recipe
	s := ""
	for i, m := range c.p.Models {
		if m.Entry != "" {
			s += " --entry " + text.ShellWord(fmt.Sprintf("%d:%s", i+1, m.Entry))
		}
	}
	for _, f := range []struct{ name, value, usual string }{
		{"vocab", string(r.Vocab), string(recipe.VocabError)},
		{"missing", string(r.Missing), string(recipe.MissingCopy)},
		{"tokenizer", string(r.Tokenizer), string(recipe.TokenizerPrimary)},
		{"nonfinite", string(r.NonFinite), string(recipe.NonFiniteError)},
		{"format", string(r.Format), string(recipe.Safetensors)},
	} {
		if f.value != f.usual && f.value != "" {
			s += " --" + f.name + " " + f.value
		}
	}
	if r.Seed != 0 {
		s += fmt.Sprintf(" --seed %d", r.Seed)
	}
	return s
}

// outType returns the type that the recipe asks for. Without one a recipe takes the
// wider type where the parents differ; flags take the primary's.
func (c *card) outType() recipe.DType {
	if !c.p.Recipe.OutputType().Auto {
		return c.p.Recipe.OutputType()
	}
	differ := false
	var types []tensor.DType
	for i := range c.p.Tensors {
		t := &c.p.Tensors[i]
		if !t.DType.Blends() {
			continue
		}
		if !slices.Contains(types, t.DType) {
			types = append(types, t.DType)
		}
		if ab := t.Operands; t.Sum() == nil && len(ab) == 2 && !ab[0].None() && !ab[1].None() {
			differ = differ || ab[0].Tensor().DType != ab[1].Tensor().DType
		}
	}
	if differ && len(types) == 1 {
		return recipe.DType{To: types[0]}
	}
	return c.p.Recipe.OutputType()
}

// ref returns a parent as a recipe names it.
func ref(m *model.Model) recipe.ModelRef {
	if repo, revision := m.Repo(); repo != "" {
		return recipe.ModelRef{Path: repo, Revision: revision}
	}
	return recipe.ModelRef{Path: m.Name()}
}

// credits thank those whose work this is.
func (c *card) credits() {
	c.printf("## Credits\n\nAll that this model knows comes from its parents, and so does the credit:\n\n")
	for _, m := range c.p.Models {
		c.printf("- %s\n", link(m))
	}
}

// title says what the merge is.
func title(p *plan.Plan) string {
	if m, ok := p.Recipe.Rules.(method.Method); ok {
		return m.Title()
	}
	return ""
}

// markdown keeps a name or message from being read as markup, and from having
// control characters, as such or as entities of HTML.
func markdown(s string) string {
	return markup.Replace(plain(strings.ReplaceAll(s, "\n", " ")))
}

var markup = strings.NewReplacer(`\`, `\\`, "|", `\|`, "<", "&lt;", "&", "&amp;", "[", `\[`, "*", `\*`, "`", "'")
