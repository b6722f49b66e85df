package plan

import (
	"fmt"
	"slices"

	"slerpmerge/internal/model"
	"slerpmerge/internal/operand"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tokenizer"
)

// vocabulary decides about a tensor whose rows are a vocabulary, and that has
// more of them in one parent.
func (p *planner) vocabulary(name, own string, oa, ob operand.Operand, axis int) Tensor {
	a, b := oa.Info().Shape[axis], ob.Info().Shape[axis]
	short, long := &oa, ob
	if b < a {
		short, long = &ob, oa
	}
	common, most := min(a, b), max(a, b)
	if common == 0 {
		return p.single(name, long, long == ob)
	}
	rows := most
	switch p.Recipe.Vocab {
	case recipe.VocabBase:
		rows = a
	case recipe.VocabTruncate:
		rows = common
	case recipe.VocabZero, recipe.VocabMean, recipe.VocabGradient:
		short.Rows = p.fillIn(*short, long, axis)
	}
	t := p.pair(name, own, oa, ob)
	t.Shape = withRows(t.Shape, axis, rows)
	p.vocab = append(p.vocab, vocabChange{a, b, rows, ob.Model, t.Info})
	if short.Rows != nil {
		t.Why = fmt.Sprintf("%d rows of %s are filled in (--vocab %s)", most-common, short.Model.Name(), p.Recipe.Vocab)
		return t
	}
	if rows > common {
		t.Why = fmt.Sprintf("rows from %d on are those of %s", common, long.Model.Name())
	} else {
		t.Why = fmt.Sprintf("the first %d rows", common)
	}
	// At t = 0 and t = 1 the one parent is copied as far as it goes; where that
	// is not far enough, both are needed.
	if !t.Blends() {
		if t.Sole().Info().Shape[axis] >= rows {
			return t
		}
		t.Op, t.Operands = p.op(own), []operand.Operand{oa, ob}
	}
	if rows > common {
		t.Tail = &Tail{1, common, axis}
		if b < a {
			t.Tail.Operand = 0
		}
	}
	return t
}

// fillIn makes the rows that short lacks, by the policy.
func (p *planner) fillIn(short, long operand.Operand, axis int) *operand.Rows {
	rows := &operand.Rows{Parents: []operand.Operand{short, long}, Gradient: p.Recipe.Vocab == recipe.VocabGradient, Axis: axis}
	if r := p.knownRows(short, rows.Parents); r != nil { // the head of tied models
		return r
	}
	own, all := int(short.Info().Shape[axis]), int(long.Info().Shape[axis])
	r := &tokenizer.Rows{Index: make([]int32, all)}
	for i := range r.Index {
		if r.Index[i] = int32(i); i >= own {
			r.Index[i] = ^0
		}
	}
	r.Fills = []tokenizer.Fill{{Mean: p.Recipe.Vocab == recipe.VocabMean}}
	rows.Rows = r
	p.keepRows(short, rows)
	return rows
}

// knownRows finds what was made for an operand that is tied to this one, if
// the other parents' are tied as well: then both stay one tensor.
func (p *planner) knownRows(o operand.Operand, parents []operand.Operand) *operand.Rows {
	for _, r := range p.rows[o.Key()] {
		if slices.EqualFunc(r.Parents, parents, func(a, b operand.Operand) bool { return a.Key() == b.Key() }) {
			return r
		}
	}
	return nil
}

func (p *planner) keepRows(o operand.Operand, r *operand.Rows) {
	if p.rows == nil {
		p.rows = make(map[operand.Operand][]*operand.Rows)
	}
	p.rows[o.Key()] = append(p.rows[o.Key()], r)
}

// setVocabSize makes the numbers of tokens in the config true for other
// numbers of rows. Those of a vocabulary that did not change stay: a part for
// pictures has its own.
func (p *planner) setVocabSize(c *model.Config) {
	if p.tokens != nil {
		if size, ok := c.VocabSize(); ok {
			for _, v := range c.VocabSizes() {
				if v.Size == size && v.OfText() {
					v.Size = int64(p.tokens.Size())
					c.SetVocabSize(v)
				}
			}
		}
		return
	}
	for _, v := range c.VocabSizes() {
		if x := p.changeOf(v); x != nil {
			theirs := v.Size
			if x.a == uint64(v.Size) {
				theirs = int64(x.b)
			}
			if size, ok := sizeIn(x.other.Config, v); ok {
				theirs = size
			}
			switch p.Recipe.Vocab { // an embedding may have more rows than the setting says
			case recipe.VocabBase:
			case recipe.VocabTruncate:
				v.Size = min(v.Size, theirs)
			default:
				v.Size = max(v.Size, theirs)
			}
			v.Size = min(v.Size, int64(x.out))
			c.SetVocabSize(v)
		}
	}
}

// changeOf finds the changed vocabulary that a setting of the primary means:
// the one of that length, or with the fewest rows to spare. A setting that is
// the same in the other model means none of them.
func (p *planner) changeOf(v model.VocabSize) *vocabChange {
	var best *vocabChange
	for i := range p.vocab {
		x := &p.vocab[i]
		if x.a < uint64(v.Size) || model.OtherInput(x.info.Name) != !v.OfText() {
			continue
		}
		if size, ok := sizeIn(x.other.Config, v); ok && size == v.Size {
			continue
		}
		if best == nil || x.a < best.a {
			best = x
		}
	}
	return best
}

// sizeIn returns the setting of another model that means the same vocabulary: the
// one at the same place, or the text's where the parts are arranged otherwise.
func sizeIn(c *model.Config, v model.VocabSize) (size int64, ok bool) {
	if c == nil {
		return 0, false
	}
	for _, w := range c.VocabSizes() {
		if w.Path == v.Path && w.Name == v.Name {
			return w.Size, true
		}
	}
	if v.Name == "vocab_size" && v.OfText() {
		return c.VocabSize()
	}
	return 0, false
}
