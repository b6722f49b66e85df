package writer

import (
	"slices"

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
	bare    bool // without Extents, for the literals alone
}

// placeSafetensors lays out one safetensors file.
func placeSafetensors(s shard) (File, error) {
	// transformers 4 refuses files without this entry (docs/formats.md 2.2).
	enc, err := safetensors.EncodeTable(shardTable{&s}, map[string]string{"format": "pt"})
	if err != nil {
		return File{}, err
	}
	file := File{
		Size:     enc.Size,
		Literals: []Literal{{Off: 0, Data: enc.Header}},
	}
	if s.bare {
		return file, nil
	}
	file.Extents = make([]Extent, len(enc.Order))
	for n, i := range enc.Order {
		t := int(s.which[i])
		file.Extents[n] = Extent{Tensor: t, Off: enc.Offsets[i], Len: s.tensors.Info(t).Bytes()}
	}
	return file, nil
}

// A shardTable is a shard as the packages of the formats read it.
type shardTable struct{ *shard }

// Len returns the number of tensors.
func (t shardTable) Len() int { return len(t.which) }

// Info returns tensor i of the shard.
func (t shardTable) Info(i int) safetensors.Info {
	info := *t.tensors.Info(int(t.which[i]))
	info.Name = info.Name[t.cut:]
	return info
}

// placeBin lays out one PyTorch checkpoint. Its storages stand in the order
// of the model.
func placeBin(s shard) (File, error) {
	var local []int // nil if no tensor shares
	if s.storage != nil {
		local = make([]int, len(s.which))
		for i, t := range s.which {
			local[i] = i
			if !owns(s.storage, int(t)) { // which is sorted
				local[i], _ = slices.BinarySearch(s.which, int32(s.storage[t]))
			}
		}
	}
	table := shardTable{&s}
	if s.bare {
		parts, size, err := torchbin.Literals(table, local)
		return File{Size: size, HasCRCs: true, Literals: parts}, err
	}
	enc, err := torchbin.EncodeTable(table, local)
	if err != nil {
		return File{}, err
	}
	file := File{Size: enc.Size, HasCRCs: true, Extents: make([]Extent, 0, len(s.which))}
	extent := make([]int32, len(s.which))
	for i, t := range s.which {
		if local != nil && local[i] != i {
			continue
		}
		extent[i] = int32(len(file.Extents))
		file.Extents = append(file.Extents, Extent{Tensor: int(t), Off: enc.Offsets[i], Len: s.tensors.Info(int(t)).Bytes()})
	}
	places := make([]int64, len(enc.CRCSlots)) // one behind the values, one in the directory
	for _, sum := range enc.CRCSlots {
		x := &file.Extents[extent[sum.Tensor]]
		if x.CRCSlots == nil {
			x.CRCSlots, places = places[:0:2], places[2:]
		}
		x.CRCSlots = append(x.CRCSlots, sum.At)
	}
	return file, nil
}
