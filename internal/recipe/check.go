package recipe

import (
	"slices"

	"slerpmerge/internal/document"
)

// check holds the slices of a document against what its method needs.
func (p *parser) check(t document.Table) {
	d := p.doc
	for i := range d.Slices {
		s := &d.Slices[i]
		base := s.base
		if base == nil {
			base = d.Base
		}
		s.Base = slices.IndexFunc(s.Sources, func(src Source) bool { return base != nil && src.Model.Same(*base) })
		if s.broken || base == nil && t.Has("base_model") {
			continue
		}
		if len(s.Sources) == 0 {
			p.FailAt(s.Pos, "the slice has no sources")
			continue
		}
		p.distinct(s)
		p.lengths(s)
		switch d.Method {
		case Slerp:
			p.slerp(t, s, base)
		case Linear:
			p.linear(s)
		case Passthrough:
			p.passthrough(s)
		}
	}
	if d.Method == Slerp && len(d.Slices) > 0 {
		p.needsT(t)
	}
}

// distinct: no model twice in a slice (mergekit 0.1.5, validate_ids).
func (p *parser) distinct(s *Slice) {
	for i, src := range s.Sources {
		if slices.ContainsFunc(s.Sources[:i], func(o Source) bool { return o.Model.Same(src.Model) }) {
			p.FailAt(src.Model.Pos, "%s stands twice in one slice; each model can be there once", document.Quote(src.Model.String()))
		}
	}
}

// lengths: as many layers of every source.
func (p *parser) lengths(s *Slice) {
	first := s.Sources[0]
	for _, src := range s.Sources[1:] {
		if src.Layers.Len() != first.Layers.Len() {
			p.FailAt(src.Layers.Pos, "layer_range %s has %d layers and that of %s has %d; all sources of a slice must have as many",
				src.Layers, src.Layers.Len(), document.Quote(first.Model.String()), first.Layers.Len())
		}
	}
}

func (p *parser) slerp(t document.Table, s *Slice, base *ModelRef) {
	switch n := len(s.Sources); {
	case n > 2 && s.Sources[2].Added:
		p.FailAt(s.Sources[2].Pos, "slerp merges two models, and base_model %s is a third; base_model is one of the two", document.Quote(base.String()))
	case n > 2:
		p.FailAt(s.Sources[2].Model.Pos, "slerp merges two models, and %s is a third", document.Quote(s.Sources[2].Model.String()))
	case n < 2 && p.doc.Several():
		return // a module that is taken from one model
	case n < 2:
		p.FailAt(s.Sources[0].Pos, "slerp merges two models, and here is one")
	}
	switch {
	case base == nil && !t.Has("base_model"):
		p.Fail(t.At["merge_method"].Value, "slerp needs base_model: the one of the two models that t = 0 stands for")
	case base != nil && s.Base < 0:
		p.FailAt(s.Sources[0].Pos, "base_model %s is not among the sources of this slice; for slerp it is one of the two", document.Quote(base.String()))
	}
}

// needsT: each slice finds a t somewhere. Whether it has a value for every
// tensor shows with the models.
func (p *parser) needsT(t document.Table) {
	d := p.doc
	has := func(s Slice) bool {
		return slices.ContainsFunc(d.shared(s), func(l parameters) bool { return hasValue(l["t"]) })
	}
	anywhere := slices.ContainsFunc(d.Slices, has)
	for _, s := range d.Slices {
		switch {
		case has(s) || len(s.Sources) < 2:
		case anywhere:
			p.FailAt(s.Pos, "slerp needs t, and neither this slice nor the file has it")
		default:
			p.Fail(t.At["merge_method"].Value, "slerp needs t; write parameters: {t: 0.5} for the middle of the two models")
			return
		}
	}
}

func (p *parser) linear(s *Slice) {
	d := p.doc
	for _, src := range s.Sources {
		if !slices.ContainsFunc(append([]parameters{src.params}, d.shared(*s)...), func(l parameters) bool { return hasValue(l["weight"]) }) {
			where := "; write parameters: {weight: 0.5} under it, or for all models under the file"
			if src.Added {
				where = ", which is merged too though models does not list it"
			}
			p.FailAt(src.Model.Pos, "linear needs a weight for every model, and there is none for %s%s", document.Quote(src.Model.String()), where)
		}
	}
}

func (p *parser) passthrough(s *Slice) {
	if len(s.Sources) < 2 {
		return
	}
	if second := s.Sources[1]; second.Added {
		p.FailAt(second.Pos, "passthrough takes one model, and base_model, which is added to models, is a second; write slices instead")
	} else {
		p.FailAt(second.Model.Pos, "passthrough takes one model in a slice, and %s is a second; give it a slice of its own", document.Quote(second.Model.String()))
	}
}

func hasValue(s Setting) bool {
	return slices.ContainsFunc(s, func(r Rule) bool { return len(r.Values) > 0 })
}
