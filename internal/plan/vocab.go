package plan

import (
	"fmt"
	"slices"

	"slerpmerge/internal/model"
	"slerpmerge/internal/recipe"
	"slerpmerge/internal/tokenizer"
)

// Rows makes up an operand whose rows are a vocabulary, of rows of its tensor
// and others.
type Rows struct {
	*tokenizer.Rows
	Parents []Operand // the tensors that its terms mean, without Rows
	// Gradient fills row i of those that are not the tensor's own from its
	// last row and row i of Parents[1], going over from one to the other.
	Gradient bool
}

// vocabulary decides about a tensor whose rows are a vocabulary, and that has
// more of them in one parent.
func (p *Plan) vocabulary(name string, oa, ob Operand) Tensor {
	a, b := oa.Info().Shape[0], ob.Info().Shape[0]
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
		short.Rows = p.fillIn(*short, long)
	}
	t := p.pair(name, oa, ob)
	t.Shape = append([]uint64{rows}, t.Shape[1:]...)
	p.vocabRows = rows
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
	if t.Action != Slerp {
		if t.Sole().Info().Shape[0] >= rows {
			return t
		}
		t.Action, t.A, t.B = Slerp, oa, ob
	}
	if rows > common {
		t.Tail = &Tail{long, common}
	}
	return t
}

// fillIn makes the rows that short lacks, by the policy.
func (p *Plan) fillIn(short, long Operand) *Rows {
	rows := &Rows{Parents: []Operand{short, long}, Gradient: p.Recipe.Vocab == recipe.VocabGradient}
	if r := p.knownRows(short, rows.Parents); r != nil { // the head of tied models
		return r
	}
	own, all := int(short.Info().Shape[0]), int(long.Info().Shape[0])
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
func (p *Plan) knownRows(o Operand, parents []Operand) *Rows {
	for _, r := range p.rows[o.root()] {
		if slices.EqualFunc(r.Parents, parents, func(a, b Operand) bool { return a.root() == b.root() }) {
			return r
		}
	}
	return nil
}

func (p *Plan) keepRows(o Operand, r *Rows) {
	if p.rows == nil {
		p.rows = make(map[Operand][]*Rows)
	}
	p.rows[o.root()] = append(p.rows[o.root()], r)
}

// rowBytes is what the lists of rows hold in memory.
func (p *Plan) rowBytes() int64 {
	var n int64
	for _, list := range p.rows {
		for _, r := range list {
			n += 4*int64(len(r.Index)) + 100*int64(len(r.Fills))
		}
	}
	return n
}

// setVocabSize makes the config's vocab_size true for other numbers of rows.
func (p *Plan) setVocabSize(c *model.Config) {
	size, ok := c.Int("vocab_size")
	if p.vocabRows == 0 || !ok {
		return
	}
	if p.tokens != nil {
		c.SetInt(int64(p.tokens.Size()), "vocab_size")
		return
	}
	rows := int64(p.vocabRows)
	for _, m := range p.Models[1:] { // an embedding may have more rows than vocab_size says
		if m.Config != nil {
			if n, ok := m.Config.Int("vocab_size"); ok && p.Recipe.Vocab != recipe.VocabBase {
				size = max(size, n)
			}
		}
	}
	c.SetInt(min(size, rows), "vocab_size")
}
