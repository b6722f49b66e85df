package tokenizer

import (
	"errors"
	"fmt"
	"slices"

	"slerpmerge/internal/text"
)

// A Source says whose vocabulary the output has (mergekit's tokenizer_source).
type Source int

const (
	Base  Source = iota // the base model's, up to the rows that it has
	Union               // the base model's, then what the others have beyond it
	Named               // that of Config.Named
)

// A Parent is a model that is merged.
type Parent struct {
	Name       string      // as messages call it
	Vocabulary *Vocabulary // nil: none could be read, the base model's is assumed
	// Rows is the number of rows of its vocabulary matrices; mergekit takes
	// vocab_size of config.json. 0: as many as the tokenizer needs.
	Rows int
	// TokenizerOnly says that its tokens count but its weights are not merged,
	// such as a base model that is not a source of a linear merge.
	TokenizerOnly bool
}

// A From says where an Override takes a row from.
type From int

const (
	FromNothing   From = iota // no source: an error if one is needed
	FromZero                  // kind: zero
	FromParent                // a model: its row of this token
	FromOther                 // kind: model_token with token: the row of another token
	FromOtherByID             // kind: model_token with token_id
)

// An Override is the entry of a recipe for one token (mergekit's tokenizer.tokens).
// The token is added to the output if it is not there.
type Override struct {
	Token  string
	From   From
	Parent int    // index into Config.Parents, -1: a model that is not merged
	Other  string // for FromOther
	ID     int    // for FromOtherByID
	Force  bool   // also for the parents that have the token
}

// A Config is the input of Build.
type Config struct {
	Parents []Parent // in the recipe's order
	Base    int      // index of the base model
	Source  Source
	Named   *Vocabulary
	Tokens  []Override // in the recipe's order
	PadTo   int        // pad_to_multiple_of: rows are added up to a multiple of it, 0 or 1 for none
}

// An Output is the vocabulary that a merge has and how its rows come about.
type Output struct {
	Vocabulary *Vocabulary
	Rows       []Rows // per parent, nothing for one that is TokenizerOnly
	// Added are the tokens that the tokenizer of Config.Source gains, in the
	// order of their ids, and those of its entries that become added tokens.
	Added []Token
	// Dropped are the tokens of the tokenizer that lie beyond the model's
	// rows. They stay in its files unless those have to be changed anyway.
	Dropped []Token
	Notes   []string // sentences fit for warnings

	size int
}

// Size returns the number of rows of the output's vocabulary matrices: vocab_size.
func (o *Output) Size() int { return o.size }

// Build works out the output's vocabulary.
func Build(c Config) (*Output, error) {
	if c.Base < 0 || c.Base >= len(c.Parents) || c.Parents[c.Base].Vocabulary == nil {
		return nil, errors.New("the base model has no tokenizer that can be read, and its tokens are needed")
	}
	b := &build{Config: c, vocabularies: make([]*Vocabulary, len(c.Parents)), rows: make([]int, len(c.Parents))}
	base := c.Parents[c.Base]
	b.rows[c.Base] = rowsOf(base, base.Vocabulary)
	stripped, cut := base.Vocabulary.below(b.rows[c.Base])
	for i, p := range c.Parents {
		v := p.Vocabulary
		if v == nil || i == c.Base {
			v = stripped
		}
		b.vocabularies[i], b.rows[i] = v, rowsOf(p, v)
		if v.Size() > b.rows[i] {
			b.note("the tokenizer of %s has ids up to %d, its weights have %d rows: what lies beyond them is not used", p.Name, v.Size()-1, b.rows[i])
		}
	}
	if err := b.vocabulary(stripped, cut); err != nil {
		return nil, err
	}
	if c.Source == Base {
		// mergekit adds the tokens to the tokenizer that it has read, so that
		// they count as the base model's own: if its matrices have spare rows
		// beyond its tokens, those become theirs, whatever a recipe says.
		for i, p := range c.Parents {
			if i == c.Base || p.Vocabulary == nil {
				b.vocabularies[i] = b.Vocabulary
			}
		}
	}
	if err := b.makeRows(); err != nil {
		return nil, err
	}
	return &b.Output, nil
}

func rowsOf(p Parent, v *Vocabulary) int {
	if p.Rows > 0 {
		return p.Rows
	}
	return v.Size()
}

// build is an Output that is being made.
type build struct {
	Config
	Output
	vocabularies []*Vocabulary // per parent
	rows         []int
}

func (b *build) note(format string, args ...any) {
	b.Notes = append(b.Notes, fmt.Sprintf(format, args...))
}

// vocabulary works out the tokens of the output.
func (b *build) vocabulary(stripped *Vocabulary, cut []Token) error {
	name := b.Parents[b.Base].Name
	out := stripped
	b.Dropped = cut
	var more []Token
	switch b.Source {
	case Union:
		// mergekit saves the base model's tokenizer and loads it again, which
		// brings special tokens back that the settings name.
		more = append(slices.Clone(stripped.named), b.union(stripped)...)
	case Named:
		if b.Named == nil {
			return errors.New("the tokenizer that the output should have could not be read")
		}
		out, b.Dropped = b.Named, nil
	}
	for _, t := range b.Tokens {
		if _, ok := out.ID(t.Token); ok {
			continue // and stays as it is
		}
		more = append(more, Token{Text: t.Token, Normalized: true})
	}
	var err error
	b.Vocabulary, b.Added, err = out.with(more)
	if err != nil {
		return fmt.Errorf("no token can be added to the tokenizer that the output has: %w", err)
	}
	if len(b.Dropped) > 0 {
		b.note("the tokenizer of %s has %d tokens beyond the %d rows of its weights, such as %s", name, len(cut), b.rows[b.Base], text.QuoteWord(cut[0].Text))
	}
	proper := func(t Token) bool { return t.proper }
	if i := slices.IndexFunc(b.Dropped, proper); i >= 0 && len(b.Added) > 0 {
		return fmt.Errorf("no token can be added to the tokenizer of %s: its own entry %s has the id %d and its weights have %d rows",
			name, text.QuoteWord(b.Dropped[i].Text), b.Dropped[i].ID, b.rows[b.Base])
	}
	return nil
}

// union lists what the parents have beyond the base model: first plain entries,
// then added tokens, each in the order of the models, base first, and of their
// ids. Of an added token that several have, the first one's settings count
// (build_union_tokenizer of mergekit 0.1.5, which takes plain entries in the
// random order of a hash table).
func (b *build) union(base *Vocabulary) []Token {
	order := []int{b.Base}
	for i, p := range b.Parents {
		if i != b.Base && p.Vocabulary != nil {
			order = append(order, i)
		}
	}
	var plain, added []Token
	first := map[string]int{} // in added
	warned := map[string]bool{}
	for _, i := range order {
		for _, t := range b.vocabularies[i].added {
			if t.ID >= b.rows[i] {
				continue
			}
			at, ok := first[t.Text]
			if !ok {
				first[t.Text] = len(added)
				added = append(added, t)
			} else if !added[at].same(t) && !warned[t.Text] {
				warned[t.Text] = true
				b.note("the added token %s has other settings in %s than in a model before it, whose settings are kept", text.QuoteWord(t.Text), b.Parents[i].Name)
			}
		}
	}
	for _, i := range order[1:] {
		v := b.vocabularies[i]
		for id, at := range v.byID[:min(len(v.byID), b.rows[i])] {
			if at < 0 || v.isAdded(id) {
				continue
			}
			token := v.bytes(int(at))
			if _, ok := base.find(token); ok {
				continue
			}
			if _, ok := first[string(token)]; ok {
				continue
			}
			plain = append(plain, Token{Text: string(token), Normalized: true})
		}
	}
	if len(plain) > 0 {
		what := "1 plain entry of another vocabulary is added, " + text.QuoteWord(plain[0].Text) + ": it is found"
		if len(plain) > 1 {
			what = fmt.Sprintf("%d plain entries of other vocabularies are added, such as %s: they are found", len(plain), text.QuoteWord(plain[0].Text))
		}
		b.note("%s before all else in a text, so that is split in other ways than before", what)
	}
	return append(plain, added...)
}
