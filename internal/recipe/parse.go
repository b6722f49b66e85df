package recipe

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"slerpmerge/internal/document"
	"slerpmerge/internal/text"
)

// Parse reads a recipe: a mergekit configuration. name is that of the
// file, for messages. All problems come in one *DocumentError; the Recipe beside
// it has what could be read, only its Models and Slices are to be used, and it is
// nil if nothing could. methods are those that exist.
func Parse(name string, src []byte, methods []Rules) (*Recipe, error) {
	top, problem := document.Load(src, document.Form{Noun: "a recipe", Has: "merge_method and models, slices or modules",
		Several: "; \"slerpmerge merge --recipe\" and \"mergekit-multi\" run all of them"})
	if problem != nil {
		return nil, document.NewError(name, src, []Problem{*problem})
	}
	p := &parser{methods: methods, doc: &Recipe{Name: name, Source: src, Promote: true,
		Cast: DType{Auto: true}, OutDType: DType{Auto: true}, DType: DType{Auto: true}}}
	p.Misplaced = p.misplaced
	p.document(top)
	p.doc.number()
	if len(p.Problems) > 0 { // which may come from these
		p.Problems = append(p.Problems, p.outside...)
	} else {
		p.doc.Warnings = append(p.doc.Warnings, p.outside...)
	}
	if len(p.Problems) > 0 {
		return p.doc, document.NewError(name, src, p.Problems)
	}
	slices.SortStableFunc(p.doc.Warnings, document.ByPlace)
	p.doc.Warnings = slices.Compact(p.doc.Warnings)
	return p.doc, nil
}

// A parser gathers a document and everything that is wrong with it.
type parser struct {
	document.Parser
	doc     *Recipe
	methods []Rules   // that exist here
	known   bool      // the method is one that exists here
	outside []Problem // parameters at the top of the file
}

func (p *parser) warn(n *yaml.Node, format string, args ...any) {
	p.warnAt(document.At(n), format, args...)
}

func (p *parser) warnAt(pos Pos, format string, args ...any) {
	p.doc.Warnings = append(p.doc.Warnings, Problem{Pos: pos, Message: fmt.Sprintf(format, args...)})
}

// misplaced knows parameters that stand beside "parameters", and revisions that
// stand beside their model.
func (p *parser) misplaced(key string, known []string) string {
	if key == "revision" && slices.Contains(known, "model") {
		return "is not read here, nor by mergekit; a revision belongs to its model: write model: NAME@REVISION"
	}
	if slices.Contains(known, "parameters") && p.isParameter(key) {
		return "is outside of parameters; put it under \"parameters\""
	}
	return ""
}

var documentKeys = []string{"merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype",
	"tokenizer_source", "tokenizer", "chat_template"}

func (p *parser) document(n *yaml.Node) {
	known := slices.Concat(documentKeys, []string{"name"})
	unknown := func(key string) bool { return !slices.Contains(known, key) }
	t, ok := p.TableWith(n, "a recipe", unknown)
	if !ok {
		return
	}
	d := p.doc
	for _, k := range t.Keys { // mergekit ignores other keys, and people keep anchors under them
		if unknown(k) && p.isParameter(k) && !document.Shared(n, t.At[k].Value) {
			p.outside = append(p.outside, Problem{Pos: document.At(t.At[k].Key), Message: fmt.Sprintf("key %s is outside of parameters, where it does nothing, as in mergekit; put it under \"parameters\"", text.QuoteWord(k))})
			continue
		}
		if unknown(k) && (document.Shared(n, t.At[k].Value) || !p.Suspect(t, k, documentKeys)) {
			p.warn(t.At[k].Key, "key %s has no meaning in a recipe and is ignored, as in mergekit", text.QuoteWord(k))
		}
	}
	if v := t.Value("name"); v != nil && document.Follow(v).Kind == yaml.ScalarNode {
		d.title, d.titlePos = document.Follow(v).Value, document.At(v)
	}
	p.method(t)
	if v := t.Value("base_model"); v != nil {
		d.Base, _ = p.model(v)
	}
	if v := t.Value("dtype"); v != nil {
		d.Cast = p.dtype(v)
	}
	if v := t.Value("out_dtype"); v != nil {
		d.OutDType = p.dtype(v)
	}
	if v := t.Value("parameters"); v != nil {
		d.file = p.parameters(v, "the file", true)
	}
	p.vocabulary(t)
	if v := t.Value("chat_template"); v != nil {
		p.chatTemplate(v)
	}
	p.content(t, "a recipe", []string{"models", "slices", "modules"})
	if p.known {
		p.check(t.Has("base_model"), document.At(t.At["merge_method"].Value))
	}
}

// content reads what goes into the output: exactly one of some keys.
func (p *parser) content(t document.Table, what string, forms []string) {
	form, empty := "", ""
	for _, k := range t.Keys {
		v := t.Value(k)
		if v == nil || !slices.Contains(forms, k) {
			continue
		}
		if f := document.Follow(v); f.Kind != yaml.ScalarNode && len(f.Content) == 0 {
			empty = k // as good as absent to mergekit
			continue
		}
		if form != "" {
			p.Fail(t.At[k].Key, "%q and %q exclude each other; %s has exactly one of %s", k, form, what, text.List(forms, "and"))
		}
		form = k
		switch k {
		case "models":
			p.doc.Slices = append(p.doc.Slices, p.models(v)...)
		case "slices":
			p.doc.Slices = append(p.doc.Slices, p.slices(v)...)
		case "modules":
			p.modules(v)
		}
	}
	switch {
	case form == "" && empty != "":
		p.Fail(t.At[empty].Value, "%s is empty", empty)
	case form == "":
		p.Fail(t.Node, "nothing says what to merge; %s has exactly one of %s", what, text.List(forms, "and"))
	}
}

func (p *parser) modules(n *yaml.Node) {
	t, ok := p.Table(n, "modules")
	if !ok {
		return
	}
	for _, name := range t.Keys {
		m, ok := p.Table(t.At[name].Value, "a module")
		if !ok {
			continue
		}
		module := Module{Pos: document.At(t.At[name].Key), Name: name}
		p.Only(m, "a module", []string{"models", "slices", "parameters"}, "name")
		if v := m.Value("parameters"); v != nil {
			module.params = p.parameters(v, "the module", true)
		}
		first := len(p.doc.Slices)
		p.content(m, "a module", []string{"models", "slices"})
		for i := first; i < len(p.doc.Slices); i++ {
			p.doc.Slices[i].Module = len(p.doc.Modules)
		}
		p.doc.Modules = append(p.doc.Modules, module)
	}
}

// models reads the short form: whole models, of which mergekit makes one
// slice. A base_model that is not listed is added (0.1.5, normalize_config).
func (p *parser) models(n *yaml.Node) []Slice {
	items := p.Items(n, "models")
	if items == nil {
		return nil
	}
	s := Slice{Pos: document.At(n)}
	for _, item := range items {
		t, ok := p.Table(item, "an entry of models")
		if !ok {
			s.broken = true
			continue
		}
		if r, ok := t.At["layer_range"]; ok {
			p.Fail(r.Key, "layer_range has no place under models, which are taken whole; write slices with sources instead")
			delete(t.At, "layer_range")
			t.Keys = slices.DeleteFunc(t.Keys, func(k string) bool { return k == "layer_range" })
		}
		p.Only(t, "an entry of models", []string{"model", "parameters"})
		src := p.source(t)
		src.Whole = true
		s.broken = s.broken || src.Model.Path == ""
		s.Sources = append(s.Sources, src)
	}
	if base := p.doc.Base; base != nil && !slices.ContainsFunc(s.Sources, func(src Source) bool { return src.Model.Same(*base) }) {
		s.Sources = append(s.Sources, Source{Pos: base.Pos, Model: *base, Whole: true, Added: true})
		if p.known && p.doc.Rules.Base() == BaseIsModel {
			p.warnAt(base.Pos, "%s is not among models, and is merged as one more of them, as mergekit does without a word; slices with sources leave it out", text.QuoteWord(base.String()))
		}
	}
	return []Slice{s}
}

func (p *parser) slices(n *yaml.Node) []Slice {
	var all []Slice
	for _, item := range p.Items(n, "slices") {
		t, ok := p.Table(item, "a slice")
		if !ok {
			continue
		}
		p.Only(t, "a slice", []string{"sources", "base_model", "parameters"}, "residual_weight", "merge_method")
		p.sliceMethod(t)
		if e, ok := t.At["residual_weight"]; ok {
			p.warn(e.Key, "residual_weight does nothing, here as in mergekit")
		}
		s := Slice{Pos: document.At(item)}
		if v := t.Value("base_model"); v != nil {
			s.base, _ = p.model(v)
			s.broken = s.base == nil
		}
		if v := t.Value("parameters"); v != nil {
			s.params = p.parameters(v, "the slice", true)
		}
		if v := t.Value("sources"); v != nil {
			for _, item := range p.Items(v, "sources") {
				t, ok := p.Table(item, "a source")
				if !ok {
					s.broken = true
					continue
				}
				p.Only(t, "a source", []string{"model", "layer_range", "parameters"})
				src := p.source(t)
				if src.Layers, ok = p.layerRange(t); !ok || src.Model.Path == "" {
					s.broken = true
				}
				s.Sources = append(s.Sources, src)
			}
		} else {
			p.Fail(item, "the slice has no sources")
			s.broken = true
		}
		all = append(all, s)
	}
	return all
}

// sliceMethod rules on a merge_method in a slice, which mergekit ignores: one
// that repeats the file's does no harm.
func (p *parser) sliceMethod(t document.Table) {
	e, ok := t.At["merge_method"]
	switch {
	case !ok:
	case document.Follow(e.Value).Value == string(p.doc.Method):
		p.warn(e.Key, "merge_method in a slice does nothing; the file's is the same")
	default:
		p.Fail(e.Key, "merge_method in a slice does nothing, and it differs from the file's; a recipe has one method for all slices")
	}
}

// source reads what models and sources have in common.
func (p *parser) source(t document.Table) Source {
	s := Source{Pos: document.At(t.Node)}
	if v := t.Value("model"); v == nil {
		p.Fail(t.Node, "the entry names no model; write model: and a folder or a name on the hub")
	} else if m, ok := p.model(v); ok {
		s.Model = *m
	}
	if v := t.Value("parameters"); v != nil {
		s.params = p.parameters(v, "a model", false)
	}
	return s
}

// layerRange reads layer_range: two integers, the second excluded.
func (p *parser) layerRange(t document.Table) (Range, bool) {
	v := t.Value("layer_range")
	if v == nil {
		p.Fail(t.Node, "the source has no layer_range; write layer_range: [0, 12] for layers 0 to 11")
		return Range{}, false
	}
	r := Range{Pos: document.At(v)}
	f := document.Follow(v)
	if f.Kind != yaml.SequenceNode || len(f.Content) != 2 {
		p.Fail(v, "layer_range is a list of two integers, such as [0, 12] for layers 0 to 11")
		return r, false
	}
	ends := []*int{&r.From, &r.To}
	for i, c := range f.Content {
		n := document.Follow(c)
		ok := n.Kind == yaml.ScalarNode
		if ok {
			s, not := document.ReadScalar(n)
			*ends[i], ok = s.AsInt()
			ok = ok && not == ""
		}
		if !ok {
			p.Fail(c, "layer_range has two integers, not %s", document.KindName(c))
			return r, false
		}
		if *ends[i] < 0 {
			p.Fail(c, "layer_range has no negative layers; they count from 0")
			return r, false
		}
	}
	if r.From > r.To {
		p.Fail(v, "layer_range %s is reversed; the first layer comes first, and the last is excluded", r)
		return r, false
	}
	if r.Len() == 0 {
		p.Fail(v, "layer_range %s has no layers, since the last is excluded; [%d, %d] is layer %d", r, r.From, r.From+1, r.From)
		return r, false
	}
	return r, true
}

// isParameter reports whether a word is the name of a parameter.
func (p *parser) isParameter(word string) bool {
	for _, m := range p.methods {
		if slices.ContainsFunc(m.Parameters(), func(p Parameter) bool { return p.Name == word }) {
			return true
		}
	}
	return slices.Contains(otherParameters, strings.ToLower(word))
}
