package tokenizer

import (
	"fmt"
	"io"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"slerpmerge/internal/text"
)

// maxValue bounds a single string of a JSON file, which must be held whole. The
// largest that were seen are precompiled_charsmap of T5 and XLM-R, 0.4 MB.
const maxValue = 8 << 20

// A stream reads a JSON file token by token. Only the value at hand is held.
type stream struct {
	*jsontext.Decoder
	file  string
	r     io.Reader
	read  int64
	begun int64 // where the content of the object or array begins that was opened last
}

func newStream(file string, r io.Reader) *stream {
	s := &stream{file: file, r: r}
	// Names are not checked for duplicates by the decoder, which would have to
	// hold them: the builder does it.
	s.Decoder = jsontext.NewDecoder(s, jsontext.AllowDuplicateNames(true))
	return s
}

// Read returns the decoder's source.
func (s *stream) Read(p []byte) (int, error) {
	if held := s.read - s.InputOffset(); held > maxValue {
		return 0, corrupt(s.file, "holds a value of more than %d MiB at byte %d", maxValue>>20, s.InputOffset())
	}
	n, err := s.r.Read(p)
	s.read += int64(n)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}

// end makes sure that nothing follows, and gives the length of the file.
func (s *stream) end() (int64, error) {
	if _, err := s.ReadToken(); err != io.EOF {
		if err == nil {
			err = corrupt(s.file, "has data after its JSON object, at byte %d", s.InputOffset())
		}
		return 0, readError(s.file, err)
	}
	return s.read, nil
}

// open steps into an object or array.
func (s *stream) open(kind jsontext.Kind, what string) error {
	if got := s.PeekKind(); got != kind && got != 0 {
		shape := map[jsontext.Kind]string{'{': "an object", '[': "an array"}[kind]
		return corrupt(s.file, "is not as expected: %s is not %s, at byte %d", what, shape, s.InputOffset())
	}
	_, err := s.ReadToken()
	s.begun = s.InputOffset()
	return readError(s.file, err)
}

// object reads an object: each is called for every member, before its value.
func (s *stream) object(what string, each func(name string) error) error {
	if err := s.open('{', what); err != nil {
		return err
	}
	for s.more('}') {
		name, err := s.ReadToken()
		if err != nil {
			return readError(s.file, err)
		}
		if err := each(name.String()); err != nil {
			return err
		}
	}
	_, err := s.ReadToken()
	return readError(s.file, err)
}

// array reads an array: each is called before every element.
func (s *stream) array(what string, each func() error) error {
	if err := s.open('[', what); err != nil {
		return err
	}
	for s.more(']') {
		if err := each(); err != nil {
			return err
		}
	}
	_, err := s.ReadToken()
	return readError(s.file, err)
}

func (s *stream) more(end jsontext.Kind) bool {
	kind := s.PeekKind()
	return kind != end && kind != 0
}

func (s *stream) skip() error { return readError(s.file, s.SkipValue()) }

// textInto appends the string at hand to dst.
func (s *stream) textInto(dst []byte, what string) ([]byte, error) {
	if kind := s.PeekKind(); kind != '"' && kind != 0 {
		return nil, corrupt(s.file, "is not as expected: %s is not text, at byte %d", what, s.InputOffset())
	}
	raw, err := s.ReadValue()
	if err != nil {
		return nil, readError(s.file, err)
	}
	dst, err = jsontext.AppendUnquote(dst, raw)
	return dst, readError(s.file, err)
}

// id reads the integer at hand.
func (s *stream) id(what string) (int64, error) {
	raw, err := s.ReadValue()
	if err != nil {
		return 0, readError(s.file, err)
	}
	id, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return 0, corrupt(s.file, "is not as expected: %s is not an integer, at byte %d", what, s.InputOffset())
	}
	return id, nil
}

// A member is an added token as a file has it, and where in the file it ends.
type member struct {
	Token
	end int64
}

// entry is the form of an added token in tokenizer.json and, without the id, in
// tokenizer_config.json. Flags that are missing are false; normalized is true
// unless the token is special, as in the library.
type entry struct {
	ID         *int64  `json:"id"`
	Content    *string `json:"content"`
	Special    bool    `json:"special"`
	Normalized *bool   `json:"normalized"`
	LStrip     bool    `json:"lstrip"`
	RStrip     bool    `json:"rstrip"`
	SingleWord bool    `json:"single_word"`
}

// token reads an added token: an entry, or plain text.
func (s *stream) token(special bool) (Token, bool, error) {
	raw, err := s.ReadValue()
	if err != nil {
		return Token{}, false, readError(s.file, err)
	}
	e := entry{Special: special}
	switch raw.Kind() {
	case '"':
		e.Content = new(string)
		err = json.Unmarshal(raw, e.Content)
	case '{':
		err = json.Unmarshal(raw, &e, jsontext.AllowDuplicateNames(true))
	default:
		return Token{}, false, nil
	}
	if err != nil || e.Content == nil {
		return Token{}, false, corrupt(s.file, "has an added token that can't be read, before byte %d", s.InputOffset())
	}
	t := Token{Text: *e.Content, ID: -1, Special: e.Special, Normalized: !e.Special, LStrip: e.LStrip, RStrip: e.RStrip, SingleWord: e.SingleWord}
	if e.Normalized != nil {
		t.Normalized = *e.Normalized
	}
	if e.ID != nil {
		t.ID = int(*e.ID)
	}
	return t, true, nil
}

// added reads the array added_tokens of tokenizer.json.
func (s *stream) added(each func(member)) error {
	n := 0
	return s.array("added_tokens", func() error {
		if n++; n > maxAdded {
			return corrupt(s.file, "has more than %d added tokens", maxAdded)
		}
		t, ok, err := s.token(false)
		if err != nil {
			return err
		}
		if !ok || t.ID < 0 {
			return corrupt(s.file, "has an added token without content or id, before byte %d", s.InputOffset())
		}
		each(member{Token: t, end: s.InputOffset()})
		return nil
	})
}

// keyed reads an object whose members are added tokens: added_tokens_decoder of
// tokenizer_config.json, by id, or the whole of added_tokens.json, by token.
func (s *stream) keyed(what string, byID bool, each func(member)) error {
	n := 0
	return s.object(what, func(name string) error {
		if n++; n > maxAdded {
			return corrupt(s.file, "has more than %d added tokens", maxAdded)
		}
		if !byID {
			id, err := s.id(fmt.Sprintf("the id of %s", text.QuoteWord(name)))
			if err != nil {
				return err
			}
			each(member{Token: Token{Text: name, ID: int(id), Normalized: true}, end: s.InputOffset()})
			return nil
		}
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return corrupt(s.file, "is not as expected: %s in %s is not an id, before byte %d", text.QuoteWord(name), what, s.InputOffset())
		}
		t, ok, err := s.token(false)
		if err != nil {
			return err
		}
		if !ok {
			return corrupt(s.file, "has an added token without content, before byte %d", s.InputOffset())
		}
		t.ID = int(id)
		each(member{Token: t, end: s.InputOffset()})
		return nil
	})
}
