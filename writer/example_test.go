package writer_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"slerpmerge/safetensors"
	"slerpmerge/writer"
)

// A model of two files. Whatever happens before Publish, OUT does not exist.
func Example() {
	dir, err := os.MkdirTemp("", "writer")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "OUT")

	tensors := []safetensors.Info{
		{Name: "a", DType: safetensors.U8, Shape: []uint64{4}},
		{Name: "b", DType: safetensors.U8, Shape: []uint64{2, 2}},
	}
	layout, err := writer.NewLayout(tensors, nil, 4, writer.Safetensors)
	if err != nil {
		log.Fatal(err)
	}
	o, err := writer.Create(out, writer.Options{})
	if err != nil {
		log.Fatal(err)
	}
	if err := write(o, layout); err != nil {
		o.Abort()
		log.Fatal(err)
	}
	entries, err := os.ReadDir(out)
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range entries {
		fmt.Println(e.Name())
	}
	// Output:
	// SHA256SUMS
	// config.json
	// model-00001-of-00002.safetensors
	// model-00002-of-00002.safetensors
	// model.safetensors.index.json
}

func write(o *writer.Output, layout *writer.Layout) error {
	if err := o.Presize(context.Background(), layout); err != nil {
		return err
	}
	for i, file := range layout.Files {
		for _, x := range file.Extents {
			values := make([]byte, x.Len) // those of the tensor with the index x.Tensor
			if err := o.Write(i, values, x.Off, nil); err != nil {
				return err
			}
		}
	}
	if err := o.Put("config.json", []byte("{}\n")); err != nil {
		return err
	}
	if _, err := o.PutDigests(context.Background(), 1, nil); err != nil {
		return err
	}
	return o.Publish()
}

// The layout follows from names, types and shapes alone.
func ExampleNewLayout() {
	tensors := []safetensors.Info{
		{Name: "a", DType: safetensors.BF16, Shape: []uint64{1024, 1024}},
		{Name: "b", DType: safetensors.BF16, Shape: []uint64{1024, 1024}},
	}
	layout, err := writer.NewLayout(tensors, nil, 5e9, writer.Bin)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range layout.Files {
		fmt.Println(f.Name, f.Size, len(f.Extents), "tensors")
	}
	// Output: pytorch_model.bin 4195350 2 tensors
}
