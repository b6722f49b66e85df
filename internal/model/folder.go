package model

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slerpmerge/mmapio"
	"slerpmerge/safetensors"
)

// A family is one way to name the weights of a folder.
type family struct{ single, index, ext string }

// families in the order in which transformers looks for them (docs/formats.md 2.4).
// Beside its index a single file is a stray: the index wins.
var families = []family{
	{"model.safetensors", "model.safetensors.index.json", ".safetensors"},
	{"pytorch_model.bin", "pytorch_model.bin.index.json", ".bin"},
}

// weights says which files of a folder hold its model, in order, and where
// an index puts each tensor (nil without one).
type weights struct {
	files  []string
	index  safetensors.Index
	stray  string // a single file beside an index
	family family
}

func findWeights(pool *mmapio.Pool, dir string) (*weights, error) {
	for _, f := range families {
		hasIndex, err := present(filepath.Join(dir, f.index))
		if err != nil {
			return nil, err
		}
		hasSingle, err := present(filepath.Join(dir, f.single))
		if err != nil {
			return nil, err
		}
		switch {
		case hasIndex:
			path := filepath.Join(dir, f.index)
			ix, err := readIndex(pool, path, f.ext)
			if err != nil {
				return nil, err
			}
			w := &weights{index: ix, family: f, files: ix.Files()}
			if hasSingle && !slices.Contains(w.files, f.single) {
				w.stray = f.single
			}
			return w, nil
		case hasSingle:
			return &weights{files: []string{f.single}, family: f}, nil
		}
	}
	return nil, noWeights(dir)
}

func readIndex(pool *mmapio.Pool, path, ext string) (safetensors.Index, error) {
	f, err := pool.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer f.Close()
	ix, err := safetensors.ReadIndex(f, f.Size(), ext)
	var fe *safetensors.FormatError
	if errors.As(err, &fe) {
		return nil, &FormatError{Path: path, Err: err}
	}
	return ix, err
}

// noWeights explains a folder without a model by what else is in it.
func noWeights(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	has := func(pattern string) string {
		for _, n := range names {
			if ok, _ := filepath.Match(pattern, n.Name()); ok {
				return n.Name()
			}
		}
		return ""
	}
	e := &UnusableError{Path: dir}
	switch {
	case has("adapter_config.json") != "" || has("adapter_model.*") != "":
		e.Msg = "is a LoRA adapter, not a whole model"
		e.Hint = "merge the adapter into its base model with peft first: merge_and_unload(), save_pretrained(FOLDER)"
	case has("*.gguf") != "":
		e.Msg = "holds only " + Quote(has("*.gguf")) + ", a GGUF file: llama.cpp's format can't be merged"
		e.Hint = kindGGUF.hint()
	case has("model-*-of-*.safetensors") != "":
		e.Msg = "has shards but no index that says which tensor is in which"
		e.Hint = "download model.safetensors.index.json too"
	case has("pytorch_model-*-of-*.bin") != "":
		e.Msg = "has shards but no index that says which tensor is in which"
		e.Hint = "download pytorch_model.bin.index.json too"
	case has("consolidated*") != "":
		e.Msg = "holds consolidated weights in the naming of the original release, not a Hugging Face model"
		e.Hint = "use the Hugging Face conversion of this model (with config.json and model.safetensors)"
	case has("*.incomplete") != "":
		e.Msg = "holds an unfinished download and no model"
	case has("tf_model.h5") != "" || has("flax_model.msgpack") != "":
		e.Msg = "holds TensorFlow or Flax weights only"
		e.Hint = "load the model in transformers with from_tf or from_flax and save it as safetensors"
	case has("*.safetensors") != "":
		e.Msg = "has no model.safetensors and no model.safetensors.index.json"
		e.Hint = "name the file itself: " + filepath.Join(dir, has("*.safetensors"))
	case has("[!t]*.bin")+has("*.pt")+has("*.pth") != "": // training_args.bin holds no weights
		name := cmp.Or(has("[!t]*.bin"), has("*.pt"), has("*.pth"))
		e.Msg = "has no pytorch_model.bin and no pytorch_model.bin.index.json"
		e.Hint = "name the file itself, if it is a checkpoint: " + filepath.Join(dir, name)
	default:
		e.Msg = "no model here: no model.safetensors or pytorch_model.bin, and no index of shards"
	}
	return e
}

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
