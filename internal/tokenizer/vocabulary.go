package tokenizer

import (
	"bytes"
	"slices"

	"slerpmerge/internal/text"
)

// Limits of the files. The largest vocabularies that were seen have 262,144
// tokens (Gemma 3) and 901,629 (XLM-V), of 8 bytes on average. Few ids may be
// left out, since a table over them is kept.
const (
	maxTokens = 1 << 22
	maxText   = 64 << 20
	maxAdded  = 1 << 17
	maxHoles  = 1 << 16
)

// A Token is an added token: one that a tokenizer knows beside its model's own
// entries and finds in the text before all else. The flags are those of
// Hugging Face tokenizers.
type Token struct {
	Text       string
	ID         int
	Special    bool
	Normalized bool
	LStrip     bool
	RStrip     bool
	SingleWord bool

	proper bool // the model has the entry as well, and its id stands
}

// same reports whether the settings of two tokens agree, whatever their ids.
func (t Token) same(o Token) bool {
	t.ID, t.proper = o.ID, o.proper
	return t == o
}

// A Vocabulary is the table of a tokenizer: token to id and id to token. It
// does not change once it is made. It holds the tokens' bytes and 16 bytes for
// each, about 7 MiB for 262,144 tokens.
type Vocabulary struct {
	text  []byte
	toks  []span   // in order of their bytes
	byID  []int32  // index into toks of the token with an id, -1 for none
	added []Token  // by id
	named []Token  // special tokens that the settings name, in transformers' order
	model int      // how many entries the model proper counts
	file  string   // where the entries come from
	notes []string // oddities
}

// A span is a token's place in the text.
type span struct {
	start, end uint32
	id         int32
}

func (v *Vocabulary) bytes(i int) []byte { return v.text[v.toks[i].start:v.toks[i].end] }

// Len returns the number of tokens.
func (v *Vocabulary) Len() int { return len(v.toks) }

// Size returns the highest id plus one: the rows that an embedding needs. It is
// above Len if ids are left out.
func (v *Vocabulary) Size() int { return len(v.byID) }

// ID returns the id of a token, and whether there is one.
func (v *Vocabulary) ID(token string) (int, bool) { return v.find([]byte(token)) }

func (v *Vocabulary) find(token []byte) (int, bool) {
	i, ok := slices.BinarySearchFunc(v.toks, token, func(s span, t []byte) int {
		return bytes.Compare(v.text[s.start:s.end], t)
	})
	if !ok {
		return -1, false
	}
	return int(v.toks[i].id), true
}

// Token returns the token with an id, and whether there is one.
func (v *Vocabulary) Token(id int) (string, bool) {
	if id < 0 || id >= len(v.byID) || v.byID[id] < 0 {
		return "", false
	}
	return string(v.bytes(int(v.byID[id]))), true
}

// Added returns the added tokens by id, those among the model's entries too. The
// slice must not be changed.
func (v *Vocabulary) Added() []Token { return v.added }

// File returns the name of the file that the entries come from.
func (v *Vocabulary) File() string { return v.file }

// Notes returns sentences about oddities, for warnings.
func (v *Vocabulary) Notes() []string { return v.notes }

// isAdded reports whether the token with an id is an added one.
func (v *Vocabulary) isAdded(id int) bool {
	_, ok := slices.BinarySearchFunc(v.added, id, func(t Token, id int) int { return t.ID - id })
	return ok
}

// nextID returns the id that tokenizers gives the next token that is added
// (AddedVocabulary::add_tokens of tokenizers 0.23): the one after the highest
// added one, but at least the number of the model's entries.
func (v *Vocabulary) nextID() int {
	if n := len(v.added); n > 0 && v.added[n-1].ID >= v.model {
		return v.added[n-1].ID + 1
	}
	return v.model
}

// with returns the vocabulary after tokens were added in their order, as tokenizers
// does it: one that is an entry already keeps its id and becomes an added
// token, one that is added already stays as it is, any other gets the next id
// whatever id it states. fresh are those that became added.
func (v *Vocabulary) with(tokens []Token) (w *Vocabulary, fresh []Token, err error) {
	next := v.nextID()
	known := make(map[string]bool, len(v.added)+len(tokens))
	for _, t := range v.added {
		known[t.Text] = true
	}
	b := builder{file: v.file, text: v.text[:len(v.text):len(v.text)]}
	for _, t := range tokens {
		if t.Text == "" || known[t.Text] {
			continue
		}
		known[t.Text] = true
		t.ID, t.proper = v.find([]byte(t.Text))
		if !t.proper {
			t.ID = next
			start := len(b.text)
			b.text = append(b.text, t.Text...)
			if err := b.end(start, int64(t.ID)); err != nil {
				return nil, nil, err
			}
		}
		if t.ID >= v.model { // also of an entry, where entries leave out ids
			next = max(next, t.ID+1)
		}
		fresh = append(fresh, t)
		if len(known) > maxAdded {
			return nil, nil, corrupt(v.file, "has more than %d added tokens", maxAdded)
		}
	}
	if fresh == nil {
		return v, nil, nil
	}
	b.sort()
	w = &Vocabulary{text: b.text, named: v.named, model: v.model, file: v.file, notes: v.notes}
	w.toks = make([]span, 0, len(v.toks)+len(b.toks))
	old := v.toks
	for _, s := range b.toks {
		n, _ := slices.BinarySearchFunc(old, b.text[s.start:s.end], func(o span, t []byte) int {
			return bytes.Compare(v.text[o.start:o.end], t)
		})
		w.toks = append(append(w.toks, old[:n]...), s)
		old = old[n:]
	}
	w.toks = append(w.toks, old...)
	w.added = append(slices.Clone(v.added), fresh...)
	slices.SortFunc(w.added, func(a, b Token) int { return a.ID - b.ID })
	return w, fresh, w.index()
}

// below returns the vocabulary without the ids from rows on, and those tokens: what
// mergekit's get_stripped_tokenizer leaves of a tokenizer that knows more
// tokens than its model has rows.
func (v *Vocabulary) below(rows int) (w *Vocabulary, cut []Token) {
	if rows >= len(v.byID) {
		return v, nil
	}
	w = &Vocabulary{text: v.text, named: v.named, model: v.model, file: v.file, notes: v.notes}
	w.byID = make([]int32, rows)
	for i := range w.byID {
		w.byID[i] = -1
	}
	for i, s := range v.toks {
		if int(s.id) < rows {
			w.byID[s.id] = int32(len(w.toks))
			w.toks = append(w.toks, s)
			continue
		}
		t := Token{Text: string(v.bytes(i)), ID: int(s.id), proper: true}
		if at, ok := slices.BinarySearchFunc(v.added, t.ID, func(t Token, id int) int { return t.ID - id }); ok {
			t = v.added[at]
		}
		if t.proper {
			w.model--
		}
		cut = append(cut, t)
	}
	for n := len(w.byID); n > 0 && w.byID[n-1] < 0; n-- {
		w.byID = w.byID[:n-1]
	}
	for _, t := range v.added {
		if t.ID < rows {
			w.added = append(w.added, t)
		}
	}
	slices.SortFunc(cut, func(a, b Token) int { return a.ID - b.ID })
	return w, cut
}

// index makes byID. Two tokens with one id are an error.
func (v *Vocabulary) index() error {
	size := 0
	for _, s := range v.toks {
		size = max(size, int(s.id)+1)
	}
	if size > 4*len(v.toks)+maxHoles {
		return corrupt(v.file, "has %d tokens with ids up to %d: it leaves out too many", len(v.toks), size-1)
	}
	v.byID = make([]int32, size)
	for i := range v.byID {
		v.byID[i] = -1
	}
	for i, s := range v.toks {
		if first := v.byID[s.id]; first >= 0 {
			return corrupt(v.file, "gives the id %d to two tokens, %s and %s", s.id, text.QuoteWord(string(v.bytes(int(first)))), text.QuoteWord(string(v.bytes(i))))
		}
		v.byID[s.id] = int32(i)
	}
	return nil
}

// A builder collects tokens in the order of their file.
type builder struct {
	file string
	text []byte
	toks []span
}

// end says that a token of an id has been appended to the text at start.
func (b *builder) end(start int, id int64) error {
	switch {
	case id < 0 || id >= maxTokens:
		return corrupt(b.file, "gives %s the id %d; ids from 0 to %d are understood", text.QuoteWord(string(b.text[start:])), id, maxTokens-1)
	case len(b.toks) == maxTokens:
		return corrupt(b.file, "has more than %d tokens", maxTokens)
	case len(b.text) > maxText:
		return corrupt(b.file, "has tokens of more than %d MiB together", maxText>>20)
	}
	b.toks = append(b.toks, span{uint32(start), uint32(len(b.text)), int32(id)})
	return nil
}

func (b *builder) sort() {
	slices.SortFunc(b.toks, func(x, y span) int {
		if c := bytes.Compare(b.text[x.start:x.end], b.text[y.start:y.end]); c != 0 {
			return c
		}
		return int(int64(x.start) - int64(y.start))
	})
}

// vocabulary makes the table. A token that is there twice has its last id if
// the file is a list, as the libraries read it, and is an error if it is an
// object that gives two ids.
func (b *builder) vocabulary(list bool) (*Vocabulary, error) {
	model := len(b.toks)
	b.sort()
	kept := b.toks[:0]
	for _, s := range b.toks {
		n := len(kept)
		if n == 0 || !bytes.Equal(b.text[kept[n-1].start:kept[n-1].end], b.text[s.start:s.end]) {
			kept = append(kept, s)
			continue
		}
		if !list && kept[n-1].id != s.id {
			return nil, corrupt(b.file, "gives the token %s two ids, %d and %d", text.QuoteWord(string(b.text[s.start:s.end])), kept[n-1].id, s.id)
		}
		kept[n-1] = s
	}
	if !list {
		model = len(kept)
	}
	v := &Vocabulary{text: slices.Clip(b.text), toks: slices.Clip(kept), model: model, file: b.file}
	return v, v.index()
}
