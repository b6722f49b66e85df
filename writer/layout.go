package writer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"slices"

	"slerpmerge/internal/tensor"
	"slerpmerge/safetensors"
)

// A Layout describes every file of weights before any byte is computed: its
// name, its exact size and the place of every tensor's bytes.
type Layout struct {
	Files      []File
	IndexName  string // "" with one file
	IndexBytes int64  // its size, 0 with one file
	TotalBytes int64  // of the tensors' values, without headers

	tensors Table
	storage []int
	shards  int // of Files, which come first; the rest are those of modules
}

// A Table gives the tensors of a model one by one, so that they need not be
// copied for NewTableLayout. What Info points to must not change while the layout
// is used.
type Table interface {
	Len() int
	Info(i int) *safetensors.Info
}

// Infos is a Table of its own.
type Infos []safetensors.Info

// Len returns the number of tensors.
func (t Infos) Len() int { return len(t) }

// Info returns tensor i.
func (t Infos) Info(i int) *safetensors.Info { return &t[i] }

// A Format is a format of weight files. The zero value is Safetensors.
type Format uint8

const (
	// Safetensors is model.safetensors, or its shards and model.safetensors.index.json.
	Safetensors Format = iota
	// Bin is pytorch_model.bin, or its shards and pytorch_model.bin.index.json.
	Bin
)

// A layer has what NewLayout needs to know about a Format. place lays out one
// shard.
type layer struct {
	stem, ext string
	shares    bool // tensors can be one storage under several names
	place     func(shard) (File, error)
}

var layers = map[Format]layer{
	Safetensors: {"model", ".safetensors", false, placeSafetensors},
	Bin:         {"pytorch_model", ".bin", true, placeBin},
}

// NewLayout decides the files that hold the tensors. Tensors go to shards in the
// order given, by Hugging Face's rule (docs/formats.md 2.3): shardSize limits the
// bytes of the tensors in a file. A model without tensors is one file.
//
// storage says for each tensor which one's bytes it shares: its own index, or
// that of an earlier one of the same type and shape that has bytes of its own.
// Nil means that none are shared. Safetensors can't share.
//
// NewTableLayout does the same for any Table, without the literals.
func NewLayout(tensors []safetensors.Info, storage []int, shardSize int64, format Format) (*Layout, error) {
	l, err := NewTableLayout(Infos(tensors), storage, shardSize, format, Scheme{})
	if err != nil {
		return nil, err
	}
	for i := range l.Files {
		if err := l.MakeLiterals(&l.Files[i]); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// NewTableLayout is NewLayout without the literals, in the places of a Scheme.
func NewTableLayout(tensors Table, storage []int, shardSize int64, format Format, scheme Scheme) (*Layout, error) {
	f, ok := layers[format]
	if !ok {
		return nil, fmt.Errorf("laying out the weights: unknown format %d", format)
	}
	if storage != nil && !f.shares {
		return nil, errors.New("laying out the weights: the format can't share bytes between tensors")
	}
	sizes, total, err := measure(tensors, storage)
	if err != nil {
		return nil, fmt.Errorf("laying out the weights: %w", err)
	}
	if shardSize <= 0 {
		return nil, fmt.Errorf("laying out the weights: a shard size of %d bytes", shardSize)
	}
	modules, err := scheme.modules(tensors, storage)
	if err != nil {
		return nil, fmt.Errorf("laying out the weights: %w", err)
	}
	shards := split(sizes, storage, shardSize, modules.hold)
	l := &Layout{TotalBytes: total, tensors: tensors, storage: storage, shards: len(shards)}
	add := func(name string, which []int32, cut int) error {
		slices.Sort(which)
		file, err := f.place(shard{tensors, storage, which, cut, false})
		if err != nil {
			return fmt.Errorf("laying out the weights: %w", err)
		}
		file.Name, file.Tensors, file.which, file.cut, file.place = name, len(which), which, cut, f.place
		file.DropLiterals()
		l.Files = append(l.Files, file)
		return nil
	}
	stem := cmp.Or(scheme.Stem, f.stem)
	for i, which := range shards {
		name := stem + f.ext
		if len(shards) > 1 {
			name = fmt.Sprintf("%s-%05d-of-%05d%s", stem, i+1, len(shards), f.ext)
		}
		if err := add(path.Join(scheme.Home, name), which, 0); err != nil {
			return nil, err
		}
	}
	for _, m := range modules {
		if err := add(path.Join(m.folder, f.stem+f.ext), m.tensors, len(m.folder)+1); err != nil {
			return nil, err
		}
	}
	if len(shards) > 1 {
		l.IndexName = path.Join(scheme.Home, stem+f.ext+".index.json")
		var size byteCounter
		if err := l.WriteIndex(&size); err != nil {
			return nil, fmt.Errorf("laying out %s: %w", l.IndexName, err)
		}
		l.IndexBytes = int64(size)
	}
	return l, nil
}

// WriteIndex writes the index of the shards, in the form of transformers.
func (l *Layout) WriteIndex(w io.Writer) error {
	fileOf := make([]int32, l.tensors.Len())
	n, total := len(fileOf), l.TotalBytes
	for i := range l.Files {
		for _, t := range l.Files[i].which {
			fileOf[t] = int32(i)
		}
	}
	var which []int32 // the tensors in shards, nil for all
	if l.shards < len(l.Files) {
		total = 0
		for i, f := range fileOf {
			if int(f) >= l.shards {
				continue
			}
			which = append(which, int32(i))
			if owns(l.storage, i) {
				total += l.tensors.Info(i).Bytes()
			}
		}
		n = len(which)
	}
	at := func(k int) int {
		if which == nil {
			return k
		}
		return int(which[k])
	}
	var elems int64
	for k := range n {
		if i := at(k); owns(l.storage, i) {
			elems += l.tensors.Info(i).Elems()
		}
	}
	return safetensors.WriteIndex(w, n, func(k int) safetensors.Entry {
		i := at(k)
		return safetensors.Entry{Name: l.tensors.Info(i).Name, File: path.Base(l.Files[fileOf[i]].Name)}
	}, total, elems)
}

// Index returns the index that WriteIndex writes, nil with one file.
func (l *Layout) Index() []byte {
	if l.IndexName == "" {
		return nil
	}
	var b bytes.Buffer
	if err := l.WriteIndex(&b); err != nil { // NewTableLayout has done it before
		panic("writer: internal error: " + err.Error())
	}
	return b.Bytes()
}

// OpenIndex returns a reader of the index that WriteIndex writes.
func (l *Layout) OpenIndex() io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(l.WriteIndex(w)) }()
	return r
}

type byteCounter int64

func (n *byteCounter) Write(p []byte) (int, error) {
	*n += byteCounter(len(p))
	return len(p), nil
}

// Bytes returns the size of all files, the index included.
func (l *Layout) Bytes() int64 {
	n := l.IndexBytes
	for _, f := range l.Files {
		n += f.Size
	}
	return n
}

// Before returns the number of bytes of tensors' values before a mark.
func (l *Layout) Before(m Mark) int64 {
	var n int64
	for i, f := range l.Files[:min(m.File+1, len(l.Files))] {
		for _, x := range f.Extents {
			if i < m.File || x.Off+x.Len <= m.Off {
				n += x.Len
			} else if x.Off < m.Off {
				n += m.Off - x.Off
			}
		}
	}
	return n
}

// owns reports whether tensor i has bytes of its own.
func owns(storage []int, i int) bool { return storage == nil || storage[i] == i }

// measure gives the size of every tensor's own bytes and of all.
func measure(tensors Table, storage []int) (sizes []int64, total int64, err error) {
	sizes = make([]int64, tensors.Len())
	if name, twice := tensor.Repeated(len(sizes), func(i int) string { return tensors.Info(i).Name }); twice {
		return nil, 0, fmt.Errorf("tensor %q occurs twice", name)
	}
	for i := range sizes {
		t := tensors.Info(i)
		n, err := t.ByteLen()
		if err != nil {
			return nil, 0, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		// A quarter of the range keeps every later sum of sizes and offsets clear of overflow.
		if n > math.MaxInt64/4-uint64(total) {
			return nil, 0, errors.New("the tensors are too large together")
		}
		if owns(storage, i) {
			sizes[i] = int64(n)
			total += int64(n)
		}
	}
	return sizes, total, nil
}

// split returns the rule of huggingface_hub's serialization/_base.py: a tensor
// above the limit becomes a shard at once while the open shard continues;
// otherwise the open shard closes when the tensor would take it above the
// limit. Shards are numbered in the order in which they close, so that an
// oversize tensor comes before the tensors that surround it. A tensor without
// bytes of its own goes where those it shares are.
//
// Tensors that are elsewhere belong to no shard.
func split(sizes []int64, storage []int, limit int64, elsewhere func(tensor int) bool) [][]int32 {
	var shards [][]int32
	var open []int32
	var size int64
	sharers := map[int][]int32{}
	for i := range storage {
		if !owns(storage, i) {
			sharers[storage[i]] = append(sharers[storage[i]], int32(i))
		}
	}
	for i, n := range sizes {
		if !owns(storage, i) || elsewhere(i) {
			continue
		}
		if n > limit {
			shards = append(shards, append([]int32{int32(i)}, sharers[i]...))
			continue
		}
		if size > limit-n {
			shards = append(shards, open)
			open, size = nil, 0
		}
		open = append(append(open, int32(i)), sharers[i]...)
		size += n
	}
	if len(open) > 0 || len(shards) == 0 {
		shards = append(shards, open)
	}
	return shards
}
