package tokenizer

import (
	"fmt"

	"slerpmerge/internal/text"
)

// makeRows assigns every row of every parent: PermutedVocabulary of mergekit
// 0.1.5, tokenizer/embed.py.
func (b *build) makeRows() error {
	size := b.Vocabulary.Size()
	b.size = size
	if b.PadTo > 1 {
		b.size = (size + b.PadTo - 1) / b.PadTo * b.PadTo
	}
	var merged []int
	own := make([][]int32, len(b.Parents))
	b.Rows = make([]Rows, len(b.Parents))
	for i, p := range b.Parents {
		if p.TokenizerOnly {
			continue
		}
		merged = append(merged, i)
		own[i] = permutation(b.Vocabulary, b.vocabularies[i], b.rows[i])
		b.Rows[i].Index = make([]int32, b.size)
		copy(b.Rows[i].Index, own[i])
	}
	overrides := map[int]Override{}
	for _, t := range b.Tokens {
		id, _ := b.Vocabulary.ID(t.Token)
		overrides[id] = t
	}
	var all fills
	for id := range b.size {
		var fill int32
		forced := false
		switch t, ok := overrides[id]; {
		case id >= size || b.Vocabulary.byID[id] < 0:
			fill, forced = all.add(Fill{Mean: true}), true
		case ok:
			if forced = t.Force; !forced && everyone(own, merged, id) {
				continue
			}
			f, err := b.override(t, id, own)
			if err != nil {
				return err
			}
			fill = all.add(f)
		case everyone(own, merged, id):
			continue
		default:
			fill = all.add(b.standard(own, merged, id))
		}
		for _, i := range merged {
			if forced || own[i][id] < 0 {
				b.Rows[i].Index[id] = fill
			}
		}
	}
	for _, i := range merged {
		b.Rows[i].Fills = all.list
	}
	return nil
}

func everyone(own [][]int32, merged []int, id int) bool {
	for _, i := range merged {
		if own[i][id] < 0 {
			return false
		}
	}
	return true
}

// standard returns the row of a parent for a token that it lacks: the row of the
// only parent that has it; zeros if none has; the base model's; the mean of
// those that have it.
func (b *build) standard(own [][]int32, merged []int, id int) Fill {
	var having []int
	for _, i := range merged {
		if own[i][id] >= 0 {
			having = append(having, i)
		}
		if i == b.Base && own[i][id] >= 0 {
			having = []int{i}
			break
		}
	}
	f := Fill{}
	for _, i := range having {
		f.Terms = append(f.Terms, Term{Parent: i, Row: int(own[i][id]), Weight: 1 / float64(len(having))})
	}
	return f
}

// override returns the row of a parent for a token that the recipe names.
func (b *build) override(t Override, id int, own [][]int32) (Fill, error) {
	fail := func(format string, args ...any) (Fill, error) {
		return Fill{}, fmt.Errorf("token %s: %s", text.QuoteWord(t.Token), fmt.Sprintf(format, args...))
	}
	if t.From == FromZero {
		return Fill{}, nil
	}
	if t.From == FromNothing {
		return fail("it needs a source, since not every model has it")
	}
	if t.Parent < 0 || t.Parent >= len(b.Parents) || b.Parents[t.Parent].TokenizerOnly {
		return fail("its source is a model that is not merged")
	}
	name, row := b.Parents[t.Parent].Name, -1
	switch t.From {
	case FromParent:
		if row = int(own[t.Parent][id]); row < 0 {
			return fail("its source %s does not have it", name)
		}
	case FromOther:
		k, ok := b.vocabularies[t.Parent].ID(t.Other)
		if !ok {
			return fail("its source %s does not have the token %s", name, text.QuoteWord(t.Other))
		}
		row = k
	case FromOtherByID:
		row = t.ID
	}
	if row < 0 || row >= b.rows[t.Parent] {
		return fail("its source is row %d of %s, which has %d", row, name, b.rows[t.Parent])
	}
	return Fill{Terms: []Term{{Parent: t.Parent, Row: row, Weight: 1}}}, nil
}
