package model

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slerpmerge/internal/disk"
)

// tokenizerNames are the files of a tokenizer, its chat templates among them.
// They must come from one model together. Most are those that the tokenizer
// classes of transformers name in vocab_files_names.
var tokenizerNames = []string{
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"chat_template.jinja", "chat_template.json",
	"vocab.json", "vocab.txt", "merges.txt", "vocab.bpe", "encoder.json", // GPT-2's first names are the last two
	"tokenizer.model", "tokenizer.model.v*", "spiece.model", "sentencepiece.bpe.model", "sentencepiece.model", "spm.model", "spm_char.model", "ice_text.model",
	"source.spm", "target.spm", "target_vocab.json", "vocab-src.json", "vocab-tgt.json",
	"tekken.json", "tiktoken.model", "*.tiktoken", "bpe.codes", "dict.txt", "entity_vocab.json", "prophetnet.tokenizer",
	"emoji.json", "byte_maps.json", "word_shape.json", "word_pronunciation.json", "normalizer.json",
}

// settingNames are the files beside config.json that say how a model is used.
var settingNames = []string{
	"generation_config.json",
	"preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json", "image_processor_config.json", "audio_tokenizer_config.json",
	// sentence-transformers; what is in the folders of its modules is not
	// listed here.
	"modules.json", "config_sentence_transformers.json", "sentence_*_config.json", "router_config.json",
}

var licenceNames = []string{"LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*", "COPYING*"}

// templateFolder holds the chat templates that are not the default one.
const templateFolder = "additional_chat_templates"

// Companions returns the names of the files, relative to the model's folder and
// sorted, that go into an output with the weights. tokenizer tells which half is
// meant: the tokenizer and its chat templates, or the rest.
func (m *Model) Companions(tokenizer bool) []string {
	if m.Dir == "" {
		return nil
	}
	if !tokenizer {
		names := m.match("", settingNames)
		if m.Home != "" {
			names = append(names, m.match(m.Home, settingNames)...)
		}
		names = append(names, m.ModuleFiles()...)
		slices.Sort(names)
		return names
	}
	names := m.match(m.Home, tokenizerNames)
	if m.Home != "" {
		return names
	}
	for _, name := range m.listing {
		if ok, _ := filepath.Match(templateFolder+"/*.jinja", name); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Licences returns the names of the folder's licence files.
func (m *Model) Licences() []string {
	if m.Dir == "" {
		return nil
	}
	names := m.entries("", func(name string) bool { return matchAny(licenceNames, strings.ToUpper(name)) })
	return slices.DeleteFunc(names, func(name string) bool {
		_, err := m.CompanionSize(name) // a folder LICENSES is none
		return errors.As(err, new(*FormatError))
	})
}

func (m *Model) match(folder string, patterns []string) []string {
	return m.entries(folder, func(name string) bool { return matchAny(patterns, name) })
}

// entries returns the names in a folder of the model that are wanted, sorted.
func (m *Model) entries(folder string, want func(string) bool) []string {
	var names []string
	for _, name := range m.listing {
		dir, base := path.Split(name)
		if strings.TrimSuffix(dir, "/") == folder && want(base) {
			names = append(names, name)
		}
	}
	return names
}

// list remembers the names in the folder except those of weights, and those in
// the folders of modules and of chat templates. A folder that can't be listed is
// not one that has nothing.
func (m *Model) list(names, weights []string) error {
	isWeights := make(map[string]bool, len(weights))
	for _, name := range weights {
		isWeights[name] = true
	}
	m.listing = nil
	for _, name := range names {
		if !isWeights[name] {
			m.listing = append(m.listing, name)
		}
	}
	folders := append(slices.Clone(m.Modules), templateFolder)
	if m.Home != "" && !slices.Contains(folders, m.Home) {
		folders = append(folders, m.Home)
	}
	for _, folder := range folders {
		if err := m.listBelow(folder); err != nil {
			return err
		}
	}
	return nil
}

// listBelow adds the names in one folder of the model, of chat templates or of
// a module.
func (m *Model) listBelow(folder string) error {
	dir := filepath.Join(m.Dir, folder)
	st, err := m.files.stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.IsDir() {
		return nil
	}
	if err != nil {
		return fileError(dir, err)
	}
	entries, err := m.files.readDir(dir)
	if err != nil {
		return fileError(dir, err)
	}
	for _, e := range entries {
		if folder != templateFolder {
			m.listing = append(m.listing, folder+"/"+e.Name())
			continue
		}
		switch st, err := m.files.stat(filepath.Join(dir, e.Name())); {
		case err == nil && st.Mode().IsRegular():
			m.listing = append(m.listing, folder+"/"+e.Name())
		case err != nil && !errors.Is(err, fs.ErrNotExist): // a link to nothing is not a template
			return fileError(filepath.Join(dir, e.Name()), err)
		}
	}
	return nil
}

// ownNames are files that this program writes itself in every output, and
// systemNames those that belong to nobody's model.
var (
	ownNames    = []string{"config.json", "README.md", "slerpmerge.json", "slerpmerge.parent.json", "SHA256SUMS"}
	systemNames = []string{"Thumbs.db", "desktop.ini", "__MACOSX", "__pycache__", "lost+found", "CACHEDIR.TAG", "*~", "*.lock", "*.incomplete"}
)

// Others returns the names in the folder, relative to it and sorted, that are
// neither the weights that are read, nor companions of any model, nor taken: no
// output has them. Folders end in a slash. Hidden names are left out.
func (m *Model) Others(taken func(name string) bool) []string {
	if m.Dir == "" {
		return nil
	}
	weights := make(map[string]bool, len(m.Files)+1)
	for _, f := range m.Files {
		weights[f.Name] = true
	}
	return m.others("", func(name string) bool { return weights[name] || taken(name) })
}

func (m *Model) others(folder string, taken func(name string) bool) []string {
	own := folder == "" || folder == m.Home
	var names []string
	for _, name := range m.entries(folder, func(string) bool { return true }) {
		base := path.Base(name)
		if strings.HasPrefix(base, ".") || matchAny(systemNames, base) || taken(name) {
			continue
		}
		if n, ok := parseWeightName(base); ok && n.index {
			continue // the output has its own
		}
		if own && (base == templateFolder && m.Home == "" || matchAny(tokenizerNames, base) || matchAny(settingNames, base) || matchAny(ownNames, base)) {
			continue
		}
		if st, err := os.Stat(filepath.Join(m.Dir, folder, base)); err != nil || !st.IsDir() {
			names = append(names, name)
			continue
		}
		if folder == "" && (slices.Contains(m.Modules, base)) {
			names = append(names, m.others(base, taken)...)
		} else {
			names = append(names, name+"/")
		}
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
	return disk.OpenRegular(m.inDir(name))
}

// inDir returns the path of a file of the model. One without a folder is looked for
// beside the weights first.
func (m *Model) inDir(name string) string {
	if m.Home != "" && !strings.Contains(name, "/") {
		if there, err := present(filepath.Join(m.Dir, m.Home, name)); there || err != nil {
			return filepath.Join(m.Dir, m.Home, name)
		}
	}
	return filepath.Join(m.Dir, filepath.FromSlash(name))
}

// CompanionSize returns the length of one file of the folder. If it is there but not
// a regular file (a link whose download is missing, a FIFO), the error is a
// *FormatError.
func (m *Model) CompanionSize(name string) (int64, error) {
	if m.Dir == "" { // a weight file alone
		return 0, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	path := m.inDir(name)
	st, err := m.files.stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		there, lerr := present(path)
		switch {
		case lerr != nil:
			return 0, lerr
		case there:
			return 0, &FormatError{Path: path, Err: disk.Bare(err), Hint: m.downloadHint()}
		}
	}
	if err != nil {
		return 0, err
	}
	if !st.Mode().IsRegular() {
		return 0, &FormatError{Path: path, Msg: "is not a regular file"}
	}
	return st.Size(), nil
}
