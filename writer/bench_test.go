package writer

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// BenchmarkWrite writes 1 GiB in pieces of 2 MiB and waits until it is on the
// disk. work=… spends some time on every piece, as merging does; that is what
// write-back hides behind. Run with -benchtime 5x; the first round of a variant
// touches memory that was never used and doesn't count.
func BenchmarkWrite(b *testing.B) {
	const size, step = 1 << 30, 2 << 20
	piece := counted(step)
	other := counted(2 << 20)
	work := func(n int) (sum uint64) {
		for range n {
			for _, c := range other {
				sum += uint64(c)
			}
		}
		return sum
	}
	l := &Layout{Files: []File{{Name: "x", Size: size, Extents: []Extent{{Len: size}}}}}
	ours := func(b *testing.B, path string, n int, sys *system) {
		o := create(b, path, Options{sys: sys})
		must(b, o.Presize(b.Context(), l))
		for off := int64(0); off < size; off += step {
			work(n)
			must(b, o.Write(0, piece, off, nil))
		}
		must(b, o.Publish())
	}
	plain := func(b *testing.B, path string, n int, _ *system) {
		f, err := os.Create(path)
		must(b, err)
		defer f.Close()
		for off := int64(0); off < size; off += step {
			work(n)
			_, err := f.WriteAt(piece, off)
			must(b, err)
		}
		must(b, f.Sync())
	}
	for _, v := range []struct {
		name string
		n    int
		run  func(*testing.B, string, int, *system)
		back func(*os.File, int64, int64) error
	}{
		{"work=none/plain", 0, plain, nil},
		{"work=none/flusher", 0, ours, startWriteback},
		{"work=none/noflusher", 0, ours, func(*os.File, int64, int64) error { return syscall.ENOSYS }},
		{"work=some/plain", 1, plain, nil},
		{"work=some/flusher", 1, ours, startWriteback},
		{"work=some/noflusher", 1, ours, func(*os.File, int64, int64) error { return errors.ErrUnsupported }},
	} {
		b.Run(v.name, func(b *testing.B) {
			sys := realSystem()
			sys.writeBack = v.back
			b.SetBytes(size)
			path := filepath.Join(b.TempDir(), "out")
			for b.Loop() {
				v.run(b, path, v.n, sys)
				b.StopTimer()
				must(b, os.RemoveAll(path))
				b.StartTimer()
			}
		})
	}
}
