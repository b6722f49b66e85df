package model

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"

	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
)

// maxNumbered bounds the numbered files beside a named one that are looked into,
// and maxNumberedText the length of their headers: no budget counts them.
const (
	maxNumbered     = 8
	maxNumberedText = 1 << 20
)

var numberIn = regexp.MustCompile(`[0-9]+`)

// numbered finds a file beside the only one of m that is another part of the
// same model: its name differs in one number, and it has other tensors of the
// same kinds, or what m lacks by config.json: layers or the embedding.
// Checkpoints of several epochs have the same names, and models that merely lie
// side by side have no kind in common. A file that does not open is none.
func (m *Model) numbered(pool *mmapio.Pool, s *weightFolder, file string) error {
	var kinds map[string]bool
	var layers, embedding bool // whether m lacks them
	tried := 0
	for _, name := range s.names {
		if name == file || filepath.Ext(name) != filepath.Ext(file) || !differInNumber(name, file) {
			continue
		}
		if tried++; tried > maxNumbered {
			break
		}
		path, other := filepath.Join(s.dir, name), &Model{Path: m.Path, memory: m.memory}
		var size Count
		if m.countFile(pool, path, &size, false) != nil || size.Text > maxNumberedText {
			continue
		}
		if other.openFile(pool, path, name) != nil {
			other.Close()
			continue
		}
		if kinds == nil {
			kinds = m.kinds()
			layers, embedding = m.lacksLayers(), m.lacksEmbedding()
		}
		what := m.continuedBy(other, kinds, layers, embedding)
		other.Close()
		if what != "" {
			return &UnusableError{Path: filepath.Join(s.dir, file),
				Msg:  fmt.Sprintf("is one part of a model: %s beside it has %s, and no index lists them", text.Quote(name), what),
				Hint: "write the parts into one model first, for example with transformers: save_pretrained(FOLDER)"}
		}
	}
	return nil
}

// differInNumber reports whether two names are the same except for one number.
func differInNumber(a, b string) bool {
	x, y := numberIn.FindAllString(a, -1), numberIn.FindAllString(b, -1)
	if len(x) != len(y) || numberIn.ReplaceAllString(a, "#") != numberIn.ReplaceAllString(b, "#") {
		return false
	}
	n := 0
	for i := range x {
		if x[i] != y[i] {
			n++
		}
	}
	return n == 1
}

// kinds returns the names of the tensors in layers, with # for every number.
func (m *Model) kinds() map[string]bool {
	kinds := map[string]bool{}
	var key []byte
	for i := range m.Tensors {
		if _, _, ok := LayerOf(m.Tensors[i].Name); ok && len(kinds) < maxKinds {
			key = appendKind(key[:0], m.Tensors[i].Name)
			if !kinds[string(key)] {
				kinds[string(key)] = true
			}
		}
	}
	return kinds
}

// lacksLayers reports whether no stack of m has as many layers as config.json
// states.
func (m *Model) lacksLayers() bool {
	if m.Config == nil {
		return false
	}
	depth, known := m.Config.Depth()
	if !known {
		return false
	}
	for _, n := range m.Stacks() {
		if int64(n) >= depth {
			return false
		}
	}
	return depth > 0
}

// lacksEmbedding reports whether m has no input embedding, though config.json is
// that of a model with a vocabulary.
func (m *Model) lacksEmbedding() bool {
	return m.Config != nil && m.Config.Has("vocab_size") &&
		!slices.ContainsFunc(m.Tensors, func(t Tensor) bool { return IsEmbedding(t.Name) })
}

// continuedBy says what another file has that continues m: tensors of the same
// kinds, or the layers or the embedding that m lacks. It is "" if there is
// nothing of the sort, or if the two have a name in common.
func (m *Model) continuedBy(other *Model, kinds map[string]bool, layers, embedding bool) string {
	what := ""
	var key []byte
	for i := range other.Tensors {
		name := other.Tensors[i].Name
		if _, ok := m.Lookup(name); ok {
			return ""
		}
		if what != "" {
			continue
		}
		if embedding && IsEmbedding(name) {
			what = "the embedding that it lacks"
		} else if _, _, ok := LayerOf(name); ok {
			key = appendKind(key[:0], name)
			if kinds[string(key)] {
				what = "other tensors of the same layers"
			} else if layers {
				what = "layers that it lacks"
			}
		}
	}
	return what
}
