package writer

import (
	"slerpmerge/internal/tensor"
	"slerpmerge/safetensors"
)

// placeSafetensors lays out one safetensors file.
func placeSafetensors(tensors []tensor.Info, which []int) (File, error) {
	shard := make([]tensor.Info, len(which))
	for i, t := range which {
		shard[i] = tensors[t]
	}
	// transformers 4 refuses files without this entry (formats.md 1.8).
	enc, err := safetensors.Encode(shard, map[string]string{"format": "pt"})
	if err != nil {
		return File{}, err
	}
	file := File{
		Size:    enc.Size,
		Fixed:   []Segment{{0, enc.Header}},
		Extents: make([]Extent, len(which)),
	}
	for n, i := range enc.Order {
		file.Extents[n] = Extent{Tensor: which[i], Off: enc.Offsets[i], Len: shard[i].Bytes()}
	}
	return file, nil
}

// indexSafetensors is the index of the shards, in the form of transformers.
func indexSafetensors(tensors []tensor.Info, fileOf []string, total int64) ([]byte, error) {
	index := make(safetensors.Index, len(tensors))
	var elems int64
	for i, t := range tensors {
		index[i] = safetensors.Entry{Name: t.Name, File: fileOf[i]}
		elems += t.Elems()
	}
	return index.Encode(total, elems)
}
