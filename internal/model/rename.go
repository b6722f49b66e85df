package model

import (
	"slices"
	"strings"
)

// wrappers are the modules that torch.compile, FSDP, activation checkpointing
// and trainers put around others. They appear in the names of a state dict
// that was taken from the wrapped model; transformers knows none of them.
var wrappers = []string{"_orig_mod", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module", "_forward_module"}

// dataParallel is the wrapper of DataParallel and DistributedDataParallel. The
// word is an ordinary one, so it counts only in front of every name.
const dataParallel = "module."

// peftModel is the prefix that peft gives the names of the model that it wraps,
// with or without an adapter. It too counts only in front of every name.
const peftModel = "base_model.model."

// StoredName returns the name of Tensors[i] in its file.
func (m *Model) StoredName(i int) string {
	if m.stored != nil {
		return m.stored[i]
	}
	return m.Tensors[i].Name
}

// rename gives the tensors other names, by their index.
func (m *Model) rename(name func(i int) string) {
	if m.stored == nil {
		m.stored = make([]string, len(m.Tensors))
		for i := range m.Tensors {
			m.stored[i] = m.Tensors[i].Name
		}
	}
	m.Aliases()
	for i := range m.Tensors {
		m.Tensors[i].Name = name(i)
	}
	m.byName, m.endsKnown = nil, false
	m.renameAliases()
}

// Unwrap calls the tensors as they are called without the modules that
// PyTorch's tools wrap around others, and undoes an earlier Align. It returns
// the wrappers that it left out. Names that would no longer differ from one
// another stay as they are.
func (m *Model) Unwrap() []string {
	if m.stored != nil {
		m.rename(m.StoredName)
		m.stored = nil
	}
	var found []string
	for i := range m.Tensors {
		_, words := unwrapped(m.Tensors[i].Name)
		for _, w := range words {
			if !slices.Contains(found, w) {
				found = append(found, w)
			}
		}
	}
	front := m.front()
	if front != "" {
		for _, w := range []string{peftModel, dataParallel} {
			if strings.Contains(front, w) {
				found = append([]string{strings.TrimSuffix(w, ".")}, found...)
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	bare := func(i int) string {
		name, _ := unwrapped(m.StoredName(i))
		return strings.TrimPrefix(name, front)
	}
	m.rename(bare)
	if m.repeats() {
		m.rename(m.StoredName)
		m.stored = nil
		return nil
	}
	return found
}

// front returns the wrappers that stand before the names of all tensors with a
// shape: AveragedModel has a scalar beside its module.
func (m *Model) front() string {
	front := ""
	for {
		next := ""
		for _, w := range []string{dataParallel, peftModel} {
			n := 0
			all := !slices.ContainsFunc(m.Tensors, func(t Tensor) bool {
				if len(t.Shape) == 0 {
					return false
				}
				n++
				name, _ := unwrapped(t.Name)
				return !strings.HasPrefix(name, front+w)
			})
			if all && n > 0 {
				next = w
			}
		}
		if next == "" || len(front) > 4*len(peftModel) {
			return front
		}
		front += next
	}
}

// repeats reports whether two tensors have one name.
func (m *Model) repeats() bool {
	m.Lookup("")
	for k := 1; k < len(m.byName); k++ {
		if m.Tensors[m.byName[k]].Name == m.Tensors[m.byName[k-1]].Name {
			return true
		}
	}
	return false
}

// unwrapped takes the wrappers out of a name, wherever they stand in it, and
// names them.
func unwrapped(name string) (bare string, found []string) {
	if !strings.Contains(name, "_") {
		return name, nil
	}
	for _, w := range wrappers {
		if !strings.Contains(name, w) {
			continue
		}
		if rest, ok := strings.CutPrefix(name, w+"."); ok && !strings.Contains(rest, w) { // no need to copy it
			name, found = rest, append(found, w)
			continue
		}
		parts := strings.Split(name, ".")
		kept := slices.DeleteFunc(parts, func(part string) bool { return part == w })
		if text := strings.Join(kept, "."); text != name && text != "" {
			name = text
			found = append(found, w)
		}
	}
	return name, found
}
