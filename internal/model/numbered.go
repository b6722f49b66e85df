package model

import (
	"fmt"
	"path/filepath"
	"regexp"

	"slerpmerge/internal/text"
	"slerpmerge/mmapio"
)

// maxNumbered is how many numbered files beside a named one are looked into,
// and maxNumberedText how long their headers may be: no budget has a place for
// them.
const (
	maxNumbered     = 8
	maxNumberedText = 1 << 20
)

var numberIn = regexp.MustCompile(`[0-9]+`)

// numbered finds a file beside the only one of m that is another part of the
// same model: its name differs in one number, and it has other tensors of the
// same kinds. Checkpoints of several epochs have the same names, and models
// that merely lie side by side have no kind in common. A file that does not
// open is none.
func (m *Model) numbered(pool *mmapio.Pool, s *shelf, file string) error {
	var kinds map[string]bool
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
		}
		part := m.continuedBy(other, kinds)
		other.Close()
		if part {
			return &UnusableError{Path: filepath.Join(s.dir, file),
				Msg:  fmt.Sprintf("is one part of a model: %s beside it has other tensors of the same layers, and no index lists them", text.Quote(name)),
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

// kinds are the names of the tensors in layers, with # for every number.
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

// continuedBy reports whether another file has tensors of the same kinds, and
// no name of m.
func (m *Model) continuedBy(other *Model, kinds map[string]bool) bool {
	alike := false
	var key []byte
	for i := range other.Tensors {
		name := other.Tensors[i].Name
		if _, ok := m.Lookup(name); ok {
			return false
		}
		if _, _, ok := LayerOf(name); ok && !alike {
			key = appendKind(key[:0], name)
			alike = kinds[string(key)]
		}
	}
	return alike
}
