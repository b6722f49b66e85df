package tokenizer

import (
	"bytes"
	"io"
)

// A File is a tokenizer file of the output that differs from the one of the
// model whose tokenizer it is. All others are copied as they are.
type File struct {
	Name string
	Size int64

	fresh bool // the model has no such file
	edits []edit
}

// An edit replaces cut bytes of a file from an offset on.
type edit struct {
	at, cut int64
	text    []byte
}

// Files returns the files that must change so that the tokenizer in the folder that
// open reads, the one of Config.Source, has the output's tokens: the lists of
// added tokens in tokenizer.json, tokenizer_config.json and added_tokens.json,
// as far as they are there. Nothing else in them is touched. There are none
// where no token is added: then all of the folder's are copied byte for byte.
func (o *Output) Files(open Opener) ([]File, error) {
	if len(o.Added) == 0 {
		return nil, nil
	}
	var files []File
	listed := false
	for _, l := range []*list{
		{file: "tokenizer.json", member: "added_tokens", form: entries},
		{file: "tokenizer_config.json", member: "added_tokens_decoder", form: entriesByID},
		{file: "added_tokens.json", form: idsByToken},
	} {
		size, err := l.scan(open)
		if err != nil {
			return nil, err
		}
		if !l.found {
			continue
		}
		listed = true
		edits, err := o.edits(open, l)
		if err != nil {
			return nil, err
		}
		for _, e := range edits {
			size += int64(len(e.text)) - e.cut
		}
		if len(edits) > 0 {
			files = append(files, File{Name: l.file, Size: size, edits: edits})
		}
	}
	if !listed {
		l := &list{file: "added_tokens.json", form: idsByToken}
		text := append([]byte{'{'}, l.render(o.missing(l), style{sep: "\n  ", colon: ": "}, false)...)
		text = append(text, "\n}\n"...)
		files = append(files, File{Name: l.file, Size: int64(len(text)), fresh: true, edits: []edit{{text: text}}})
	}
	return files, nil
}

// missing returns the tokens that a list must gain. Entries of the model proper
// belong into it only if this merge makes them added tokens.
func (o *Output) missing(l *list) []Token {
	fresh := map[string]bool{}
	for _, t := range o.Added {
		fresh[t.Text] = true
	}
	kept := map[string]bool{}
	for _, m := range l.members {
		kept[m.Text] = kept[m.Text] || o.keeps(m)
	}
	var missing []Token
	for _, t := range o.Vocabulary.added {
		if kept[t.Text] || t.proper && (!fresh[t.Text] || l.form == idsByToken) {
			continue
		}
		missing = append(missing, t)
	}
	return missing
}

// keeps reports whether the output's tokenizer has a listed token as it is.
func (o *Output) keeps(m member) bool {
	id, ok := o.Vocabulary.ID(m.Text)
	return ok && id == m.ID
}

// edits takes the members out of a list that the output does not have, and puts
// the missing ones behind the others.
func (o *Output) edits(open Opener, l *list) ([]edit, error) {
	var edits []edit
	end, some := l.begun, false // of the last member that stays
	for i := 0; i < len(l.members); i++ {
		if o.keeps(l.members[i]) {
			end, some = l.members[i].end, true
			continue
		}
		for i+1 < len(l.members) && !o.keeps(l.members[i+1]) {
			i++
		}
		cut := l.members[i].end - end
		if !some && i+1 < len(l.members) { // the comma before the first that stays
			gap, err := l.sample(open, l.members[i].end, l.members[i+1].end)
			if err != nil {
				return nil, err
			}
			cut += int64(bytes.IndexByte(gap, ',')) + 1
		}
		edits = append(edits, edit{at: end, cut: cut})
	}
	missing := o.missing(l)
	if len(missing) == 0 {
		return edits, nil
	}
	s := style{}
	if len(l.members) > 0 {
		first, err := l.sample(open, l.begun, l.members[0].end)
		if err != nil {
			return nil, err
		}
		s = styleOf(first)
	}
	text := l.render(missing, s, some)
	if l.absent {
		text = append(append([]byte(`"added_tokens":[`), text...), "],"...)
	}
	if n := len(edits); n > 0 && edits[n-1].at == end {
		edits[n-1].text = text
		return edits, nil
	}
	return append(edits, edit{at: end, text: text}), nil
}

// Open gives the file's content; open reads the folder that Files read.
func (f *File) Open(open Opener) (io.ReadCloser, error) {
	s := &splice{file: f.Name, edits: f.edits}
	if !f.fresh {
		r, err := open(f.Name)
		if err != nil {
			return nil, readError(f.Name, err)
		}
		s.r = r
	}
	return s, nil
}

// A splice reads a file as its edits make it.
type splice struct {
	file  string
	r     io.ReadCloser // nil: nothing
	at    int64
	edits []edit
	text  []byte // of the last edit, what is not yet read
}

func (s *splice) Read(p []byte) (int, error) {
	for len(s.text) == 0 && len(s.edits) > 0 && s.edits[0].at == s.at {
		e := s.edits[0]
		s.edits, s.text = s.edits[1:], e.text
		if s.r == nil {
			continue
		}
		n, err := io.CopyN(io.Discard, s.r, e.cut)
		s.at += n
		if err != nil {
			return 0, readError(s.file, err)
		}
	}
	if len(s.text) > 0 {
		n := copy(p, s.text)
		s.text = s.text[n:]
		return n, nil
	}
	if s.r == nil {
		return 0, io.EOF
	}
	if len(s.edits) > 0 {
		p = p[:min(int64(len(p)), s.edits[0].at-s.at)]
	}
	n, err := s.r.Read(p)
	s.at += int64(n)
	if err == io.EOF && len(s.edits) > 0 {
		err = corrupt(s.file, "was cut short since it was read first")
	}
	return n, err
}

func (s *splice) Close() error {
	if s.r == nil {
		return nil
	}
	return s.r.Close()
}
