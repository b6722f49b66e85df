package tokenizer

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// TemplateFile is the name of the file that holds a folder's chat template.
const TemplateFile = "chat_template.jinja"

const configFile = "tokenizer_config.json"

// maxTemplate bounds a chat template; long ones have 20 KB.
const maxTemplate = 1 << 20

// A template is the chat template of a folder, from whichever files define it.
type template struct {
	text    string // the one that is used, "" for none
	listed  bool   // tokenizer_config.json has one
	at, end int64  // of its value there
	size    int64  // of that file
}

// Template returns the chat template of the tokenizer in a folder, as transformers
// 5.23 finds it: TemplateFile, else chat_template of tokenizer_config.json,
// where it may be the one called default of several. It is empty if there is
// none.
func Template(open Opener) (string, error) {
	t, err := readTemplate(open)
	return t.text, err
}

func readTemplate(open Opener) (template, error) {
	var t template
	var err error
	t.size, err = readFile(open, configFile, func(s *stream) error {
		return s.object("it", func(name string) error {
			if name != "chat_template" {
				return s.skip()
			}
			raw, err := s.ReadValue()
			if err != nil {
				return readError(s.file, err)
			}
			t.listed, t.end = true, s.InputOffset()
			t.at = t.end - int64(len(raw))
			if t.text, err = defaultTemplate(raw); err != nil {
				return corrupt(s.file, "has a chat_template that can't be read, before byte %d", t.end)
			}
			return nil
		})
	})
	if err != nil {
		return t, err
	}
	r, err := open(TemplateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, readError(TemplateFile, err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxTemplate+1))
	if err == nil && len(text) > maxTemplate {
		err = corrupt(TemplateFile, "is longer than %d bytes", maxTemplate)
	}
	t.text = string(text)
	return t, readError(TemplateFile, err)
}

// defaultTemplate reads the value of chat_template: a text, texts by name, or a
// list of such.
func defaultTemplate(raw jsontext.Value) (string, error) {
	var text string
	var list []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	switch raw.Kind() {
	case '"':
		return text, json.Unmarshal(raw, &text)
	case '{':
		byName := map[string]string{}
		err := json.Unmarshal(raw, &byName)
		return byName["default"], err
	case '[':
		err := json.Unmarshal(raw, &list)
		for _, t := range list {
			if t.Name == "default" {
				text = t.Template
			}
		}
		return text, err
	}
	return "", nil
}

// SetTemplate gives the tokenizer in a folder another chat template. files are
// what Files has changed there already; those that it returns come in their
// place. The template goes into TemplateFile, and into tokenizer_config.json if
// that has one, for older releases of transformers know no other place.
func SetTemplate(open Opener, files []File, text string) ([]File, error) {
	old, err := readTemplate(open)
	if err != nil {
		return nil, err
	}
	files = append(slices.Clone(files), File{Name: TemplateFile, Size: int64(len(text)), fresh: true, edits: []edit{{text: []byte(text)}}})
	if !old.listed {
		return files, nil
	}
	i := slices.IndexFunc(files, func(f File) bool { return f.Name == configFile })
	if i < 0 {
		i, files = len(files), append(files, File{Name: configFile, Size: old.size})
	}
	e := edit{at: old.at, cut: old.end - old.at, text: quoteJSON(nil, strings.ToValidUTF8(text, "\uFFFD"))}
	f := &files[i]
	f.Size += int64(len(e.text)) - e.cut
	f.edits = append(slices.Clone(f.edits), e)
	slices.SortFunc(f.edits, func(a, b edit) int { return cmp.Compare(a.at, b.at) })
	return files, nil
}
