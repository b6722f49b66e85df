package recipe

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ParseDocument reads a recipe: a mergekit configuration. name is that of the
// file, for messages. All that is wrong with it comes in one *DocumentError;
// the Document beside that is what could be read, good for its Models and
// Slices alone, and nil if nothing could.
func ParseDocument(name string, src []byte) (*Document, error) {
	top, problem := load(src)
	if problem != nil {
		return nil, newDocumentError(name, src, []Problem{*problem})
	}
	p := &parser{doc: &Document{Name: name, Source: src, DType: DType{Auto: true}, OutDType: DType{Auto: true}}}
	p.document(top)
	if len(p.problems) > 0 {
		return p.doc, newDocumentError(name, src, p.problems)
	}
	slices.SortStableFunc(p.doc.Warnings, byPlace)
	p.doc.Warnings = slices.Compact(p.doc.Warnings)
	return p.doc, nil
}

// A parser gathers a document and everything that is wrong with it.
type parser struct {
	doc      *Document
	known    bool // the method is one that exists here
	problems []Problem
}

func (p *parser) fail(n *yaml.Node, format string, args ...any) { p.failAt(at(n), format, args...) }

func (p *parser) failAt(pos Pos, format string, args ...any) {
	p.problems = append(p.problems, Problem{pos, fmt.Sprintf(format, args...)})
}

func (p *parser) warn(n *yaml.Node, format string, args ...any) {
	p.doc.Warnings = append(p.doc.Warnings, Problem{at(n), fmt.Sprintf(format, args...)})
}

// only reports the keys of a table that are none of the known ones. ignored
// are keys that may be there but say nothing.
func (p *parser) only(t table, what string, known []string, ignored ...string) {
	for _, k := range t.keys {
		if slices.Contains(known, k) || slices.Contains(ignored, k) {
			continue
		}
		key := t.at[k].key
		switch near := nearest(k, known); {
		case near != "":
			p.fail(key, "unknown key %s, did you mean %q?", quote(k), near)
		case slices.Contains(known, "parameters") && isParameter(k):
			p.fail(key, "key %s stands outside of parameters; put it under \"parameters\"", quote(k))
		default:
			p.fail(key, "unknown key %s; %s has %s", quote(k), what, alternatives(known, "and"))
		}
	}
}

var documentKeys = []string{"merge_method", "base_model", "models", "slices", "modules", "parameters", "dtype", "out_dtype",
	"tokenizer_source", "tokenizer", "chat_template"}

func (p *parser) document(n *yaml.Node) {
	t, ok := p.table(n, "a recipe")
	if !ok {
		return
	}
	p.only(t, "a recipe", documentKeys, "name")
	d := p.doc
	p.method(t)
	if v := t.value("base_model"); v != nil {
		d.Base, _ = p.model(v)
	}
	if v := t.value("dtype"); v != nil {
		d.DType = p.dtype(v)
	}
	if v := t.value("out_dtype"); v != nil {
		d.OutDType = p.dtype(v)
	}
	if v := t.value("parameters"); v != nil {
		d.file = p.parameters(v, "the file", true)
	}
	p.vocabulary(t)
	if v := t.value("chat_template"); v != nil {
		p.chatTemplate(v)
	}
	p.content(t, "a recipe", []string{"models", "slices", "modules"})
	if p.known {
		p.check(t)
	}
}

// content reads what goes into the output: exactly one of some keys.
func (p *parser) content(t table, what string, forms []string) {
	form, empty := "", ""
	for _, k := range t.keys {
		v := t.value(k)
		if v == nil || !slices.Contains(forms, k) {
			continue
		}
		if f := follow(v); f.Kind != yaml.ScalarNode && len(f.Content) == 0 {
			empty = k // as good as absent to mergekit
			continue
		}
		if form != "" {
			p.fail(t.at[k].key, "%q stands beside %q; %s has exactly one of %s", k, form, what, alternatives(forms, "and"))
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
		p.fail(t.at[empty].value, "%s is empty", empty)
	case form == "":
		p.fail(t.node, "nothing says what to merge; %s has exactly one of %s", what, alternatives(forms, "and"))
	}
}

func (p *parser) modules(n *yaml.Node) {
	t, ok := p.table(n, "modules")
	if !ok {
		return
	}
	for i, name := range t.keys {
		key, v := t.at[name].key, t.at[name].value
		if i > 0 {
			p.fail(key, "%s is a second module; recipes for models of several modules can't be run here, only one module can", quote(name))
			continue
		}
		m, ok := p.table(v, "a module")
		if !ok {
			continue
		}
		p.doc.Module = name
		p.only(m, "a module", []string{"models", "slices", "parameters"}, "name")
		if v := m.value("parameters"); v != nil {
			p.doc.module = p.parameters(v, "the module", true)
		}
		p.content(m, "a module", []string{"models", "slices"})
	}
}

// items lists the entries of a list.
func (p *parser) items(n *yaml.Node, what string) []*yaml.Node {
	f := follow(n)
	if f.Kind != yaml.SequenceNode {
		p.fail(n, "%s is a list, not %s", what, kindName(n))
		return nil
	}
	return f.Content
}

// models reads the short form: whole models, of which mergekit makes one
// slice. A base_model that is not listed is added (0.1.5, normalize_config).
func (p *parser) models(n *yaml.Node) []Slice {
	items := p.items(n, "models")
	if items == nil {
		return nil
	}
	s := Slice{Pos: at(n)}
	for _, item := range items {
		t, ok := p.table(item, "an entry of models")
		if !ok {
			s.broken = true
			continue
		}
		if r, ok := t.at["layer_range"]; ok {
			p.fail(r.key, "layer_range has no place under models, which are taken whole; write slices with sources instead")
			delete(t.at, "layer_range")
			t.keys = slices.DeleteFunc(t.keys, func(k string) bool { return k == "layer_range" })
		}
		p.only(t, "an entry of models", []string{"model", "parameters"})
		src := p.source(t)
		src.Whole = true
		s.broken = s.broken || src.Model.Path == ""
		s.Sources = append(s.Sources, src)
	}
	if base := p.doc.Base; base != nil && !slices.ContainsFunc(s.Sources, func(src Source) bool { return src.Model.Same(*base) }) {
		s.Sources = append(s.Sources, Source{Pos: base.Pos, Model: *base, Whole: true, Added: true})
	}
	return []Slice{s}
}

func (p *parser) slices(n *yaml.Node) []Slice {
	var all []Slice
	for _, item := range p.items(n, "slices") {
		t, ok := p.table(item, "a slice")
		if !ok {
			continue
		}
		p.only(t, "a slice", []string{"sources", "base_model", "parameters"}, "residual_weight")
		if e, ok := t.at["residual_weight"]; ok {
			p.warn(e.key, "residual_weight does nothing, here as in mergekit")
		}
		s := Slice{Pos: at(item)}
		if v := t.value("base_model"); v != nil {
			s.base, _ = p.model(v)
			s.broken = s.base == nil
		}
		if v := t.value("parameters"); v != nil {
			s.params = p.parameters(v, "the slice", true)
		}
		if v := t.value("sources"); v != nil {
			for _, item := range p.items(v, "sources") {
				t, ok := p.table(item, "a source")
				if !ok {
					s.broken = true
					continue
				}
				p.only(t, "a source", []string{"model", "layer_range", "parameters"})
				src := p.source(t)
				if src.Layers, ok = p.layerRange(t); !ok || src.Model.Path == "" {
					s.broken = true
				}
				s.Sources = append(s.Sources, src)
			}
		} else {
			p.fail(item, "the slice has no sources")
			s.broken = true
		}
		all = append(all, s)
	}
	return all
}

// source reads what models and sources have in common.
func (p *parser) source(t table) Source {
	s := Source{Pos: at(t.node)}
	if v := t.value("model"); v == nil {
		p.fail(t.node, "the entry names no model; write model: and a folder or a name on the hub")
	} else if m, ok := p.model(v); ok {
		s.Model = *m
	}
	if v := t.value("parameters"); v != nil {
		s.params = p.parameters(v, "a model", false)
	}
	return s
}

// layerRange reads layer_range: two integers, the second excluded.
func (p *parser) layerRange(t table) (Range, bool) {
	v := t.value("layer_range")
	if v == nil {
		p.fail(t.node, "the source has no layer_range; write layer_range: [0, 12] for layers 0 to 11")
		return Range{}, false
	}
	r := Range{Pos: at(v)}
	f := follow(v)
	if f.Kind != yaml.SequenceNode || len(f.Content) != 2 {
		p.fail(v, "layer_range is a list of two integers, such as [0, 12] for layers 0 to 11")
		return r, false
	}
	ends := []*int{&r.From, &r.To}
	for i, c := range f.Content {
		n := follow(c)
		ok := n.Kind == yaml.ScalarNode
		if ok {
			s, not := readScalar(n)
			*ends[i], ok = s.asInt()
			ok = ok && not == ""
		}
		if !ok {
			p.fail(c, "layer_range has two integers, not %s", kindName(c))
			return r, false
		}
		if *ends[i] < 0 {
			p.fail(c, "layer_range has no negative layers; they count from 0")
			return r, false
		}
	}
	if r.From > r.To {
		p.fail(v, "layer_range %s is reversed; the first layer comes first, and the last is excluded", r)
		return r, false
	}
	return r, true
}

// text reads a text. what names it in messages: "a filter".
func (p *parser) text(n *yaml.Node, what string) (string, bool) {
	f := follow(n)
	if f.Kind == yaml.ScalarNode {
		s, not := readScalar(f)
		switch {
		case not == "" && s.kind == text:
			return s.text, true
		case not == "" && s.kind != null:
			p.fail(n, "%s is text, and %s is not read as text; write it in quotes: %s", what, s.text, quote(s.text))
			return "", false
		}
	}
	p.fail(n, "%s is text, not %s", what, kindName(n))
	return "", false
}

// isParameter reports whether a word is the name of a parameter.
func isParameter(word string) bool {
	for _, m := range []Method{Slerp, Linear, Passthrough} {
		if slices.ContainsFunc(m.parameters(), func(p parameter) bool { return p.name == word }) {
			return true
		}
	}
	return slices.Contains(otherParameters, strings.ToLower(word))
}
