package recipe

import (
	"math"
	"slices"

	"go.yaml.in/yaml/v4"

	"slerpmerge/internal/document"
	"slerpmerge/internal/text"
)

// otherParameters are those that mergekit's other methods have, which recipes
// are often copied from. Here as there they do nothing where they do not
// belong.
var otherParameters = []string{"alpha", "density", "eps", "epsilon", "filter_wise", "gamma", "int8_mask", "lambda", "max_iter", "normalize",
	"normalize_weights", "nuslerp_flatten", "nuslerp_row_wise", "r", "rescale", "scale", "select_topk", "t", "tol", "weight"}

// parameters reads the parameters of a level; shared is false for the level of
// models and sources. Those that the method does not read only warn, as
// mergekit ignores them.
func (p *parser) parameters(n *yaml.Node, level string, shared bool) parameters {
	t, ok := p.Table(n, "parameters")
	if !ok || !p.known {
		return nil
	}
	own := p.doc.Rules.Parameters()
	read := parameters{}
	for _, name := range t.Keys {
		e := t.At[name]
		i := slices.IndexFunc(own, func(o Parameter) bool { return o.Name == name })
		switch {
		case i < 0:
			p.unread(e.Key, name, own)
		case !shared && !own[i].PerSource:
			p.warn(e.Key, "%s under a model is never read, as in mergekit; it goes under the parameters of the slice or of the file", name)
		default:
			read[name] = p.setting(e.Value, own[i])
		}
	}
	return read
}

// unread warns of a parameter that the method does not have.
func (p *parser) unread(key *yaml.Node, name string, own []Parameter) {
	var names []string
	for _, o := range own {
		names = append(names, o.Name)
	}
	reads := text.List(names, "and")
	switch known := slices.Contains(otherParameters, name); {
	case len(names) == 0:
		p.warn(key, "%s does nothing: %s reads no parameters", text.QuoteWord(name), p.doc.Method)
		return
	case known:
		p.warn(key, "%s does nothing for %s, which reads %s alone", name, p.doc.Method, reads)
		return
	}
	if near := text.Nearest(name, names); near != "" {
		p.warn(key, "unknown parameter %s, did you mean %q? It does nothing", text.QuoteWord(name), near)
		return
	}
	p.warn(key, "unknown parameter %s does nothing; %s reads %s", text.QuoteWord(name), p.doc.Method, reads)
}

// setting reads the value of a parameter: a scalar, a list of scalars, an
// entry of filter and value, or a list of entries (mergekit 0.1.5, config.py).
func (p *parser) setting(n *yaml.Node, param Parameter) Setting {
	f := document.Follow(n)
	switch {
	case f.Kind == yaml.MappingNode:
		return p.rules([]*yaml.Node{n}, param)
	case f.Kind == yaml.SequenceNode && slices.ContainsFunc(f.Content, func(c *yaml.Node) bool { return document.Follow(c).Kind == yaml.MappingNode }):
		return p.rules(f.Content, param)
	case f.Kind == yaml.SequenceNode && len(f.Content) == 0:
		p.warn(n, "the list of %s is empty, so it gives no value", param.Name)
		return nil
	}
	return Setting{{Pos: document.At(n), Values: p.values(n, param)}}
}

func (p *parser) rules(entries []*yaml.Node, param Parameter) Setting {
	var s Setting
	for _, n := range entries {
		if document.Follow(n).Kind != yaml.MappingNode {
			p.Fail(n, "%s is a list of numbers or a list of entries with filter and value, not both", param.Name)
			continue
		}
		t, _ := p.Table(n, "an entry of "+param.Name)
		p.Only(t, "an entry of "+param.Name, []string{"filter", "value"})
		if len(s) > 0 && s[len(s)-1].Filter == "" {
			p.warn(n, "this entry of %s is never used: the one before it, without a filter, takes every tensor", param.Name)
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
			p.Fail(n, "the entry of %s has no value", param.Name)
			r.Values = []float64{0}
		}
		s = append(s, r)
	}
	return s
}

// values reads one number, or a list of them. Nothing says yes or no to
// mergekit but the parameter: t: yes is 1.
func (p *parser) values(n *yaml.Node, param Parameter) []float64 {
	what := param.Name + " is a number or a list of numbers"
	if param.Boolean {
		what = param.Name + " is true or false"
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
		if param.Boolean {
			v, ok = s.AsBool()
		}
		var problem, warning string
		if not == "" && (ok || math.IsNaN(v) || math.IsInf(v, 0)) {
			problem, warning = param.check(v, f.Value)
		}
		switch {
		case problem != "":
			p.Fail(c, "%s", problem)
		case not != "" || !ok:
			p.Fail(c, "%s, not %s", what, document.KindName(c))
		case s.Kind == document.Boolean && !param.Boolean:
			p.warn(c, "%s counts as %v for %s", s.Text, v, param.Name)
		case warning != "":
			p.warn(c, "%s", warning)
		}
		values = append(values, v)
	}
	if problem := param.steady(values); problem != "" {
		p.Fail(n, "%s", problem)
	}
	return values
}
