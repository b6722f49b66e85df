package model

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
	"slerpmerge/safetensors"
)

// families are the usual names, in the order in which transformers looks for
// them (_get_resolved_checkpoint_files in its modeling_utils.py).
var families = []string{"model.safetensors", "pytorch_model.bin"}

// weights says which files of a folder hold its model, in order, and where
// an index puts each tensor (nil without one).
type weights struct {
	files []string
	index safetensors.Index
	name  string // of the index, or of the only file
	stale string // an index that is not followed: none of its files is there
	named bool   // the user named it
}

// A weightFolder is a folder in which weights are looked for.
type weightFolder struct {
	pool   *mmapio.Pool
	dir    string
	folder string   // what dir is below the model's, "" if it is that
	names  []string // of its files and folders, sorted
}

// newWeightFolder looks at the model's folder, or one below it.
func (m *Model) newWeightFolder(pool *mmapio.Pool, model, folder string) (*weightFolder, error) {
	dir := filepath.Join(model, folder)
	entries, err := m.files.readDir(dir)
	if err != nil {
		return nil, err
	}
	s := &weightFolder{pool: pool, dir: dir, folder: folder}
	for _, e := range entries {
		s.names = append(s.names, e.Name())
	}
	slices.Sort(s.names) // of bytes, as Has searches them
	return s, nil
}

// has reports whether a name stands in the folder, be it a dangling link:
// what is there but can't be read must not be passed over.
func (s *weightFolder) has(name string) bool {
	if strings.Contains(name, "/") {
		there, err := present(filepath.Join(s.dir, filepath.FromSlash(name)))
		return there || err != nil
	}
	_, ok := slices.BinarySearch(s.names, name)
	return ok
}

// find looks for the weights: config.json's transformers_weights first, then
// the usual names, then those of variants and of other libraries.
func (s *weightFolder) find(c *Config) (*weights, error) {
	if c != nil {
		if name := c.String("transformers_weights"); name != "" {
			return s.ofConfig(name)
		}
	}
	for _, single := range families {
		w, err := s.family(single)
		if w != nil || err != nil {
			return w, err
		}
	}
	return s.others()
}

// ofConfig finds the weights that config.json names, by transformers' rules.
func (s *weightFolder) ofConfig(name string) (*weights, error) {
	bad := func(format string, args ...any) error {
		return &FormatError{Path: filepath.Join(s.dir, "config.json"), Err: fmt.Errorf("transformers_weights is %s, %s", text.Quote(name), fmt.Sprintf(format, args...))}
	}
	if name == "adapter_model.bin" || name == "adapter_model.safetensors" {
		return nil, isAdapter(s.dir)
	}
	n, ok := parseWeightName(filepath.Base(name))
	switch {
	case !filepath.IsLocal(name) || strings.ContainsAny(name, "\\:\x00"):
		return nil, bad("which leads out of the model's folder")
	case !ok || n.ext != ".safetensors" || n.variant != "" && n.index && !strings.HasSuffix(name, ".safetensors.index.json"):
		return nil, bad("which is neither a .safetensors file nor an index of such files (.safetensors.index.json)")
	}
	if err := within(s.dir, filepath.Dir(filepath.FromSlash(name))); err != nil {
		return nil, err
	}
	if n.index {
		if !s.has(name) {
			return nil, bad("which is not there")
		}
		return s.follow(name)
	}
	return &weights{files: []string{name}, name: name}, nil
}

// named returns the model of one index.
func (s *weightFolder) named(index string) (*weights, error) {
	w, err := s.follow(index)
	if err == nil {
		w.named = true
	}
	return w, err
}

// follow reads an index.
func (s *weightFolder) follow(index string) (*weights, error) {
	n, _ := parseWeightName(filepath.Base(index))
	path := filepath.Join(s.dir, filepath.FromSlash(index))
	ix, err := readIndex(s.pool, path, n.ext)
	if err != nil {
		return nil, err
	}
	return &weights{files: ix.Files(), index: ix, name: index}, nil
}

// family finds the weights of usual names; nil if there are none. A complete
// index goes before a single file, which may be a consolidated copy; one of
// which no shard is there is a leftover beside it.
func (s *weightFolder) family(single string) (*weights, error) {
	index := single + ".index.json"
	switch hasSingle := s.has(single); {
	case !s.has(index):
		if hasSingle {
			return &weights{files: []string{single}, name: single}, nil
		}
		return nil, nil
	case hasSingle:
		w, err := s.follow(index)
		var fe *FormatError
		switch {
		case errors.As(err, &fe) && !s.hasShards(filepath.Ext(single)):
			return &weights{files: []string{single}, name: single, stale: index}, nil
		case err != nil:
			return nil, err
		case !slices.ContainsFunc(w.files, s.has):
			return &weights{files: []string{single}, name: single, stale: index}, nil
		}
		return w, nil
	}
	return s.follow(index)
}

func (s *weightFolder) hasShards(ext string) bool {
	return slices.ContainsFunc(s.names, func(name string) bool {
		n, ok := parseWeightName(name)
		return ok && n.shard && n.ext == ext
	})
}

// others looks for weights under the names of variants and of diffusers, and
// for indexes of any name. Weights that can't be identified as the one model
// are refused, with the names from which the user can choose.
func (s *weightFolder) others() (*weights, error) {
	type candidate struct {
		weightName
		name string
	}
	var found []candidate
	var stale string
	inIndex := map[string]bool{}
	for _, name := range s.names {
		n, ok := parseWeightName(name)
		if !ok || !n.index {
			continue
		}
		w, err := s.follow(name)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(w.files, s.has) {
			stale = name
			continue
		}
		for _, f := range w.files {
			inIndex[f] = true
		}
		found = append(found, candidate{n, name})
	}
	for _, name := range s.names {
		if n, ok := parseWeightName(name); ok && !n.index && !n.shard && n.ofLibrary() && !inIndex[name] && (n.ext == ".safetensors" || n.ext == ".bin") {
			found = append(found, candidate{n, name})
		}
	}
	// As in every library, safetensors goes before .bin, and the weights that
	// are no variant before those that are.
	all := found
	keep := func(c candidate) bool {
		return c.ext == ".safetensors" || !slices.ContainsFunc(all, func(o candidate) bool {
			return o.ext == ".safetensors" && o.variant == c.variant && (o.stem == c.stem || c.stem == "pytorch_model" && o.stem == "model")
		})
	}
	plain := slices.ContainsFunc(all, func(c candidate) bool { return c.variant == "" })
	found = slices.DeleteFunc(slices.Clone(all), func(c candidate) bool { return !keep(c) || plain && c.variant != "" })
	switch {
	case len(found) == 1 && found[0].index:
		return s.follow(found[0].name)
	case len(found) == 1:
		return &weights{files: []string{found[0].name}, name: found[0].name}, nil
	case len(found) > 1:
		var names []string
		for _, c := range found {
			names = append(names, c.name)
		}
		return nil, &UnusableError{Path: s.dir, Msg: fmt.Sprintf("holds several sets of weights, and none has the usual name: %s", nameList(names)),
			Hint: "name the one that you mean, for example " + filepath.Join(s.dir, names[0])}
	case stale != "":
		return s.follow(stale) // of which everything is missing
	}
	return nil, s.none()
}

// part reports whether a file is one of several that hold a model, by their
// names.
func (s *weightFolder) part(file string) bool {
	if n, ok := parseWeightName(file); ok && n.shard {
		return true
	}
	rank := rankName.FindStringSubmatch(file)
	return rank != nil && slices.ContainsFunc(s.names, func(name string) bool {
		other := rankName.FindStringSubmatch(name)
		return other != nil && name != file && slices.Equal(other[1:], rank[1:])
	})
}

// listing returns the index beside a weight file that lists it, "" if none does.
// An index that can't be read is an error only for a file that must be in one.
func (s *weightFolder) listing(file string) (string, error) {
	of, ok := parseWeightName(file)
	for _, name := range s.names {
		n, isName := parseWeightName(name)
		if !isName || !n.index || ok && n.ext != of.ext {
			continue
		}
		ix, err := readIndex(s.pool, filepath.Join(s.dir, name), n.ext)
		if err != nil {
			if of.shard {
				return "", err
			}
			continue
		}
		if slices.ContainsFunc(ix, func(e safetensors.Entry) bool { return e.File == file }) {
			return name, nil
		}
	}
	return "", nil
}

// left returns the weight files of the folder that are not read.
func (s *weightFolder) left(w *weights) []string {
	read := make(map[string]bool, len(w.files))
	for _, f := range w.files {
		read[f] = true
	}
	var names []string
	for _, name := range s.names {
		n, ok := parseWeightName(name)
		if ok && !n.index && !read[name] && (n.ext == ".safetensors" || n.ofLibrary() || n.shard) {
			names = append(names, name)
		}
	}
	return names
}

// within makes sure that a folder below another is not a link out of it. The
// files in it may be links, as they are in the cache of the Hub.
func within(dir, sub string) error {
	path := filepath.Join(dir, sub)
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return fileError(dir, err)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fileError(path, err)
	}
	if rel, err := filepath.Rel(root, real); err != nil || !filepath.IsLocal(rel) {
		return &FormatError{Path: path, Msg: "is a link that leads out of the model's folder"}
	}
	return nil
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

// nameList joins names, a long list cut.
func nameList(names []string) string {
	var list text.Names
	for _, n := range names {
		list.Add(n, "")
	}
	return list.String()
}
