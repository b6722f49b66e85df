// Package model knows model folders: which files hold the weights, the table
// of tensors in them, config.json, the tokenizer's and other files that make
// the weights usable. A Model gives every tensor as a tensor.Source, so that
// nothing above this package knows what format a parent is stored in.
package model

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
)

// A Model is an opened model: its headers are read and checked, its weights
// untouched.
type Model struct {
	Path   string  // as the user gave it
	Label  string  // what Name says, where the path's last part won't do
	Dir    string  // the folder, "" for a single weight file
	Format string  // "safetensors", "torch-zip" or "torch-legacy", of the first file
	Entry  string  // the entry of PyTorch checkpoints that was asked for, "" for none
	Config *Config // nil when there is no config.json
	Files  []File  // the weight files, in the order of the tensors
	// Tensors is the table, in file order: by shard, then by offset.
	Tensors  []Tensor
	Metadata map[string]string // of the only or first file
	Notes    []string          // what a user should know, such as a stray file
	Unread   []string          // the weight files beside them that are not read

	listing []string // what the folder has beside weights, and what is in its modules and chat templates

	// Modules are the folders of a sentence-transformers model, relative to Dir,
	// and Home the one of them that holds the transformer itself, its config.json and
	// tokenizer; "" where Dir does. OwnModules are types of modules that need code
	// which is not the library's.
	Modules    []string
	Home       string
	OwnModules []string
	weighed    []string // those that must have weights
	// Stem is the stem of the weight files' names if another library gave them,
	// such as diffusion_pytorch_model; else "".
	Stem string

	files    files
	memory   int64 // for unpickling one file, 0 for no limit
	gatherer *torchbin.Gatherer
	place    string       // where it was found
	repo     string       // its name on the Hub, where Path is one, or the cache's folder
	revision string       // that was asked for, "" for main
	byName   []int32      // indexes of Tensors sorted by name, made by the first Lookup
	stored   []string     // names of Tensors in their files, where they are called otherwise
	arena    tensor.Arena // has the names and shapes of Tensors
	expected int          // tensors by the index, 0 without one
	admit    Admit        // nil admits all
	tooLarge Count        // of a config.json that admit has refused

	storages  []int32            // of tensors the first one that is the same in its file; those beyond its end share nothing
	dropped   []droppedName      // what metadata say of names that are not stored, until aliases has looked at it
	lent      []Alias            // what Aliases gives
	tiedParts map[string]bool    // what config.json says of parts, by the prefix of their names
	hybrid    map[string][][]int // the layers of each attention block that several use, by the prefix of their names
	params    *Parameters

	head, embedding int // what ends found
	endsKnown       bool
	settled         int // how far params are sure
}

// A Tensor is one entry of the table. Offset counts from the start of the
// file.
type Tensor struct {
	tensor.Info
	File   int // index into Model.Files
	Offset int64
}

// Open reads the headers of a model folder or of a single weight file and
// checks them. A path where nothing is may be a name of the Hugging Face Hub,
// which is looked for in the local cache. All files are opened through the pool and stay open until
// Close.
//
// A defect in the content of a file is a *FormatError; a path with nothing in
// it that could be a model is an *UnusableError.
func Open(pool *mmapio.Pool, path string) (*Model, error) { return OpenWith(pool, path, Options{}) }

// Options say how a model is to be opened.
type Options struct {
	// Entry is the one that is meant of several models in a PyTorch checkpoint,
	// as torchbin.Options has it. Other formats have no entries.
	Entry string

	// Memory is the most bytes that unpickling one file may take, 0 for no
	// limit but that of the format.
	Memory int64

	// Gatherer reads strided tensors. Models of one run share one; nil means one
	// for the model.
	Gatherer *torchbin.Gatherer

	// Admit may refuse the model before its tables are built; nil admits all.
	Admit Admit

	files files
}

// OpenWith is Open with options. Too little memory is a *MemoryError.
func OpenWith(pool *mmapio.Pool, path string, opt Options) (*Model, error) {
	m := &Model{Path: path, place: path, Entry: opt.Entry, memory: opt.Memory, gatherer: opt.Gatherer, admit: opt.Admit, files: opt.files}
	if m.gatherer == nil {
		m.gatherer = torchbin.NewGatherer()
	}
	st, err := m.find()
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		m.Dir = m.place
		err = m.openFolder(pool, "")
	} else {
		err = m.openNamed(pool, m.place)
	}
	if err == nil {
		err = m.checkValues()
	}
	if err == nil {
		return m, nil
	}
	var fe *FormatError
	if errors.As(err, &fe) && fe.Hint == "" && m.Dir != "" && errors.Is(err, fs.ErrNotExist) { // a link to nothing
		fe.Hint = m.downloadHint()
	}
	m.Close()
	return nil, err
}

// openNamed opens the model that a file stands for. An index stands for all of
// its shards, and so does each of them: a part is not a model.
func (m *Model) openNamed(pool *mmapio.Pool, path string) error {
	dir, file := filepath.Split(path)
	dir = filepath.Clean(dir)
	n, ok := parseWeightName(file)
	if ok && n.index {
		m.Dir = dir
		return m.openFolder(pool, file)
	}
	if err := m.admitIndexes(pool, dir); err != nil {
		return err
	}
	s, err := m.newWeightFolder(pool, dir, "")
	if errors.Is(err, fs.ErrPermission) && !n.shard {
		// A file without a config.json is read alone, so what else is in the
		// folder does not matter.
		there, perr := present(filepath.Join(dir, "config.json"))
		if !there && perr == nil {
			if err := m.admission(pool, []string{path}); err != nil {
				return err
			}
			return m.openFile(pool, path, file)
		}
	}
	if err != nil {
		return fileError(dir, err)
	}
	index, err := s.listing(file)
	switch {
	case err != nil:
		return err
	case index != "":
		m.Dir = dir
		m.Notes = append(m.Notes, fmt.Sprintf("%s is one file of %s: the whole model is read", path, index))
		return m.openFolder(pool, index)
	case s.part(file):
		return &UnusableError{Path: path, Msg: "is one part of a model, and no index beside it lists it",
			Hint: "download the index and the other parts too, and name their folder"}
	case s.has("config.json"): // the rest of the model lies beside the weights
		m.Dir = dir
		if err := m.openFolder(pool, file); err != nil {
			return err
		}
		return m.numbered(pool, s, file)
	}
	if err := m.admission(pool, []string{path}); err != nil {
		return err
	}
	if err := m.openFile(pool, path, file); err != nil {
		return err
	}
	return m.numbered(pool, s, file)
}

// openFolder opens the model of the folder m.Dir. The name of a weight file or
// of an index says which, "" leaves it to the folder.
func (m *Model) openFolder(pool *mmapio.Pool, name string) error {
	if err := m.admitIndexes(pool, m.Dir); err != nil {
		return err
	}
	s, err := m.newWeightFolder(pool, m.Dir, "")
	if err != nil {
		return fileError(m.Dir, err)
	}
	if err := m.findModules(); err != nil {
		return err
	}
	badConfig, top := m.readConfig(), s.names
	w, err := m.weights(s, name)
	var none *UnusableError
	if errors.As(err, &none) && name == "" {
		s, w, badConfig, err = m.findHome(pool, s, badConfig, err)
	}
	if errors.As(err, &none) {
		if text := m.unfinished(); text != "" {
			return &UnusableError{Path: m.Path, Msg: "has no weights yet" + text, Hint: m.downloadHint()}
		}
	}
	if err != nil {
		return err
	}
	if err := m.complete(s, w); err != nil {
		return err
	}
	paths := make([]string, len(w.files))
	for i, name := range w.files {
		paths[i] = filepath.Join(m.Dir, filepath.FromSlash(m.Home), name)
	}
	if badConfig != nil {
		if m.tooLarge.Config > 0 { // with the tensors the least is more
			return cmp.Or(m.admission(pool, paths), badConfig)
		}
		return badConfig
	}
	m.noteLeft(s, w)
	weights := w.files
	if m.Home != "" { // those are in another folder
		weights = nil
	}
	if err := m.list(top, weights); err != nil {
		return err
	}
	if m.Config == nil || len(m.Companions(true)) == 0 {
		if text := m.unfinished(); text != "" {
			m.Notes = append(m.Notes, m.Path+": config.json or the tokenizer is missing"+text)
		}
	}
	m.expected = len(w.index)
	if err := m.admission(pool, paths); err != nil {
		return err
	}
	for _, name := range w.files {
		if err := m.openWeights(pool, path.Join(m.Home, name)); err != nil {
			return err
		}
	}
	if w.index != nil {
		if err := m.agree(w, m.Home, 0); err != nil {
			return err
		}
	}
	if n, _ := parseWeightName(path.Base(w.name)); n.stem == diffusersStem {
		m.Stem = n.stem
	}
	return m.openModules(pool)
}

// findHome looks for the weights in the folders of the modules, the first of
// which is the transformer. Without any, the earlier finding holds.
func (m *Model) findHome(pool *mmapio.Pool, top *weightFolder, badConfig, none error) (*weightFolder, *weights, error, error) {
	for _, folder := range m.Modules {
		s, err := m.newWeightFolder(pool, m.Dir, folder)
		if err != nil {
			return nil, nil, nil, fileError(filepath.Join(m.Dir, folder), err)
		}
		w, err := s.find(nil)
		if err != nil {
			continue
		}
		m.Home = folder
		m.Config = nil
		badConfig = m.readConfig()
		return s, w, badConfig, nil
	}
	return top, nil, badConfig, none
}

// weights finds the weight files of the folder.
func (m *Model) weights(s *weightFolder, name string) (*weights, error) {
	if n, ok := parseWeightName(name); ok && n.index {
		return s.named(name)
	}
	if name != "" {
		return &weights{files: []string{name}, name: name, named: true}, nil
	}
	return s.find(m.Config)
}

// noteLeft says which files that look like weights are not read.
func (m *Model) noteLeft(s *weightFolder, w *weights) {
	note := func(format string, args ...any) { m.Notes = append(m.Notes, s.dir+": "+fmt.Sprintf(format, args...)) }
	if w.stale != "" {
		note("%s is not read: the shards that it lists are not there, and %s is whole", w.stale, w.name)
	}
	left := s.left(w)
	for _, name := range left {
		m.Unread = append(m.Unread, path.Join(s.folder, name))
	}
	if len(left) == 0 || w.named && w.index == nil {
		return // who names a file knows that there are others
	}
	verb := "are"
	if len(left) == 1 {
		verb = "is"
	}
	why := "the model is " + w.name
	if w.index != nil {
		why = w.name + " does not list "
		if len(left) == 1 {
			why += "it"
		} else {
			why += "them"
		}
	}
	note("%s %s not read: %s", nameList(left), verb, why)
}

func (m *Model) readConfig() error {
	path := filepath.Join(m.Dir, m.Home, "config.json")
	if there, err := present(path); err == nil && !there {
		return nil
	}
	if err := m.admitConfig(path); err != nil {
		return err
	}
	raw, err := readSmall(path, maxConfig)
	if err != nil {
		return fileError(path, err)
	}
	if m.Config, err = ParseConfig(raw); err != nil {
		return &FormatError{Path: path, Err: err}
	}
	return nil
}

// agree checks that an index and its shards say the same: every name of the map is
// in its shard, and no shard holds a name that the map lacks or puts
// elsewhere. The shards are in a folder below the model's, and their tensors those
// from first on.
func (m *Model) agree(w *weights, folder string, first int) error {
	bad := func(format string, args ...any) error {
		return &FormatError{Path: filepath.Join(m.Dir, filepath.FromSlash(path.Join(folder, w.name))), Err: fmt.Errorf(format, args...),
			Hint: "the folder is incomplete or mixed from two models: download it again"}
	}
	found := make([]bool, len(w.index))
	for _, t := range m.Tensors[first:] {
		file := m.Files[t.File].Name
		k, ok := slices.BinarySearchFunc(w.index, t.Name, func(e safetensors.Entry, name string) int { return cmp.Compare(e.Name, name) })
		if !ok {
			return bad("tensor %s is in %s but not in the index", text.Quote(t.Name), text.Quote(file))
		}
		if want := path.Join(folder, w.index[k].File); want != file {
			return bad("tensor %s is in %s, but the index says %s", text.Quote(t.Name), text.Quote(file), text.Quote(want))
		}
		found[k] = true
	}
	if k := slices.Index(found, false); k >= 0 {
		return bad("tensor %s is missing from %s", text.Quote(w.index[k].Name), text.Quote(w.index[k].File))
	}
	return nil
}

// Lookup finds a tensor by its name and returns its index in Tensors. It must
// not be called from several goroutines before the first call has returned.
func (m *Model) Lookup(name string) (int, bool) {
	if m.byName == nil || len(m.byName) != len(m.Tensors) {
		m.byName = make([]int32, len(m.Tensors))
		for i := range m.byName {
			m.byName[i] = int32(i)
		}
		slices.SortStableFunc(m.byName, func(a, b int32) int { return cmp.Compare(m.Tensors[a].Name, m.Tensors[b].Name) })
	}
	i, ok := slices.BinarySearchFunc(m.byName, name, func(i int32, name string) int { return cmp.Compare(m.Tensors[i].Name, name) })
	if !ok {
		return 0, false
	}
	return int(m.byName[i]), true
}

// Check reports the first file that is no longer what it was when it was
// opened, as a *mmapio.ChangedError.
func (m *Model) Check() error {
	for _, f := range m.Files {
		if err := f.data.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the weight files.
func (m *Model) Close() {
	for _, f := range m.Files {
		f.data.Close()
	}
}
