package batch

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	"slerpmerge/internal/document"
	"slerpmerge/internal/fault"
	"slerpmerge/internal/text"
)

// ParseManifest reads a manifest. name is that of the file, for messages. All
// that is wrong with it, and with the recipe files that it names, comes in one
// *Refusal.
func ParseManifest(name string, src []byte, g Grammar) (*Manifest, error) {
	top, problem := document.Load(src, document.Form{Noun: "a manifest", Has: "a list of jobs"})
	if problem != nil {
		return nil, &Refusal{Errors: []error{document.NewError(name, src, []document.Problem{*problem})}}
	}
	p := &parser{manifest: &Manifest{Name: name, source: src}, grammar: g, named: map[string]document.Pos{}}
	p.Misplaced = p.misplaced
	p.file(top)
	var errs []error
	if len(p.Problems) > 0 {
		errs = append(errs, document.NewError(name, src, p.Problems))
	}
	for _, e := range p.recipes {
		errs = append(errs, e)
	}
	if len(errs) > 0 {
		return nil, &Refusal{Errors: errs}
	}
	return p.manifest, nil
}

// A parser gathers a manifest and everything that is wrong with it.
type parser struct {
	document.Parser
	manifest *Manifest
	grammar  Grammar
	kind     Kind // of the job that is being read
	recipes  []*document.Error
	named    map[string]document.Pos // jobs by name, even those that have problems
	nameless bool                    // some job's name can't be read
}

// The keys of a job that are not flags.
var (
	mergeKeys   = []string{"name", "primary", "secondary", "models", "recipe", "output", "after"}
	convertKeys = []string{"name", "model", "output", "after"}
)

// namePattern is the form of names: it stands in log lines and is a label of
// metrics.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (p *parser) file(n *yaml.Node) {
	t, ok := p.Table(n, "a manifest")
	if !ok {
		return
	}
	p.Only(t, "a manifest", []string{"defaults", "jobs"})
	var defaults []Flag
	if v := t.Value("defaults"); v != nil {
		defaults = p.defaults(v)
	}
	v := t.Value("jobs")
	if v == nil {
		p.Fail(n, "there are no jobs; write jobs: and a list of them")
		return
	}
	items := p.Items(v, "jobs")
	if len(items) == 0 && document.Follow(v).Kind == yaml.SequenceNode {
		p.Fail(v, "the list of jobs is empty")
	}
	for _, item := range items {
		before := len(p.Problems)
		j := p.job(item, defaults)
		p.nameless = p.nameless || j == nil || j.Name == ""
		if j == nil || len(p.Problems) > before {
			continue
		}
		for _, own := range p.spread(j) {
			if p.task(own) {
				p.manifest.Jobs = append(p.manifest.Jobs, own)
			}
		}
	}
	p.link()
}

// defaults reads the flags that every job has which can have them.
func (p *parser) defaults(n *yaml.Node) []Flag {
	t, ok := p.Table(n, "defaults")
	if !ok {
		return nil
	}
	forms := p.grammar.Flags(Merge)
	for _, f := range p.grammar.Flags(Convert) {
		if !slices.ContainsFunc(forms, func(o FlagForm) bool { return o.Name == f.Name }) {
			forms = append(forms, f)
		}
	}
	p.kind = ""
	p.Only(t, "defaults", flagNames(forms))
	kindOf := func(name string) Kind {
		if _, ok := formOf(p.grammar.Flags(Merge), name); ok {
			return Merge
		}
		return Convert
	}
	var flags []Flag
	for _, key := range t.Keys {
		if form, ok := formOf(forms, key); ok {
			if f, ok := p.flag(t.At[key], form, kindOf(key)); ok && !f.off {
				flags = append(flags, f)
			}
		}
	}
	return flags
}

func flagNames(forms []FlagForm) []string {
	var names []string
	for _, f := range forms {
		names = append(names, f.Name)
	}
	return names
}

func formOf(forms []FlagForm, name string) (FlagForm, bool) {
	i := slices.IndexFunc(forms, func(f FlagForm) bool { return f.Name == name })
	if i < 0 {
		return FlagForm{}, false
	}
	return forms[i], true
}

// misplaced knows keys of the other kind of jobs, and flags that are for the
// whole run.
func (p *parser) misplaced(key string, known []string) string {
	other, does := Merge, "converts"
	if p.kind == Merge {
		other, does = Convert, "merges"
	}
	switch {
	case slices.Contains(known, "jobs"): // the file itself
		if key == "job" || slices.Contains(mergeKeys, key) || key == "model" {
			return `stands outside of jobs; put it into an entry of "jobs"`
		}
		for _, k := range []Kind{Merge, Convert} {
			if _, ok := formOf(p.grammar.Flags(k), key); ok {
				return `stands outside of defaults; put it under "defaults"`
			}
		}
	case p.kind == "" && (slices.Contains(mergeKeys, key) || key == "model"):
		return "is set by every job itself; defaults are flags"
	case p.kind != "":
		if _, ok := formOf(p.grammar.Flags(other), key); ok {
			return "is a flag of " + string(other) + ", and this job " + does
		}
	}
	switch key {
	case "json", "dry-run", "quiet", "verbose", "log-format", "no-progress":
		return "is a flag of the whole run, on the command line of batch"
	}
	return ""
}

// job reads one job, and returns nil if it is not known what it is.
func (p *parser) job(n *yaml.Node, defaults []Flag) *Job {
	t, ok := p.Table(n, "a job")
	if !ok {
		return nil
	}
	j := &Job{Pos: document.At(n)}
	if !p.form(t, j) {
		return nil
	}
	p.kind = j.Kind
	keys, forms := mergeKeys, p.grammar.Flags(j.Kind)
	if j.Kind == Convert {
		keys = convertKeys
	}
	p.Only(t, "a job", slices.Concat(keys, flagNames(forms)))
	for key, to := range map[string]*Word{"primary": &j.Primary, "secondary": &j.Secondary, "recipe": &j.Recipe, "model": &j.Model, "output": &j.Output} {
		if v := t.Value(key); v != nil && slices.Contains(keys, key) {
			to.Pos = document.At(v)
			to.Text, ok = p.Text(v, key)
			if ok && to.Text == "" {
				p.Fail(v, "%s is empty", key)
			}
		}
	}
	if v := t.Value("models"); v != nil && slices.Contains(keys, "models") {
		for _, item := range p.Items(v, "models") {
			word, ok := p.Text(item, "a model")
			if ok && word == "" {
				p.Fail(item, "the model is empty")
			}
			j.Models = append(j.Models, Word{document.At(item), word})
		}
	}
	if !t.Has("output") {
		p.Fail(n, "the job has no output; write output: and the folder to be made")
	}
	p.name(t, j)
	p.after(t, j)
	for _, key := range t.Keys {
		if form, ok := formOf(forms, key); ok {
			if f, ok := p.flag(t.At[key], form, j.Kind); ok {
				j.Flags = append(j.Flags, f)
			}
		}
	}
	for _, d := range defaults {
		form, ok := formOf(forms, d.Name)
		if ok && !slices.ContainsFunc(j.Flags, func(f Flag) bool { return f.Name == d.Name }) && !(form.Pair && j.Recipe.Text != "") {
			j.Flags = append(j.Flags, d)
		}
	}
	j.Flags = slices.DeleteFunc(j.Flags, func(f Flag) bool { return f.off })
	return j
}

// form finds out what kind of job it is.
func (p *parser) form(t document.Table, j *Job) bool {
	pair, recipe, model := t.Has("primary") || t.Has("secondary"), t.Has("recipe"), t.Has("model")
	n := 0
	for _, has := range []bool{pair, t.Has("models"), recipe, model} {
		if has {
			n++
		}
	}
	switch {
	case n == 0:
		p.Fail(t.Node, "nothing says what to do; a job has primary and secondary, or models, or recipe, or model, which is converted")
		return false
	case n > 1:
		p.Fail(t.Node, "the job says more than one thing; it has primary and secondary, or models, or recipe, or model, which is converted")
		return false
	case pair && !t.Has("secondary"):
		p.Fail(t.At["primary"].Key, "the job has no secondary, the model that t = 1 gives")
	case pair && !t.Has("primary"):
		p.Fail(t.At["secondary"].Key, "the job has no primary, the model that t = 0 gives")
	}
	j.Kind = Merge
	if model {
		j.Kind = Convert
	}
	return true
}

func (p *parser) name(t document.Table, j *Job) {
	v := t.Value("name")
	if v == nil {
		p.Fail(t.Node, "the job has no name; messages and metrics call it by one")
		return
	}
	var ok bool
	if j.Name, ok = p.Text(v, "a name"); !ok {
		return
	}
	if !namePattern.MatchString(j.Name) {
		p.Fail(v, "%s can't be a name: up to 64 letters, digits, dots, _ and -, beginning with a letter or digit", text.QuoteWord(j.Name))
		return
	}
	if before, ok := p.named[j.Name]; ok {
		p.FailAt(j.Pos, "the name of job %s is already on line %d; each job needs its own", text.QuoteWord(j.Name), before.Line)
		return
	}
	p.named[j.Name] = j.Pos
}

// after reads the jobs that come first: one name, or a list.
func (p *parser) after(t document.Table, j *Job) {
	v := t.Value("after")
	if v == nil {
		return
	}
	items := []*yaml.Node{v}
	if f := document.Follow(v); f.Kind == yaml.SequenceNode {
		items = f.Content
	}
	for _, n := range items {
		if word, ok := p.Text(n, "the name of a job"); ok {
			j.After = append(j.After, Word{document.At(n), word})
		}
	}
}

// flag reads the value of a key that stands for a flag.
func (p *parser) flag(e document.Entry, form FlagForm, kind Kind) (Flag, bool) {
	f := Flag{Pos: document.At(e.Key), Name: form.Name}
	n := document.Follow(e.Value)
	switch {
	case document.IsNull(n):
		f.off = true
		return f, true
	case n.Kind == yaml.SequenceNode && form.List:
		numbers := true
		for _, c := range n.Content {
			word, number, ok := p.value(c, form)
			if !ok {
				return f, false
			}
			numbers = numbers && number
			f.Values = append(f.Values, word)
		}
		if len(f.Values) == 0 {
			p.Fail(e.Value, "the list is empty")
			return f, false
		}
		if numbers { // one value that has several, as in a recipe
			f.Values = []string{strings.Join(f.Values, ",")}
		}
	case n.Kind != yaml.ScalarNode:
		p.Fail(e.Value, "%s is one value, not %s", form.Name, document.KindName(n))
		return f, false
	case form.Bool:
		s, not := document.ReadScalar(n)
		if not != "" || s.Kind != document.Boolean {
			p.Fail(e.Value, "%s is true or false, not %s", form.Name, document.KindName(n))
			return f, false
		}
		f.off = s.Value == 0
		return f, true
	default:
		word, _, ok := p.value(n, form)
		if !ok {
			return f, false
		}
		f.Values = []string{word}
	}
	if err := p.grammar.Check(kind, f); err != nil {
		p.Fail(e.Value, "%s", err)
		return f, false
	}
	return f, true
}

// value returns a scalar as it is written.
func (p *parser) value(n *yaml.Node, form FlagForm) (word string, number, ok bool) {
	if n = document.Follow(n); n.Kind == yaml.ScalarNode {
		switch s, not := document.ReadScalar(n); {
		case not != "" || s.Kind == document.Null:
		case s.Kind == document.Boolean && form.Switch:
			return strconv.FormatBool(s.Value != 0), false, true
		case s.Kind == document.Boolean:
			p.Fail(n, "%s takes a value, and %s is read as true or false; write it in quotes if it is meant", form.Name, s.Text)
			return "", false, false
		default:
			// 1:0.5 is a number too, of base 60; as a value it is that of the first model.
			_, number = s.AsNumber()
			return s.Text, number && !strings.Contains(s.Text, ":"), true
		}
	}
	p.Fail(n, "%s takes values, not %s", form.Name, document.KindName(n))
	return "", false, false
}

// task asks the command line what the job means.
func (p *parser) task(j *Job) bool {
	var err error
	if j.Task, err = p.grammar.Task(j); err == nil {
		return true
	}
	if doc, ok := err.(*document.Error); ok {
		if !slices.ContainsFunc(p.recipes, func(e *document.Error) bool { return e.Name == doc.Name }) {
			p.recipes = append(p.recipes, doc)
		}
		return false
	}
	p.FailAt(j.blame(err), "%s", err)
	return false
}

// blame finds the place of a job that an error of the command line is about.
func (j *Job) blame(err error) document.Pos {
	name := fault.FlagOf(err)
	for _, f := range j.Flags {
		if f.Name == name {
			return f.Pos
		}
	}
	if j.Recipe.Text != "" {
		return j.Recipe.Pos
	}
	return j.Pos
}
