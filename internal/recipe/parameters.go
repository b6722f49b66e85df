package recipe

import (
	"math"
	"slices"

	"go.yaml.in/yaml/v4"

	"slerpmerge/internal/document"
)

// otherParameters are those that mergekit's other methods have, which recipes
// are often copied from. Here as there they do nothing where they do not
// belong.
var otherParameters = []string{"density", "epsilon", "gamma", "int8_mask", "lambda", "normalize", "nuslerp_flatten", "nuslerp_row_wise",
	"rescale", "scale", "select_topk", "t", "weight"}

// parameters reads the parameters of a level; shared is false for the level of
// models and sources. Those that the method does not read only warn, as
// mergekit ignores them.
func (p *parser) parameters(n *yaml.Node, level string, shared bool) parameters {
	t, ok := p.Table(n, "parameters")
	if !ok || !p.known {
		return nil
	}
	method := p.doc.Method
	own := method.parameters()
	read := parameters{}
	for _, name := range t.Keys {
		e := t.At[name]
		i := slices.IndexFunc(own, func(o parameter) bool { return o.name == name })
		switch {
		case i < 0:
			p.unread(e.Key, name, own)
		case !shared && !own[i].perSource:
			p.warn(e.Key, "%s under a model is never read, as in mergekit; it goes under the parameters of the slice or of the file", name)
		default:
			read[name] = p.setting(e.Value, own[i])
		}
	}
	return read
}

// unread warns of a parameter that the method does not have.
func (p *parser) unread(key *yaml.Node, name string, own []parameter) {
	var names []string
	for _, o := range own {
		names = append(names, o.name)
	}
	if slices.Contains(otherParameters, name) {
		p.warn(key, "%s does nothing for %s, which reads %s alone", name, p.doc.Method, document.Alternatives(names, "and"))
		return
	}
	if near := document.Nearest(name, names); near != "" {
		p.warn(key, "unknown parameter %s, did you mean %q? It does nothing", document.Quote(name), near)
		return
	}
	p.warn(key, "unknown parameter %s does nothing; %s reads %s", document.Quote(name), p.doc.Method, document.Alternatives(names, "and"))
}

// setting reads the value of a parameter: a scalar, a list of scalars, an
// entry of filter and value, or a list of entries (mergekit 0.1.5, config.py).
func (p *parser) setting(n *yaml.Node, param parameter) Setting {
	f := document.Follow(n)
	switch {
	case f.Kind == yaml.MappingNode:
		return p.rules([]*yaml.Node{n}, param)
	case f.Kind == yaml.SequenceNode && slices.ContainsFunc(f.Content, func(c *yaml.Node) bool { return document.Follow(c).Kind == yaml.MappingNode }):
		return p.rules(f.Content, param)
	case f.Kind == yaml.SequenceNode && len(f.Content) == 0:
		p.warn(n, "the list of %s is empty, so it gives no value", param.name)
		return nil
	}
	return Setting{{Pos: document.At(n), Values: p.values(n, param)}}
}

func (p *parser) rules(entries []*yaml.Node, param parameter) Setting {
	var s Setting
	for _, n := range entries {
		if document.Follow(n).Kind != yaml.MappingNode {
			p.Fail(n, "%s is a list of numbers or a list of entries with filter and value, not both", param.name)
			continue
		}
		t, _ := p.Table(n, "an entry of "+param.name)
		p.Only(t, "an entry of "+param.name, []string{"filter", "value"})
		if len(s) > 0 && s[len(s)-1].Filter == "" {
			p.warn(n, "this entry of %s is never used: the one before it, without a filter, takes every tensor", param.name)
		}
		r := Rule{Pos: document.At(n)}
		if v := t.Value("filter"); v != nil {
			r.Pos = document.At(v)
			if r.Filter, _ = p.Text(v, "a filter"); r.Filter == "*" {
				r.Filter = ""
			}
		}
		if v := t.Value("value"); v != nil {
			r.Values = p.values(v, param)
		} else {
			p.Fail(n, "the entry of %s has no value", param.name)
			r.Values = []float64{0}
		}
		s = append(s, r)
	}
	return s
}

// values reads one number, or a list of them. Nothing says yes or no to
// mergekit but the parameter: t: yes is 1.
func (p *parser) values(n *yaml.Node, param parameter) []float64 {
	what := param.name + " is a number or a list of numbers"
	if param.boolean {
		what = param.name + " is true or false"
	}
	elements := []*yaml.Node{n}
	if f := document.Follow(n); f.Kind == yaml.SequenceNode {
		elements = f.Content
	}
	var values []float64
	for _, c := range elements {
		f := document.Follow(c)
		if f.Kind != yaml.ScalarNode {
			p.Fail(c, "%s, not %s", what, document.KindName(c))
			values = append(values, 0)
			continue
		}
		s, not := document.ReadScalar(f)
		v, ok := s.AsNumber()
		if param.boolean {
			v, ok = s.AsBool()
		}
		switch {
		case param.name == "t" && not == "" && !(math.Abs(v) <= maxT):
			p.Fail(c, "%s", noT(f.Value))
		case not != "" || !ok:
			p.Fail(c, "%s, not %s", what, document.KindName(c))
		case s.Kind == document.Boolean && !param.boolean:
			p.warn(c, "%s counts as %v for %s", s.Text, v, param.name)
		case param.name == "t" && (v < 0 || v > 1):
			p.warn(c, "t = %v lies outside 0 (base_model) to 1 (the other one)", v)
		}
		values = append(values, v)
	}
	return values
}
