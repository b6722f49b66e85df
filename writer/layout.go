package writer

import (
	"errors"
	"fmt"
	"math"

	"slerpmerge/internal/tensor"
)

// A Layout says, before any byte is computed, what every file of weights
// will be: its name, its exact size and the place of every tensor's bytes.
type Layout struct {
	Files      []File
	IndexName  string // "" with one file
	Index      []byte // nil with one file
	TotalBytes int64  // of the tensors' values, without headers
}

// A File is one file of weights. Its bytes are of three kinds: those of Fixed,
// known beforehand; those of Extents, the tensors; and what belongs to
// neither, fields that only streaming can tell (a CRC). The last two kinds are
// owed to WriteAt, each byte once; then the file is complete.
type File struct {
	Name    string
	Size    int64     // bytes
	Fixed   []Segment // in offset order
	Extents []Extent  // in offset order, those of tensors without elements included
}

// A Segment is a run of bytes known beforehand.
type Segment struct {
	Off  int64
	Data []byte
}

// An Extent is the place of a tensor's bytes in a file.
type Extent struct {
	Tensor   int // index into the tensors given to Lay
	Off, Len int64
}

// A Format is a format of weight files. The zero value is Safetensors.
type Format uint8

// Safetensors is model.safetensors, or its shards and model.safetensors.index.json.
const Safetensors Format = 0

// A layer is what Lay needs to know about a Format. place lays out one shard:
// the tensors at the indices which, in the order of the model.
type layer struct {
	stem, ext string
	place     func(tensors []tensor.Info, which []int) (File, error)
	index     func(tensors []tensor.Info, fileOf []string, total int64) ([]byte, error)
}

var layers = map[Format]layer{
	Safetensors: {"model", ".safetensors", placeSafetensors, indexSafetensors},
}

// Lay decides the files that hold the tensors. Tensors go to shards in the
// order given, by Hugging Face's rule (formats.md 1.8): shardSize limits the
// bytes of the tensors in a file. A model without tensors is one file.
func Lay(tensors []tensor.Info, shardSize int64, format Format) (*Layout, error) {
	f, ok := layers[format]
	if !ok {
		return nil, fmt.Errorf("laying out the weights: unknown format %d", format)
	}
	sizes, total, err := measure(tensors)
	if err != nil {
		return nil, fmt.Errorf("laying out the weights: %w", err)
	}
	if shardSize <= 0 {
		return nil, fmt.Errorf("laying out the weights: a shard size of %d bytes", shardSize)
	}
	shards := split(sizes, shardSize)
	l := &Layout{TotalBytes: total}
	fileOf := make([]string, len(tensors))
	for i, which := range shards {
		file, err := f.place(tensors, which)
		if err != nil {
			return nil, fmt.Errorf("laying out the weights: %w", err)
		}
		file.Name = f.stem + f.ext
		if len(shards) > 1 {
			file.Name = fmt.Sprintf("%s-%05d-of-%05d%s", f.stem, i+1, len(shards), f.ext)
		}
		for _, t := range which {
			fileOf[t] = file.Name
		}
		l.Files = append(l.Files, file)
	}
	if len(shards) > 1 {
		l.IndexName = f.stem + f.ext + ".index.json"
		if l.Index, err = f.index(tensors, fileOf, total); err != nil {
			return nil, fmt.Errorf("laying out %s: %w", l.IndexName, err)
		}
	}
	return l, nil
}

// Bytes is the size of all files, the index included.
func (l *Layout) Bytes() int64 {
	n := int64(len(l.Index))
	for _, f := range l.Files {
		n += f.Size
	}
	return n
}

// measure gives the size of every tensor and of all.
func measure(tensors []tensor.Info) (sizes []int64, total int64, err error) {
	sizes = make([]int64, len(tensors))
	seen := make(map[string]bool, len(tensors))
	for i, t := range tensors {
		if seen[t.Name] {
			return nil, 0, fmt.Errorf("tensor %q occurs twice", t.Name)
		}
		seen[t.Name] = true
		n, err := t.ByteLen()
		if err != nil {
			return nil, 0, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
		// A quarter of the range keeps every later sum of sizes and offsets clear of overflow.
		if n > math.MaxInt64/4-uint64(total) {
			return nil, 0, errors.New("the tensors are too large together")
		}
		sizes[i] = int64(n)
		total += int64(n)
	}
	return sizes, total, nil
}

// split is the rule of huggingface_hub's serialization/_base.py: a tensor
// above the limit becomes a shard at once while the open shard continues;
// otherwise the open shard closes when the tensor would take it above the
// limit. Shards are numbered in the order in which they close, so that an
// oversize tensor comes before the tensors that surround it.
func split(sizes []int64, limit int64) [][]int {
	var shards [][]int
	var open []int
	var size int64
	for i, n := range sizes {
		if n > limit {
			shards = append(shards, []int{i})
			continue
		}
		if size > limit-n {
			shards = append(shards, open)
			open, size = nil, 0
		}
		open = append(open, i)
		size += n
	}
	if len(open) > 0 || len(shards) == 0 {
		shards = append(shards, open)
	}
	return shards
}
