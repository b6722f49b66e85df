package tensor

import (
	"slices"
	"strings"
	"unsafe"
)

// An Arena keeps many names and shapes in few pieces of memory. The zero value
// is ready for use. It must not be copied once it is used.
type Arena struct {
	text   strings.Builder
	dims   []uint64
	shapes map[shapeKey][]uint64
}

// Models have few shapes, of few dimensions each.
type shapeKey struct {
	rank byte
	dims [4]uint64
}

const (
	textChunk = 16 << 10
	dimChunk  = 512
	maxShapes = 4096 // that are looked for again
)

// Text copies a text.
func (a *Arena) Text(text []byte) string {
	a.room(len(text))
	start := a.text.Len()
	a.text.Write(text)
	return a.text.String()[start:]
}

// Own is Text of a long text that the caller hands over: it is not copied, and
// must not be changed any more.
func (a *Arena) Own(text []byte) string { return unsafe.String(unsafe.SliceData(text), len(text)) }

// Name returns Text of a string.
func (a *Arena) Name(text string) string {
	a.room(len(text))
	start := a.text.Len()
	a.text.WriteString(text)
	return a.text.String()[start:]
}

func (a *Arena) room(n int) {
	switch {
	case a.text.Cap()-a.text.Len() >= n:
	case n > textChunk/4: // of its own
		a.text = strings.Builder{}
		a.text.Grow(n)
	default:
		a.text = strings.Builder{}
		a.text.Grow(textChunk)
	}
}

// Shape copies a shape; nil stays nil. Equal shapes are as a rule kept once, so
// its result must not be changed.
func (a *Arena) Shape(shape []uint64) []uint64 {
	if shape == nil {
		return nil
	}
	k := shapeKey{rank: byte(min(len(shape), 255))}
	small := len(shape) <= len(k.dims)
	if small {
		copy(k.dims[:], shape)
		if s, ok := a.shapes[k]; ok {
			return s
		}
	}
	if cap(a.dims)-len(a.dims) < len(shape) {
		a.dims = make([]uint64, 0, max(dimChunk, len(shape)))
	}
	first := len(a.dims)
	a.dims = append(a.dims, shape...)
	s := slices.Clip(a.dims[first:])
	if small && len(a.shapes) < maxShapes {
		if a.shapes == nil {
			a.shapes = make(map[shapeKey][]uint64)
		}
		a.shapes[k] = s
	}
	return s
}
