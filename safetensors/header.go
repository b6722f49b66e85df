package safetensors

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"slerpmerge/internal/tensor"
)

const (
	// MaxHeader is the greatest length of a header in bytes, the 8 bytes of
	// the length itself not counted; the reference library has the same limit.
	MaxHeader = 100_000_000

	// MaxRank is the greatest number of dimensions of a tensor. PyTorch and
	// NumPy stop at 64.
	MaxRank = 1 << 16

	// MaxMetadata is the greatest number of texts in "__metadata__".
	MaxMetadata = 1 << 20

	lengthSize   = 8
	metadataName = "__metadata__"
)

// A Tensor is a tensor and the place of its values in the file.
type Tensor struct {
	Info
	Begin, End int64 // in bytes from the start of the file; End is exclusive
}

// A Header is the table of a file. It satisfies every rule of the package
// comment, so that the ranges of its tensors can be read without more checks.
type Header struct {
	// Tensors are in the order of their data. Tensors without elements may
	// share a place; among them the order is that of the header.
	Tensors []Tensor

	// Metadata is nil if there is none, and empty if it is there and empty.
	Metadata map[string]string

	// DataStart is the offset of the data in the file.
	DataStart int64
}

// Size returns the size of the file: where the data of the last tensor ends.
func (h *Header) Size() int64 {
	if n := len(h.Tensors); n > 0 {
		return h.Tensors[n-1].End
	}
	return h.DataStart
}

// ReadHeader reads and checks the header of a file of size bytes. Nothing
// behind the header is read.
//
// An error of the content is a *FormatError. Errors of r are wrapped, and so is [io.ErrUnexpectedEOF] if r ends before size.
func ReadHeader(r io.ReaderAt, size int64) (*Header, error) {
	h := new(Header)
	if err := h.read(new(Arena), r, size); err != nil {
		return nil, err
	}
	return h, nil
}

// read fills h. Its names and shapes are in the arena.
func (h *Header) read(arena *Arena, r io.ReaderAt, size int64) error {
	n, err := headerLength(r, size)
	if err != nil {
		return err
	}
	h.DataStart = lengthSize + n
	p := &parser{
		scanner:  newScanner(r, "header", lengthSize, n),
		arena:    arena,
		dataSize: size - lengthSize - n,
		header:   h,
	}
	if err := p.parse(); err != nil {
		return err
	}
	if name, twice := tensor.Repeated(len(h.Tensors), func(i int) string { return h.Tensors[i].Name }); twice {
		return malformed("the tensor %s occurs twice", quote(name))
	}
	sortTensors(h.Tensors)
	return checkLayout(h.Tensors, h.DataStart, size)
}

// headerLength reads and checks the first 8 bytes.
func headerLength(r io.ReaderAt, size int64) (int64, error) {
	first := make([]byte, max(0, min(size, tensor.SniffLen)))
	if n, err := r.ReadAt(first, 0); n < len(first) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, fmt.Errorf("reading the length of the header: %w", err)
	}
	if size == 0 {
		return 0, malformed("the file is empty")
	}
	kind := ""
	if k := tensor.Sniff(first); k != tensor.UnknownFile && k != tensor.SafetensorsFile {
		kind = " (the file looks like " + k.String() + ")"
	}
	if size < lengthSize {
		return 0, malformed("a file of %d bytes is too short to hold the length of a header%s", max(0, size), kind)
	}
	n := binary.LittleEndian.Uint64(first)
	if n > MaxHeader {
		return 0, malformed("the length of the header would be %d, more than %d%s", n, MaxHeader, kind)
	}
	if int64(n) > size-lengthSize {
		return 0, short("the header of %d bytes does not fit in a file of %d%s", n, size, kind)
	}
	return int64(n), nil
}

// sortTensors sorts by (Begin, End), equal ones in the order they have. As a
// rule they are sorted already.
func sortTensors(tensors []Tensor) {
	compare := func(a, b *Tensor) int {
		switch {
		case a.Begin != b.Begin:
			return int(min(1, max(-1, a.Begin-b.Begin)))
		case a.End != b.End:
			return int(min(1, max(-1, a.End-b.End)))
		}
		return 0
	}
	sorted := true
	for i := 1; i < len(tensors) && sorted; i++ {
		sorted = compare(&tensors[i-1], &tensors[i]) <= 0
	}
	if sorted {
		return
	}
	// Sorting the places first keeps equal ones in order, and moves every
	// tensor once.
	from := make([]int32, len(tensors))
	for i := range from {
		from[i] = int32(i)
	}
	slices.SortFunc(from, func(i, j int32) int {
		if c := compare(&tensors[i], &tensors[j]); c != 0 {
			return c
		}
		return int(i - j)
	})
	for start := range from {
		if from[start] < 0 {
			continue
		}
		moved := tensors[start]
		to := start
		for next := int(from[to]); next != start; next = int(from[to]) {
			tensors[to] = tensors[next]
			from[to] = -1
			to = next
		}
		tensors[to] = moved
		from[to] = -1
	}
}

// checkLayout makes sure that sorted tensors tile the data.
func checkLayout(tensors []Tensor, start, size int64) error {
	place := start
	for i := range tensors {
		t := &tensors[i]
		if t.Begin != place {
			what := "overlaps the tensor before it"
			switch {
			case i == 0:
				what = "is the first but does not begin at 0"
			case t.Begin > place:
				what = "leaves a hole after the tensor before it"
			}
			return malformed("the tensor %s, data_offsets [%d,%d], %s", quote(t.Name), t.Begin-start, t.End-start, what)
		}
		place = t.End
	}
	if place != size {
		return malformed("the last tensor ends at %d, but the data at %d", place-start, size-start)
	}
	return nil
}
