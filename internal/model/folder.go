package model

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// present reports whether a name stands in a folder, be it a dangling link:
// what is there but can't be read must not be passed over.
func present(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// readSmall reads a whole regular file of at most max bytes. Anything else (a
// FIFO would never end) is an error.
func readSmall(path string, max int64) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, bare(err)
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	if st.Size() > max {
		return nil, fmt.Errorf("%d bytes long, the limit is %d", st.Size(), max)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, bare(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, bare(err)
	}
	if int64(len(b)) > max {
		return nil, fmt.Errorf("longer than the limit of %d bytes", max)
	}
	return b, nil
}

// bare takes the path out of an error whose message will be put behind it.
func bare(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// companionKeep lists the files that make a folder of weights a model that can be
// used: tokenizer, chat template, generation and processor settings
// (docs/formats.md 4.1). All are copied byte for byte.
var companionKeep = []string{
	"generation_config.json",
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model",
	"spm.model", "source.spm", "target.spm", "tekken.json", "bpe.codes", "entity_vocab.json", "*.tiktoken",
	"chat_template.jinja", "chat_template.json",
	"preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "audio_tokenizer_config.json",
}

// tokenizerKeep are those of companionKeep that belong to the tokenizer and
// must come from one model together.
var tokenizerKeep = companionKeep[1:20]

var licenceKeep = []string{"LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*", "COPYING*"}

// Companions are the names of the folder's files, relative to it, that go along with
// the weights, sorted. tokenizer tells which half is meant: the tokenizer and its
// chat templates, or the rest.
func (m *Model) Companions(tokenizer bool) []string {
	if m.Dir == "" {
		return nil
	}
	names := m.match(companionKeep, func(name string) bool { return matchAny(tokenizerKeep, name) == tokenizer })
	if tokenizer {
		more, _ := filepath.Glob(filepath.Join(escapeGlob(m.Dir), "additional_chat_templates", "*.jinja"))
		for _, p := range more {
			if st, err := os.Stat(p); err != nil || !st.Mode().IsRegular() {
				continue
			}
			names = append(names, "additional_chat_templates/"+filepath.Base(p))
		}
	}
	slices.Sort(names)
	return names
}

// Licences are the names of the folder's licence files.
func (m *Model) Licences() []string {
	if m.Dir == "" {
		return nil
	}
	return slices.DeleteFunc(m.match([]string{"*"}, func(name string) bool { return matchAny(licenceKeep, strings.ToUpper(name)) }), func(name string) bool {
		_, err := m.CompanionSize(name) // a folder LICENSES is none
		return err != nil
	})
}

func (m *Model) match(patterns []string, keep func(string) bool) []string {
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if !matchAny(patterns, name) || !keep(name) {
			continue
		}
		names = append(names, name)
	}
	return names
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := filepath.Match(p, name)
		return ok
	})
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// OpenCompanion opens one file of the folder. The caller streams it: some
// tokenizers are as large as the whole memory budget.
func (m *Model) OpenCompanion(name string) (io.ReadCloser, error) {
	if _, err := m.CompanionSize(name); err != nil {
		return nil, err
	}
	return os.Open(filepath.Join(m.Dir, filepath.FromSlash(name)))
}

// CompanionSize is the length of one file of the folder. What is there but is
// no regular file (a link whose download is missing, a FIFO) is a *FormatError.
func (m *Model) CompanionSize(name string) (int64, error) {
	if m.Dir == "" { // a weight file alone
		return 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	path := filepath.Join(m.Dir, filepath.FromSlash(name))
	st, err := os.Stat(path)
	if err != nil {
		if there, _ := present(path); there {
			return 0, &FormatError{Path: path, Err: bare(err), Hint: m.downloadHint()}
		}
		return 0, err
	}
	if !st.Mode().IsRegular() {
		return 0, &FormatError{Path: path, Msg: "is not a regular file"}
	}
	return st.Size(), nil
}
