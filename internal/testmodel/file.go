package testmodel

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
)

// File gives the bytes of a safetensors file.
func File(t testing.TB, tensors ...Tensor) []byte {
	t.Helper()
	m := Model{Tensors: tensors}
	which := make([]int, len(tensors))
	for i := range which {
		which[i] = i
	}
	l, err := m.lay(which, which)
	if err != nil {
		t.Fatal(err)
	}
	var b buffer = make([]byte, l.size)
	if err := m.fill(b, l, which, which); err != nil {
		t.Fatal(err)
	}
	return b
}

type buffer []byte

func (b buffer) WriteAt(p []byte, off int64) (int, error) { return copy(b[off:], p), nil }

// A layout is a weight file before its values.
type layout struct {
	size    int64
	parts   []torchbin.Literal
	offsets []int64 // of the values, by place in the file's list of tensors
	sums    []torchbin.CRCSlot
}

// lay lays out the file of some tensors.
func (m *Model) lay(which, storage []int) (*layout, error) {
	var infos []tensor.Info
	var owners []int
	for i, t := range which {
		infos = append(infos, m.Tensors[t].Info)
		owner := i
		if storage[t] != t {
			owner = slices.Index(which, storage[t])
		}
		owners = append(owners, owner)
	}
	if m.Bin {
		l, err := torchbin.Encode(infos, owners)
		if err != nil {
			return nil, err
		}
		return &layout{l.Size, l.Literals, l.Offsets, l.CRCSlots}, nil
	}
	metadata := map[string]string{"format": "pt"}
	maps.Copy(metadata, m.Metadata)
	l, err := safetensors.Encode(infos, metadata)
	if err != nil {
		return nil, err
	}
	return &layout{size: l.Size, parts: []torchbin.Literal{{Data: l.Header}}, offsets: l.Offsets}, nil
}

func (m *Model) writeFile(path string, which, storage []int) error {
	l, err := m.lay(which, storage)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(l.size); err != nil {
		return err
	}
	if err := m.fill(f, l, which, storage); err != nil {
		return err
	}
	return f.Close()
}

// fill writes all of a file that is not zero.
func (m *Model) fill(w io.WriterAt, l *layout, which, storage []int) error {
	for _, p := range l.parts {
		if _, err := w.WriteAt(p.Data, p.Off); err != nil {
			return err
		}
	}
	crcs := map[int]uint32{}
	for i, t := range which {
		if storage[t] != t {
			continue
		}
		crc, err := m.Tensors[t].write(w, l.offsets[i], m.Bin)
		if err != nil {
			return err
		}
		crcs[i] = crc
	}
	for _, s := range l.sums {
		if _, err := w.WriteAt(binary.LittleEndian.AppendUint32(nil, crcs[s.Tensor]), s.At); err != nil {
			return err
		}
	}
	return nil
}

// block is the size in bytes of one write: whole elements of every type.
const block = 1 << 20

// zeros is for comparing with.
var zeros [block]byte

// write writes the values of a tensor, whose blocks of zeros stay holes, and
// returns their checksum if it is asked for.
func (t *Tensor) write(w io.WriterAt, off int64, sum bool) (crc uint32, err error) {
	n := t.Bytes()
	if t.Values == nil && !sum {
		return 0, nil
	}
	next := func([]byte) {}
	if t.Values != nil {
		next = t.Values(t.Info)
	}
	b := make([]byte, min(n, block))
	for end := off + n; off < end; off += int64(len(b)) {
		b = b[:min(int64(len(b)), end-off)]
		clear(b)
		next(b)
		if sum {
			crc = crc32.Update(crc, crc32.IEEETable, b)
		}
		if bytes.Equal(b, zeros[:len(b)]) {
			continue
		}
		if _, err := w.WriteAt(b, off); err != nil {
			return 0, err
		}
	}
	return crc, nil
}
