package plan

import (
	"errors"
	"fmt"
	"slices"

	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/text"
	"slerpmerge/internal/tokenizer"
)

// readTokens works out the vocabulary that the tokenizer section of a recipe
// asks for. Problems are those of the recipe.
func (p *planner) readTokens() *recipe.Problem {
	d := p.Recipe
	v := d.Vocabulary
	if v == nil {
		return nil
	}
	fail := func(format string, args ...any) *recipe.Problem {
		return &recipe.Problem{Pos: v.Pos, Message: fmt.Sprintf(format, args...)}
	}
	c := tokenizer.Config{PadTo: v.PadTo, Source: tokenizer.Base}
	for _, m := range p.Models {
		parent := tokenizer.Parent{Name: m.Name()}
		voc, err := tokenizer.Read(m.OpenCompanion)
		if err != nil && !errors.Is(err, tokenizer.ErrNone) {
			return fail("the tokenizer of %s can't be used: %v", m.Name(), err)
		}
		if err == nil {
			parent.Vocabulary = voc
			for _, note := range voc.Notes() {
				p.warn("%s: %s", m.Name(), note)
			}
		}
		if m.Config != nil {
			if n, ok := m.Config.VocabSize(); ok && n > 0 && n < 1<<31 {
				parent.Rows = int(n)
			}
		}
		c.Parents = append(c.Parents, parent)
	}
	p.tokensOf = p.Primary
	switch {
	case v.Union:
		c.Source = tokenizer.Union
	case v.Model != nil:
		c.Source = tokenizer.Named
		if i := slices.IndexFunc(d.Models(), v.Model.Same); i >= 0 {
			c.Named, p.tokensOf = c.Parents[i].Vocabulary, p.Models[i]
			if c.Named == nil {
				return fail("%s has no tokenizer", p.Models[i].Name())
			}
			break
		}
		var err error // of a model that is not merged, the tokenizer alone is needed
		if p.tokensOf, err = model.Locate(v.Model.String()); err != nil {
			return fail("%v", err)
		}
		if c.Named, err = tokenizer.Read(p.tokensOf.OpenCompanion); err != nil {
			return fail("the tokenizer of %s can't be used: %v", p.tokensOf.Name(), err)
		}
	}
	for _, t := range v.Tokens {
		o := tokenizer.Override{Token: t.Text, Force: t.Force, Parent: -1}
		switch {
		case t.Zero:
			o.From = tokenizer.FromZero
		case t.Model != nil:
			o.From, o.Parent = tokenizer.FromParent, slices.IndexFunc(d.Models(), t.Model.Same)
			if t.FromID != nil {
				o.From, o.ID = tokenizer.FromOtherByID, *t.FromID
			} else if t.FromText != nil {
				o.From, o.Other = tokenizer.FromOther, *t.FromText
			}
		}
		c.Tokens = append(c.Tokens, o)
	}
	var err error
	if p.tokens, err = tokenizer.Build(c); err != nil {
		return fail("%v", err)
	}
	for _, note := range p.tokens.Notes {
		p.warn("%s", note)
	}
	if p.edited, err = p.tokens.Files(p.tokensOf.OpenCompanion); err != nil {
		return fail("%v", err)
	}
	return nil
}

// remapRows gives an operand whose rows are a vocabulary the output's rows.
// name is that of the output tensor: an embedding may stand in for a head.
func (p *planner) remapRows(name string, o operand.Operand) operand.Operand {
	if p.tokens == nil || o.None() || !o.Tensor().DType.Blends() {
		return o
	}
	axis, ok := p.tokenAxis(o.Model, o.Tensor())
	if !ok {
		return o
	}
	r := &p.tokens.Rows[slices.Index(p.Models, o.Model)]
	if r.Identity() && uint64(r.Len()) == o.Tensor().Shape[axis] {
		return o
	}
	rows := &operand.Rows{Rows: r, Axis: axis}
	for _, m := range p.Models {
		same := operand.Operand{}
		if i, ok := m.Named(name); ok {
			same = operand.Operand{Model: m, Index: int32(i), As: o.As}
		}
		rows.Parents = append(rows.Parents, same)
	}
	if known := p.knownRows(o, rows.Parents); known != nil {
		o.Rows = known
		return o
	}
	if !p.holdsRows(o, rows) {
		return o
	}
	p.keepRows(o, rows)
	o.Rows = rows
	return o
}

// holdsRows makes sure that every row that is asked for exists: vocab_size of
// config.json may say more than the tensor has.
func (p *planner) holdsRows(o operand.Operand, r *operand.Rows) bool {
	own := o.Tensor().Shape
	if most := int64(slices.Max(r.Index)); most >= int64(own[r.Axis]) {
		p.block("%s of %s has %d rows, but its tokenizer and config.json need %d", text.Quote(o.Tensor().Name), o.Model.Name(), own[r.Axis], most+1)
		return false
	}
	for _, fill := range r.Fills {
		for _, t := range fill.Terms {
			other := r.Parents[t.Parent]
			if other.None() {
				continue
			}
			dims := other.Tensor().Shape
			fits := len(dims) == len(own) && slices.Equal(dims[r.Axis+1:], own[r.Axis+1:]) && slices.Equal(dims[:r.Axis], own[:r.Axis])
			if !fits || uint64(t.Row) >= dims[r.Axis] || !other.Tensor().DType.Blends() {
				p.block("%s is %s in %s, so its row %d can't stand in for one of %s", text.Quote(o.Tensor().Name), text.Shape(dims), other.Model.Name(), t.Row, o.Model.Name())
				return false
			}
		}
	}
	return true
}
