package tokenizer

import (
	"bytes"
	"io"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// A form is the form in which a file lists added tokens.
type form int

const (
	entries     form = iota // an array of objects with id
	entriesByID             // an object, id -> object
	idsByToken              // an object, token -> id
)

// A list is the place where a file lists added tokens.
type list struct {
	file   string
	member string // of the file's object; empty: that object itself
	form   form

	found   bool
	absent  bool  // tokenizer.json without the member: begun is where it can be put
	begun   int64 // where the content of the array or object begins
	members []member
}

// scan finds the list in the folder's file, and gives that file's length.
func (l *list) scan(open Opener) (int64, error) {
	collect := func(m member) { l.members = append(l.members, m) }
	size, err := readFile(open, l.file, func(s *stream) error {
		if l.form == idsByToken {
			err := s.keyed("it", false, collect)
			l.found, l.begun = true, s.begun
			return err
		}
		top := int64(-1)
		err := s.object("it", func(name string) error {
			if top < 0 {
				top = s.begun
			}
			if name != l.member {
				return s.skip()
			}
			var err error
			if l.form == entries {
				err = s.added(collect)
			} else {
				err = s.keyed(name, true, collect)
			}
			l.found, l.begun = true, s.begun
			return err
		})
		if !l.found && l.form == entries && top >= 0 {
			l.found, l.absent, l.begun = true, true, top
		}
		return err
	})
	if size < 0 {
		l.found = false
	}
	return size, err
}

// maxSample bounds what is read to see how a file is written.
const maxSample = 64 << 10

// sample reads a small part of the file again.
func (l *list) sample(open Opener, from, to int64) ([]byte, error) {
	r, err := open(l.file)
	if err != nil {
		return nil, readError(l.file, err)
	}
	defer r.Close()
	if _, err := io.CopyN(io.Discard, r, from); err != nil {
		return nil, readError(l.file, err)
	}
	part := make([]byte, min(to-from, maxSample))
	_, err = io.ReadFull(r, part)
	return part, readError(l.file, err)
}

// A style is the white space that a list is written with.
type style struct {
	sep   string // before a member
	inner string // before a field of an entry
	tail  string // after its last field
	colon string
}

const space = " \t\r\n"

// styleOf sees the style of a list's first member.
func styleOf(first []byte) style {
	s := style{colon: ":"}
	body := bytes.TrimLeft(first, space)
	s.sep = string(first[:len(first)-len(body)])
	if i := bytes.Index(body, []byte(`":`)); i >= 0 && bytes.HasPrefix(body[i+2:], []byte(" ")) {
		s.colon = ": "
	}
	if i := bytes.IndexByte(body, '{'); i >= 0 && bytes.HasSuffix(body, []byte("}")) {
		fields := body[i+1 : len(body)-1]
		s.inner = string(fields[:len(fields)-len(bytes.TrimLeft(fields, space))])
		s.tail = string(fields[len(bytes.TrimRight(fields, space)):])
	}
	return s
}

// render writes members in a style. more says that others stand before them.
func (l *list) render(tokens []Token, s style, more bool) []byte {
	if s.colon == "" {
		s.colon = ":"
	}
	gap := func(before string) string {
		if before == "" && s.colon == ": " {
			return ", "
		}
		return "," + before
	}
	var out []byte
	for _, t := range tokens {
		if more {
			out = append(out, gap(s.sep)...)
		} else {
			out = append(out, s.sep...)
		}
		more = true
		if l.form == idsByToken {
			out = append(append(quoteJSON(out, t.Text), s.colon...), strconv.Itoa(t.ID)...)
			continue
		}
		flags := []field{{"single_word", t.SingleWord}, {"lstrip", t.LStrip}, {"rstrip", t.RStrip}, {"normalized", t.Normalized}, {"special", t.Special}}
		lead := ""
		if l.form == entries {
			lead = `"id"` + s.colon + strconv.Itoa(t.ID) + gap(s.inner)
		} else {
			out = append(quoteJSON(out, strconv.Itoa(t.ID)), s.colon...)
			flags = []field{flags[1], flags[3], flags[2], flags[0], flags[4]} // as transformers sorts them
		}
		out = append(append(append(out, '{'), s.inner...), lead...)
		out = quoteJSON(append(append(out, `"content"`...), s.colon...), t.Text)
		for _, f := range flags {
			out = append(out, gap(s.inner)...)
			out = append(quoteJSON(out, f.name), s.colon...)
			out = strconv.AppendBool(out, f.value)
		}
		out = append(append(out, s.tail...), '}')
	}
	return out
}

type field struct {
	name  string
	value bool
}

// quoteJSON appends text as a JSON string. All text here has been read as
// valid UTF-8, or is a recipe's: what is not valid is replaced.
func quoteJSON(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}
