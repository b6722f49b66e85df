package tokenizer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"slerpmerge/internal/text"
)

// An Opener opens a file of a model's folder by its name. The error for one
// that is not there is fs.ErrNotExist.
type Opener func(name string) (io.ReadCloser, error)

// unread are files of tokenizers that are not understood.
var unread = []string{"tekken.json", "spiece.model", "sentencepiece.bpe.model", "spm.model", "source.spm", "qwen.tiktoken", "bpe.codes"}

// Read reads the tokenizer of a model's folder. ErrNone says that there is
// none, a *FormatError that a file is corrupt, an *UnsupportedError that the
// tokenizer is of a kind that is not understood.
func Read(open Opener) (*Vocabulary, error) {
	v, added, err := readModel(open)
	if err != nil {
		return nil, err
	}
	set, err := readSettings(open)
	if err != nil {
		return nil, err
	}
	added = slices.Concat(added, set.added)
	w, _, err := v.with(slices.Concat(added, set.named))
	if err != nil {
		return nil, err
	}
	if w == v {
		copied := *v
		w = &copied
	}
	w.named = set.named
	w.noteRenumbered(added)
	return w, nil
}

// noteRenumbered reports added tokens whose file states another id than they
// get: tokenizers reads the field and does not use it.
func (v *Vocabulary) noteRenumbered(added []Token) {
	n, first := 0, ""
	for _, t := range added {
		if id, ok := v.ID(t.Text); ok && t.ID >= 0 && id != t.ID {
			if n++; n == 1 {
				first = fmt.Sprintf("%s is %d there and %d in use", text.QuoteWord(t.Text), t.ID, id)
			}
		}
	}
	if n > 0 {
		v.notes = append(slices.Clip(v.notes), fmt.Sprintf("%d added tokens do not have the ids that the tokenizer's files state: %s", n, first))
	}
}

// readModel reads the first of the files that hold a model's entries.
func readModel(open Opener) (*Vocabulary, []Token, error) {
	for _, file := range []struct {
		name string
		read func(string, io.Reader) (*Vocabulary, []Token, error)
	}{
		{"tokenizer.json", readTokenizerJSON},
		{"vocab.json", readVocabJSON},
		{"vocab.txt", readVocabText},
		{"tokenizer.model", readSentencePiece},
	} {
		r, err := open(file.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, readError(file.name, err)
		}
		v, added, err := file.read(file.name, r)
		r.Close()
		return v, added, err
	}
	for _, name := range unread {
		if r, err := open(name); err == nil {
			r.Close()
			return nil, nil, &UnsupportedError{File: name, Msg: "is a tokenizer of a kind that is not understood",
				Hint: "load the model once with transformers' AutoTokenizer and save it: that writes a tokenizer.json"}
		}
	}
	return nil, nil, ErrNone
}

func readTokenizerJSON(file string, r io.Reader) (*Vocabulary, []Token, error) {
	s := newStream(file, r)
	var v *Vocabulary
	var added []Token
	seen := map[string]bool{}
	err := s.object("it", func(name string) error {
		if name != "model" && name != "added_tokens" {
			return s.skip()
		}
		if seen[name] {
			return corrupt(file, "has %q twice", name)
		}
		seen[name] = true
		if name == "added_tokens" {
			return s.added(func(m member) { added = append(added, m.Token) })
		}
		return s.object("model", func(name string) error {
			if name != "vocab" {
				return s.skip()
			}
			if v != nil {
				return corrupt(file, "has %q twice", "vocab")
			}
			var err error
			v, err = s.vocabulary()
			return err
		})
	})
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.end(); err != nil {
		return nil, nil, err
	}
	if v == nil {
		return nil, nil, corrupt(file, "has no vocabulary: model.vocab is missing")
	}
	return v, added, nil
}

// vocabulary reads entries: an object token -> id (BPE, WordPiece, WordLevel), or
// an array of [piece, score] in the order of ids (Unigram).
func (s *stream) vocabulary() (*Vocabulary, error) {
	b := builder{file: s.file}
	if s.PeekKind() == '[' {
		err := s.array("vocab", func() error {
			if err := s.open('[', "a piece"); err != nil {
				return err
			}
			start := len(b.text)
			var err error
			if b.text, err = s.textInto(b.text, "a piece"); err != nil {
				return err
			}
			for s.more(']') {
				if err := s.skip(); err != nil {
					return err
				}
			}
			if _, err := s.ReadToken(); err != nil {
				return readError(s.file, err)
			}
			return b.end(start, int64(len(b.toks)))
		})
		if err != nil {
			return nil, err
		}
		return b.vocabulary(true)
	}
	if err := s.open('{', "vocab"); err != nil {
		return nil, err
	}
	for s.more('}') {
		start := len(b.text)
		var err error
		if b.text, err = s.textInto(b.text, "a token"); err != nil {
			return nil, err
		}
		id, err := s.id("an id")
		if err != nil {
			return nil, err
		}
		if err := b.end(start, id); err != nil {
			return nil, err
		}
	}
	if _, err := s.ReadToken(); err != nil {
		return nil, readError(s.file, err)
	}
	return b.vocabulary(false)
}

func readVocabJSON(file string, r io.Reader) (*Vocabulary, []Token, error) {
	s := newStream(file, r)
	v, err := s.vocabulary()
	if err != nil {
		return nil, nil, err
	}
	if _, err := s.end(); err != nil {
		return nil, nil, err
	}
	return v, nil, nil
}

// readVocabText reads BERT's vocab.txt: one token a line, ids in order.
func readVocabText(file string, r io.Reader) (*Vocabulary, []Token, error) {
	const maxLine = 1 << 20
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	b := builder{file: file}
	for lines.Scan() {
		start := len(b.text)
		b.text = append(b.text, bytes.TrimSuffix(lines.Bytes(), []byte("\r"))...)
		if err := b.end(start, int64(len(b.toks))); err != nil {
			return nil, nil, err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, nil, corrupt(file, "has a line of more than %d bytes", maxLine)
	} else if err != nil {
		return nil, nil, readError(file, err)
	}
	v, err := b.vocabulary(true)
	return v, nil, err
}
