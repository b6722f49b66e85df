package mmapio

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// BenchmarkReadAt streams warm files, one for each goroutine, the way a merge
// reads its two parents. The file is written in small pieces, so that the page
// cache holds no huge pages, which is the harder case, and in large ones.
// Memory that was never touched is slow at first: an untimed pass comes before.
func BenchmarkReadAt(b *testing.B) {
	const size = 512 << 20
	for _, unit := range []int{64 << 10, 8 << 20} {
		dir := b.TempDir()
		var paths [2]string
		for i := range paths {
			paths[i] = filepath.Join(dir, fmt.Sprint(i))
			fill(b, paths[i], size, unit)
		}
		for _, piece := range []int{128 << 10, 256 << 10} {
			for readers := 1; readers <= len(paths); readers++ {
				name := func(how string) string {
					return fmt.Sprintf("written=%dK/piece=%dK/readers=%d/%s", unit>>10, piece>>10, readers, how)
				}
				b.Run(name("pread"), func(b *testing.B) {
					stream(b, paths[:readers], size, piece, func(path string) (source, error) {
						return os.Open(path)
					})
				})
				for _, limit := range []int64{8, 16, 24, 32, 64, 0} {
					b.Run(name(fmt.Sprintf("limit=%dM", limit)), func(b *testing.B) {
						pool := NewPool(limit << 20)
						stream(b, paths[:readers], size, piece, func(path string) (source, error) {
							return pool.Open(path)
						})
					})
				}
			}
		}
	}
}

type source interface {
	io.ReaderAt
	io.Closer
}

// stream opens, reads and closes all paths at once, over and over.
func stream(b *testing.B, paths []string, size int64, piece int, open func(string) (source, error)) {
	buffers := make([][]byte, len(paths))
	for i := range buffers {
		buffers[i] = make([]byte, piece)
	}
	pass := func() {
		var wg sync.WaitGroup
		for i, path := range paths {
			wg.Go(func() {
				f, err := open(path)
				if err != nil {
					b.Error(err)
					return
				}
				defer f.Close()
				for off := int64(0); off < size; off += int64(piece) {
					if _, err := f.ReadAt(buffers[i], off); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	pass()
	b.SetBytes(size * int64(len(paths)))
	for b.Loop() {
		pass()
	}
}

// fill writes a file of pseudo-random bytes in pieces of the given size.
func fill(t testing.TB, path string, size int64, unit int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	piece := make([]byte, unit)
	rand.NewChaCha8([32]byte{byte(size)}).Read(piece)
	for size > 0 {
		n := min(size, int64(len(piece)))
		if _, err := f.Write(piece[:n]); err != nil {
			t.Fatal(err)
		}
		size -= n
	}
}
