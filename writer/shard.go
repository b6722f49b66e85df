package writer

import (
	"slerpmerge/internal/tensor"
	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
)

// placeSafetensors lays out one safetensors file.
func placeSafetensors(tensors []tensor.Info, _, which []int) (File, error) {
	// transformers 4 refuses files without this entry (docs/formats.md 2.2).
	enc, err := safetensors.Encode(pick(tensors, which), map[string]string{"format": "pt"})
	if err != nil {
		return File{}, err
	}
	file := File{
		Size:    enc.Size,
		Fixed:   []Segment{{0, enc.Header}},
		Extents: make([]Extent, len(which)),
	}
	for n, i := range enc.Order {
		file.Extents[n] = Extent{Tensor: which[i], Off: enc.Offsets[i], Len: tensors[which[i]].Bytes()}
	}
	return file, nil
}

// placeBin lays out one PyTorch checkpoint. Its storages stand in the order
// of the model.
func placeBin(tensors []tensor.Info, storage, which []int) (File, error) {
	place := make(map[int]int, len(which)) // of a tensor in which
	local := make([]int, len(which))
	for i, t := range which {
		place[t] = i
		local[i] = i
		if !owns(storage, t) {
			local[i] = place[storage[t]]
		}
	}
	enc, err := torchbin.Encode(pick(tensors, which), local)
	if err != nil {
		return File{}, err
	}
	file := File{Size: enc.Size, Fixed: make([]Segment, len(enc.Parts))}
	for i, p := range enc.Parts {
		file.Fixed[i] = Segment(p)
	}
	extent := make([]int, len(which))
	for i, t := range which {
		if local[i] != i {
			continue
		}
		extent[i] = len(file.Extents)
		file.Extents = append(file.Extents, Extent{Tensor: t, Off: enc.Offsets[i], Len: tensors[t].Bytes()})
	}
	for _, s := range enc.Sums {
		x := &file.Extents[extent[s.Tensor]]
		x.Sums = append(x.Sums, s.At)
	}
	return file, nil
}

func pick(tensors []tensor.Info, which []int) []tensor.Info {
	shard := make([]tensor.Info, len(which))
	for i, t := range which {
		shard[i] = tensors[t]
	}
	return shard
}

// encodeIndex is the index of the shards, in the form of transformers.
func encodeIndex(tensors []tensor.Info, storage []int, fileOf []string, total int64) ([]byte, error) {
	index := make(safetensors.Index, len(tensors))
	var elems int64
	for i, t := range tensors {
		index[i] = safetensors.Entry{Name: t.Name, File: fileOf[i]}
		if owns(storage, i) {
			elems += t.Elems()
		}
	}
	return index.Encode(total, elems)
}
