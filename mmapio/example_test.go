package mmapio_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"slerpmerge/mmapio"
)

// Whatever is read, at most 64 MiB of the pool's files are resident.
func Example() {
	dir, err := os.MkdirTemp("", "mmapio")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "data")
	if err := os.WriteFile(path, []byte("hello, world"), 0o666); err != nil {
		log.Fatal(err)
	}

	pool := mmapio.NewPool(64 << 20)
	f, err := pool.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 5)
	if _, err := f.ReadAt(p, 7); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s of %d bytes\n", p, f.Size())
	fmt.Println("unchanged:", f.Check() == nil)
	// Output:
	// world of 12 bytes
	// unchanged: true
}
