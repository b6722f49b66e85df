package recipe

import (
	"slices"

	"slerpmerge/internal/document"
	"slerpmerge/internal/text"
)

// check holds the slices against rules that all methods have, and those that are
// sound against the needs of the method.
func (p *parser) check(t document.Table) {
	d := p.doc
	for i := range d.Slices {
		s := &d.Slices[i]
		base := s.base
		if base == nil {
			base = d.Base
		}
		s.Base = slices.IndexFunc(s.Sources, func(src Source) bool { return base != nil && src.Model.Same(*base) })
		switch {
		case s.broken || base == nil && t.Has("base_model"):
			s.broken = true
		case len(s.Sources) == 0:
			p.FailAt(s.Pos, "the slice has no sources")
			s.broken = true
		default:
			p.distinct(s)
			p.lengths(s)
		}
	}
	d.Rules.Check(&Check{Recipe: d, HasBase: t.Has("base_model"), parser: p, method: document.At(t.At["merge_method"].Value)})
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
