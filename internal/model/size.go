package model

import (
	"slices"

	"slerpmerge/torchbin"
)

// Bytes returns the size of all tensors' values.
func (m *Model) Bytes() int64 {
	var n int64
	for i := range m.Tensors {
		n += m.Tensors[i].Bytes()
	}
	return n
}

// TextBytes estimates what the table's names, shapes and metadata hold in
// memory: they are kept twice, and stand in headers while they are read and
// written.
func (m *Model) TextBytes() int64 {
	var n int64
	for i := range m.Tensors {
		n += 5*int64(len(m.Tensors[i].Name)) + 16*int64(len(m.Tensors[i].Shape))
		if m.stored != nil {
			n += 16 + int64(len(m.stored[i]))
		}
	}
	for k, v := range m.Metadata {
		n += 3 * int64(len(k)+len(v)+64)
	}
	return n
}

// GatherBytes returns the memory that reading takes for the sake of tensors which
// lie in another order in their file; 0 where there are none.
func (m *Model) GatherBytes() int64 {
	for _, f := range m.Files {
		if f.checkpoint != nil && slices.ContainsFunc(f.checkpoint.Tensors, func(t torchbin.Tensor) bool { return t.Strides != nil }) {
			return torchbin.GatherMemory
		}
	}
	return 0
}

// SetGatherMemory changes what GatherBytes tells, for all models that share a
// Gatherer.
func (m *Model) SetGatherMemory(size int64) {
	if m.gatherer != nil {
		m.gatherer.SetMemory(size)
	}
}

// Elems returns the number of parameters: the elements of all tensors.
func (m *Model) Elems() int64 {
	var n int64
	for i := range m.Tensors {
		n += m.Tensors[i].Elems()
	}
	return n
}
