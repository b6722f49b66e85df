package writer

import (
	"fmt"
	"slices"
	"strings"
)

// A Scheme is the places of weights in the output folder. The zero value has all
// of them at its top, under the usual names.
type Scheme struct {
	Stem string // of the files' names; "" is the format's
	Home string // the folder; "" is the output folder itself
	// Folder returns the folder of the module that a tensor belongs to, "" if it
	// belongs to none. A module has one file, in its folder: its tensors' names
	// begin with the folder and a slash, which are left out in the file. Nil means
	// that there are no modules.
	Folder func(tensor int) string
}

// A module is the tensors of one folder.
type module struct {
	folder  string
	tensors []int32 // sorted
}

// modules are sorted by folder.
type modules []module

// hold reports whether a tensor is one of a module.
func (m modules) hold(tensor int) bool {
	for i := range m {
		if _, ok := slices.BinarySearch(m[i].tensors, int32(tensor)); ok {
			return true
		}
	}
	return false
}

// modules finds those of a table.
func (s *Scheme) modules(tensors Table, storage []int) (modules, error) {
	if s.Folder == nil {
		return nil, nil
	}
	var found modules
	for i := range tensors.Len() {
		folder, name := s.Folder(i), tensors.Info(i).Name
		if storage != nil && s.Folder(storage[i]) != folder {
			return nil, fmt.Errorf("tensor %q shares the bytes of one in another file", name)
		}
		if folder == "" {
			continue
		}
		if !strings.HasPrefix(name, folder+"/") {
			return nil, fmt.Errorf("tensor %q is not called after its folder, %q", name, folder)
		}
		k, ok := slices.BinarySearchFunc(found, folder, func(m module, folder string) int { return strings.Compare(m.folder, folder) })
		if !ok {
			found = slices.Insert(found, k, module{folder: folder})
		}
		found[k].tensors = append(found[k].tensors, int32(i))
	}
	return found, nil
}
