package tokenizer

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// settings has the entries for added tokens in the files beside the vocabulary.
type settings struct {
	added []Token // by id
	named []Token // bos, eos and their like, then the others
}

// specialNames are the attributes of special tokens in transformers' order
// (PreTrainedTokenizerBase.SPECIAL_TOKENS_ATTRIBUTES).
var specialNames = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// readSettings reads tokenizer_config.json, and where that has no
// added_tokens_decoder special_tokens_map.json and added_tokens.json as well:
// PreTrainedTokenizerBase._from_pretrained of transformers 5.23.
func readSettings(open Opener) (settings, error) {
	var set settings
	names := specials{attribute: map[string]Token{}}
	decoder := false
	err := readObject(open, "tokenizer_config.json", func(s *stream, name string) error {
		if name != "added_tokens_decoder" {
			return names.read(s, name)
		}
		decoder = true
		return s.keyed(name, true, func(m member) { set.added = append(set.added, m.Token) })
	})
	if err == nil && !decoder {
		err = readObject(open, "special_tokens_map.json", names.read)
	}
	if err == nil && !decoder {
		_, err = readFile(open, "added_tokens.json", func(s *stream) error {
			return s.keyed("it", false, func(m member) { set.added = append(set.added, m.Token) })
		})
	}
	if err != nil {
		return settings{}, err
	}
	set.named = names.list()
	for i, t := range set.added {
		if !decoder && slices.ContainsFunc(set.named, func(n Token) bool { return n.Text == t.Text }) {
			set.added[i].Special, set.added[i].Normalized = true, false
		}
	}
	slices.SortStableFunc(set.added, func(a, b Token) int { return a.ID - b.ID })
	return set, nil
}

// readObject reads a file that holds an object, if it is there.
func readObject(open Opener, file string, each func(*stream, string) error) error {
	_, err := readFile(open, file, func(s *stream) error {
		return s.object("it", func(name string) error { return each(s, name) })
	})
	return err
}

// readFile reads a JSON file, if it is there, and gives its length, or -1.
func readFile(open Opener, file string, read func(*stream) error) (int64, error) {
	r, err := open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, readError(file, err)
	}
	defer r.Close()
	s := newStream(file, r)
	if err := read(s); err != nil {
		return -1, err
	}
	return s.end()
}

// specials collects the special tokens that settings name.
type specials struct {
	attribute map[string]Token
	other     []string // attributes that only some models have, in order
	extra     []Token  // extra_special_tokens, or additional_special_tokens
}

func (n *specials) read(s *stream, name string) error {
	switch {
	case name == "extra_special_tokens" || name == "additional_special_tokens":
		return n.rest(s)
	case strings.HasSuffix(name, "_token"):
		return n.one(s, name)
	}
	return s.skip()
}

func (n *specials) one(s *stream, name string) error {
	t, ok, err := s.token(true)
	if err != nil || !ok { // null, or a switch such as add_bos_token
		return err
	}
	t.Special = true
	if _, seen := n.attribute[name]; !seen && !slices.Contains(specialNames, name) {
		n.other = append(n.other, name)
	}
	n.attribute[name] = t
	if len(n.attribute) > maxAdded {
		return corrupt(s.file, "names more than %d special tokens", maxAdded)
	}
	return nil
}

// rest reads the tokens beyond the named ones: a list, or in newer files an
// object by attribute.
func (n *specials) rest(s *stream) error {
	switch s.PeekKind() {
	case '{':
		return s.object("extra_special_tokens", func(name string) error { return n.one(s, name) })
	case '[':
		return s.array("additional_special_tokens", func() error {
			t, ok, err := s.token(true)
			if err == nil && ok {
				t.Special = true
				n.extra = append(n.extra, t)
			}
			if len(n.extra) > maxAdded {
				return corrupt(s.file, "names more than %d special tokens", maxAdded)
			}
			return err
		})
	}
	return s.skip()
}

func (n *specials) list() []Token {
	var all []Token
	for _, name := range slices.Concat(specialNames, n.other) {
		if t, ok := n.attribute[name]; ok {
			all = append(all, t)
		}
	}
	return append(all, n.extra...)
}
