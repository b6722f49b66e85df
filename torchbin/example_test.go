package torchbin_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"log"

	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
)

// memory is a file in memory. Hints are of no use to it.
type memory struct{ *bytes.Reader }

func (memory) Prefetch(off, n int64) {}

// Two tensors, of which the second one shares the storage of the first.
func ExampleEncode() {
	file := encodeExample()
	fmt.Println(len(file), string(file[:2]))
	// Output: 922 PK
}

func ExampleOpen() {
	file := memory{bytes.NewReader(encodeExample())}
	c, err := torchbin.Open(file, file.Size(), torchbin.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(c.Format)
	for i, t := range c.Tensors {
		values := make([]byte, t.Bytes())
		if err := c.Source(file, i).ReadAt(values, 0); err != nil {
			log.Fatal(err)
		}
		fmt.Println(t.Name, t.DType, t.Shape, t.SharesWith, values)
	}
	// Output:
	// torch-zip
	// embed.weight BF16 [2]  [128 63 0 64]
	// head.weight BF16 [2] embed.weight [128 63 0 64]
}

// encodeExample makes a checkpoint: the bytes that Encode knows, the values
// between them, and the checksums of these.
func encodeExample() []byte {
	tensors := []torchbin.Info{
		{Name: "embed.weight", DType: safetensors.BF16, Shape: []uint64{2}},
		{Name: "head.weight", DType: safetensors.BF16, Shape: []uint64{2}},
	}
	values := []byte{0x80, 0x3f, 0, 0x40} // 1, 2
	l, err := torchbin.Encode(tensors, []int{0, 0})
	if err != nil {
		log.Fatal(err)
	}
	file := make([]byte, l.Size)
	for _, literal := range l.Literals {
		copy(file[literal.Off:], literal.Data)
	}
	copy(file[l.Offsets[0]:], values)
	for _, slot := range l.CRCSlots {
		binary.LittleEndian.PutUint32(file[slot.At:], crc32.ChecksumIEEE(values))
	}
	return file
}
