package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
)

// ModulesName is the file in which sentence-transformers lists the modules of a
// model.
const ModulesName = "modules.json"

// routerName is the file that lists the branches of one of them.
const routerName = "router_config.json"

// maxModules bounds what modules.json may list; models have three or four.
const maxModules = 64

// A moduleEntry is a module of modules.json. Its files are in the folder Path,
// "" for the model's own.
type moduleEntry struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

// findModules reads which folders of the model hold modules of
// sentence-transformers.
func (m *Model) findModules() error {
	raw, err := m.readModules(ModulesName)
	if raw == nil || err != nil {
		return err
	}
	var entries []moduleEntry
	if json.Unmarshal(raw, &entries) != nil {
		m.Notes = append(m.Notes, fmt.Sprintf("%s is not a list of modules: it is only copied", filepath.Join(m.Dir, ModulesName)))
		return nil
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Type, "sentence_transformers.") {
			m.OwnModules = append(m.OwnModules, e.Type)
		}
		if err := m.addModule(ModulesName, e.Path, e.Type); err != nil {
			return err
		}
		if err := m.addBranches(strings.TrimSuffix(e.Path, "/"), e.Type); err != nil {
			return err
		}
	}
	return nil
}

// readModules reads a file that lists modules; nil if it is not there.
func (m *Model) readModules(name string) ([]byte, error) {
	const most = 1 << 20
	file := filepath.Join(m.Dir, filepath.FromSlash(name))
	if there, err := present(file); err == nil && !there {
		return nil, nil
	}
	raw, err := readSmall(file, most)
	if err != nil {
		return nil, fileError(file, err)
	}
	return raw, nil
}

// addBranches adds the folders of a router, which sends queries and documents
// through modules of their own.
func (m *Model) addBranches(folder, kind string) error {
	name := path.Join(folder, routerName)
	raw, err := m.readModules(name)
	if raw == nil && err == nil && strings.HasSuffix(kind, ".Asym") { // the router's first name
		name = path.Join(folder, "config.json")
		raw, err = m.readModules(name)
	}
	if raw == nil || err != nil {
		return err
	}
	var router struct {
		Types map[string]string `json:"types"`
	}
	if err := json.Unmarshal(raw, &router); err != nil {
		return &FormatError{Path: filepath.Join(m.Dir, filepath.FromSlash(name)), Msg: "is not a description of a router"}
	}
	branches := make([]string, 0, len(router.Types))
	for branch := range router.Types {
		branches = append(branches, branch)
	}
	slices.Sort(branches)
	for _, branch := range branches {
		if err := m.addModule(name, path.Join(folder, branch), router.Types[branch]); err != nil {
			return err
		}
	}
	return nil
}

// Modules of sentence-transformers that may have no folder, since they have
// neither settings nor weights, and those that always have weights.
var (
	bareModules    = []string{"Normalize", "Dropout"}
	weighedModules = []string{"Dense", "LayerNorm", "CNN", "LSTM", "WeightedLayerPooling", "StaticEmbedding", "SparseAutoEncoder"}
)

// addModule adds a folder that the file from names, of a kind of module.
func (m *Model) addModule(from, folder, kind string) error {
	bad := func(why string) error {
		return &FormatError{Path: filepath.Join(m.Dir, filepath.FromSlash(from)), Msg: fmt.Sprintf("names the folder %s, which %s", text.Quote(folder), why)}
	}
	name := strings.TrimSuffix(folder, "/")
	switch {
	case name == "" || name == "." || slices.Contains(m.Modules, name):
		return nil
	case !filepath.IsLocal(name) || strings.ContainsAny(name, "\\:\x00") || strings.HasPrefix(name, "."):
		return bad("is not one of the model's own")
	case strings.Contains(name, "/"):
		return &UnusableError{Path: m.Path, Msg: fmt.Sprintf("has a module in a folder of a folder, %s: such models can't be merged", text.Quote(name))}
	case len(m.Modules) == maxModules:
		return bad(fmt.Sprintf("is one of more than %d", maxModules))
	}
	own := !strings.HasPrefix(kind, "sentence_transformers.")
	switch there, err := present(filepath.Join(m.Dir, name)); {
	case err != nil:
		return err
	case !there && (own || slices.Contains(bareModules, lastPart(kind))):
		return nil
	case !there:
		return &FormatError{Path: filepath.Join(m.Dir, filepath.FromSlash(from)), Msg: fmt.Sprintf("names the folder %s, which is not there", text.Quote(name)), Hint: m.downloadHint()}
	}
	if !own && slices.Contains(weighedModules, lastPart(kind)) {
		m.weighed = append(m.weighed, name)
	}
	if err := within(m.Dir, name); err != nil {
		return err
	}
	m.Modules = append(m.Modules, name)
	return nil
}

// openModules adds the weights of the modules.
func (m *Model) openModules(pool *mmapio.Pool) error {
	for _, folder := range m.Modules {
		if folder == m.Home {
			continue
		}
		s, err := m.newWeightFolder(pool, m.Dir, folder)
		if err != nil {
			return fileError(filepath.Join(m.Dir, folder), err)
		}
		w, err := s.find(nil)
		var none *UnusableError
		if errors.As(err, &none) && !slices.ContainsFunc(s.names, func(name string) bool { _, ok := parseWeightName(name); return ok }) {
			if slices.Contains(m.weighed, folder) {
				return &FormatError{Path: filepath.Join(m.Dir, folder), Msg: "has no weights, which such a module always has", Hint: m.downloadHint()}
			}
			continue // pooling, for example
		}
		if err == nil {
			err = m.complete(s, w)
		}
		if err != nil {
			return err
		}
		if err := m.openModule(pool, s, w); err != nil {
			return err
		}
	}
	return nil
}

func (m *Model) openModule(pool *mmapio.Pool, s *weightFolder, w *weights) error {
	folder, first, file, dropped := s.folder, len(m.Tensors), len(m.Files), len(m.dropped)
	m.noteLeft(s, w)
	for _, name := range w.files {
		if err := m.openWeights(pool, path.Join(folder, name)); err != nil {
			return err
		}
	}
	if w.index != nil {
		if err := m.agree(w, folder, first); err != nil {
			return err
		}
	}
	for i := range m.Files[file:] {
		m.Files[file+i].Module = folder
	}
	prefix := folder + "/"
	for i := first; i < len(m.Tensors); i++ {
		t := &m.Tensors[i]
		if j, ok := m.Lookup(prefix + t.Name); ok && j < first {
			return &FormatError{Path: m.Files[m.Tensors[j].File].Path, Msg: fmt.Sprintf("holds %s, which is the name of a tensor of the module %s too", text.Quote(m.Tensors[j].Name), folder)}
		}
	}
	for i := first; i < len(m.Tensors); i++ {
		t := &m.Tensors[i]
		t.Name = prefix + t.Name
	}
	for i := dropped; i < len(m.dropped); i++ {
		m.dropped[i] = droppedName{prefix + m.dropped[i].name, prefix + m.dropped[i].kept}
	}
	m.byName = nil
	return nil
}

// ModuleFiles returns the small files in the folders of the modules, relative to
// the model's folder and sorted.
func (m *Model) ModuleFiles() []string {
	var names []string
	for _, folder := range m.Modules {
		if folder == m.Home {
			continue
		}
		for _, name := range m.entries(folder, func(name string) bool { return !strings.HasPrefix(name, ".") && !heavy(name) }) {
			if st, err := m.files.stat(filepath.Join(m.Dir, filepath.FromSlash(name))); err == nil && st.IsDir() {
				continue
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// heavy reports whether a file of a module's folder is weights, read or not,
// or code: that is not copied.
func heavy(name string) bool {
	_, weights := parseWeightName(name)
	return weights || trainerState(name) || slices.Contains([]string{".h5", ".msgpack", ".onnx", ".ot", ".gguf", ".pkl", ".py"}, filepath.Ext(name))
}
