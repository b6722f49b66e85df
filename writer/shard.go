package writer

import (
	"slices"

	"slerpmerge/internal/tensor"
	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
)

// A shard is the tensors of a table at the indices which, in the order of the
// model.
type shard struct {
	tensors Table
	storage []int
	which   []int32
	cut     int  // bytes of every name that are left out
	bare    bool // Fixed alone is wanted, no Extents
}

// infos copies the table of the shard.
func (s *shard) infos() []tensor.Info {
	list := make([]tensor.Info, len(s.which))
	for i, t := range s.which {
		list[i] = *s.tensors.Info(int(t))
		list[i].Name = list[i].Name[s.cut:]
	}
	return list
}

// placeSafetensors lays out one safetensors file.
func placeSafetensors(s shard) (File, error) {
	infos := s.infos()
	// transformers 4 refuses files without this entry (docs/formats.md 2.2).
	enc, err := safetensors.Encode(infos, map[string]string{"format": "pt"})
	if err != nil {
		return File{}, err
	}
	file := File{
		Size:  enc.Size,
		Fixed: []Segment{{0, enc.Header}},
	}
	if s.bare {
		return file, nil
	}
	file.Extents = make([]Extent, len(infos))
	for n, i := range enc.Order {
		file.Extents[n] = Extent{Tensor: int(s.which[i]), Off: enc.Offsets[i], Len: infos[i].Bytes()}
	}
	return file, nil
}

// placeBin lays out one PyTorch checkpoint. Its storages stand in the order
// of the model.
func placeBin(s shard) (File, error) {
	local := make([]int, len(s.which))
	for i, t := range s.which {
		local[i] = i
		if !owns(s.storage, int(t)) { // which is sorted
			local[i], _ = slices.BinarySearch(s.which, int32(s.storage[t]))
		}
	}
	infos := s.infos()
	enc, err := torchbin.Encode(infos, local)
	if err != nil {
		return File{}, err
	}
	file := File{Size: enc.Size, Summed: true, Fixed: make([]Segment, len(enc.Parts))}
	for i, p := range enc.Parts {
		file.Fixed[i] = Segment(p)
	}
	if s.bare {
		return file, nil
	}
	file.Extents = make([]Extent, 0, len(infos))
	extent := make([]int32, len(infos))
	for i, t := range s.which {
		if local[i] != i {
			continue
		}
		extent[i] = int32(len(file.Extents))
		file.Extents = append(file.Extents, Extent{Tensor: int(t), Off: enc.Offsets[i], Len: infos[i].Bytes()})
	}
	places := make([]int64, 2*len(file.Extents)) // one behind the values, one in the directory
	for _, sum := range enc.Sums {
		k := extent[sum.Tensor]
		x := &file.Extents[k]
		if x.Sums == nil {
			x.Sums = places[2*k:][:0:2]
		}
		x.Sums = append(x.Sums, sum.At)
	}
	return file, nil
}
