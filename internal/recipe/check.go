package recipe

import (
	"slices"

	"slerpmerge/internal/text"
)

// check holds the slices against rules that all methods have, and those that are
// sound against the needs of the method.
// hasBase says that there is a base_model, right or wrong; pos is that of the method.
func (p *parser) check(hasBase bool, pos Pos) {
	d := p.doc
	missing := false
	for i := range d.Slices {
		s := &d.Slices[i]
		base := s.base
		if base == nil {
			base = d.Base
		}
		s.Base = slices.IndexFunc(s.Sources, func(src Source) bool { return base != nil && src.Model.Same(*base) })
		switch {
		case s.broken || base == nil && hasBase:
			s.broken = true
		case len(s.Sources) == 0:
			p.FailAt(s.Pos, "the slice has no sources")
			s.broken = true
		default:
			p.distinct(s)
			p.lengths(s)
			missing = p.measured(s, base) || missing
		}
	}
	c := &Check{Recipe: d, HasBase: hasBase, parser: p, method: pos}
	if missing {
		c.FailMethod("%s needs base_model: the model that the others are measured from, as a rule the one that they were tuned from", d.Method)
	}
	d.Rules.Check(c)
}

// measured makes sure that a slice has the base that its sources are measured from, and
// reports whether the recipe lacks one. mergekit adds base_model to models,
// but not to sources (0.1.5, normalize_config and validate_ids).
func (p *parser) measured(s *Slice, base *ModelRef) (missing bool) {
	role := p.doc.Rules.Base()
	if role != BaseIsRequired && role != BaseIsOptional || s.Base >= 0 {
		return false
	}
	if base == nil {
		return role == BaseIsRequired
	}
	p.FailAt(s.Pos, "base_model %s is not among the sources of this slice, and the others are measured from its layers; add - {model: %s, layer_range: %s}",
		text.QuoteWord(base.String()), text.QuoteWord(base.String()), s.Sources[0].Layers)
	s.broken = true
	return false
}

// Broken reports whether the slice has problems of its own, so that no more can be
// said of it.
func (s *Slice) Broken() bool { return s.broken }

// distinct: no model twice in a slice (mergekit 0.1.5, validate_ids).
func (p *parser) distinct(s *Slice) {
	for i, src := range s.Sources {
		if slices.ContainsFunc(s.Sources[:i], func(o Source) bool { return o.Model.Same(src.Model) }) {
			p.FailAt(src.Model.Pos, "%s stands twice in one slice; each model can be there once", text.QuoteWord(src.Model.String()))
		}
	}
}

// lengths: as many layers of every source.
func (p *parser) lengths(s *Slice) {
	first := s.Sources[0]
	for _, src := range s.Sources[1:] {
		if src.Layers.Len() != first.Layers.Len() {
			p.FailAt(src.Layers.Pos, "layer_range %s has %d layers and that of %s has %d; all sources of a slice must have as many",
				src.Layers, src.Layers.Len(), text.QuoteWord(first.Model.String()), first.Layers.Len())
		}
	}
}
