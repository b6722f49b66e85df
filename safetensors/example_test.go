package safetensors_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"slerpmerge/safetensors"
)

func ExampleEncode() {
	tensors := []safetensors.Info{
		{Name: "bias", DType: safetensors.F32, Shape: []uint64{2}},
		{Name: "scale", DType: safetensors.U8, Shape: []uint64{2, 2}},
	}
	values := [][]byte{
		{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40}, // 1, 2
		{1, 2, 3, 4},
	}
	l, err := safetensors.Encode(tensors, map[string]string{"format": "pt"})
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	file.Write(l.Header)
	for _, i := range l.Order {
		file.Write(values[i])
	}
	fmt.Printf("%s\n", bytes.TrimSpace(l.Header[8:]))
	fmt.Println(file.Len() == int(l.Size))
	// Output:
	// {"__metadata__":{"format":"pt"},"bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"scale":{"dtype":"U8","shape":[2,2],"data_offsets":[8,12]}}
	// true
}

func ExampleOpenFile() {
	path, remove := writeExample()
	defer remove()

	f, err := safetensors.OpenFile(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	for i, t := range f.Tensors {
		values := make([]float32, t.Elems())
		if err := binary.Read(f.Section(i), binary.LittleEndian, values); err != nil {
			log.Fatal(err)
		}
		fmt.Println(t.Name, t.DType, t.Shape, values)
	}
	fmt.Println(f.Metadata["format"])
	// Output:
	// weight F32 [1 2] [1 2]
	// pt
}

// Any io.ReaderAt will do, such as a file of package mmapio, or one in memory.
func ExampleOpen() {
	path, remove := writeExample()
	defer remove()
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}

	f, err := safetensors.Open(bytes.NewReader(data), int64(len(data)), safetensors.Options{})
	if err != nil {
		log.Fatal(err)
	}
	i := f.Find("weight")
	second := make([]byte, 4)
	if err := f.Source(i).ReadAt(second, 4); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("% x\n", second)

	_, err = safetensors.Open(bytes.NewReader(data[:len(data)-1]), int64(len(data)-1), safetensors.Options{})
	fmt.Println(err)
	// Output:
	// 00 00 00 40
	// tensor "weight": data_offsets [0,8] reach beyond the 7 bytes of data
}

func ExampleIndex_Encode() {
	index := safetensors.Index{
		{Name: "a", File: "model-00001-of-00002.safetensors"},
		{Name: "b", File: "model-00002-of-00002.safetensors"},
	}
	text, err := index.Encode(8, 0)
	if err != nil {
		log.Fatal(err)
	}
	read, err := safetensors.ReadIndex(bytes.NewReader(text), int64(len(text)), ".safetensors")
	if err != nil {
		log.Fatal(err)
	}
	file, ok := read.File("b")
	fmt.Println(file, ok)
	// Output: model-00002-of-00002.safetensors true
}

// writeExample writes a file with a tensor of two numbers.
func writeExample() (path string, remove func()) {
	dir, err := os.MkdirTemp("", "safetensors")
	if err != nil {
		log.Fatal(err)
	}
	path = filepath.Join(dir, "model.safetensors")
	l, err := safetensors.Encode([]safetensors.Info{{Name: "weight", DType: safetensors.F32, Shape: []uint64{1, 2}}}, map[string]string{"format": "pt"})
	if err != nil {
		log.Fatal(err)
	}
	values := []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40} // 1, 2
	if err := os.WriteFile(path, append(l.Header, values...), 0o666); err != nil {
		log.Fatal(err)
	}
	return path, func() { os.RemoveAll(dir) }
}
