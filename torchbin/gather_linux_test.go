package torchbin

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"slerpmerge/internal/tensor"
	"slerpmerge/mmapio"
)

// BenchmarkGather reads a transposed matrix of 8192 x 8192 bf16 from a mapped
// file in the page cache, in pieces as the merge asks for them.
func BenchmarkGather(b *testing.B) {
	const side = 8192
	path := filepath.Join(b.TempDir(), "matrix")
	data := make([]byte, 2*side*side)
	rand.NewChaCha8([32]byte{}).Read(data)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
	x := Tensor{Info: tensor.Info{DType: tensor.BF16, Shape: []uint64{side, side}}, Strides: []uint64{2, 2 * side}}
	c := &Checkpoint{Tensors: []Tensor{x}}
	for _, limit := range []int64{16 << 20, 0} {
		for _, piece := range []int64{128 << 10, 1 << 20} {
			for _, readers := range []int64{1, 2, 8} {
				b.Run(fmt.Sprintf("limit=%dM/piece=%dK/readers=%d", limit>>20, piece>>10, readers), func(b *testing.B) {
					f, err := mmapio.NewPool(limit).Open(path)
					if err != nil {
						b.Fatal(err)
					}
					defer f.Close()
					b.SetBytes(int64(len(data)))
					cpu := cpuTime()
					for b.Loop() {
						var wg sync.WaitGroup
						for i := range readers {
							wg.Go(func() {
								p := make([]byte, piece)
								part := x.Bytes() / readers
								for off := i * part; off < (i+1)*part; off += piece {
									if err := c.Source(f, 0).ReadAt(p, off); err != nil {
										b.Error(err)
										return
									}
								}
							})
						}
						wg.Wait()
					}
					// On a busy machine this tells more than the time.
					b.ReportMetric(float64(b.N*len(data))/1e6/(cpuTime()-cpu).Seconds(), "MB/cpu-s")
				})
			}
		}
	}
}

// cpuTime is the time that the process has spent on the CPU.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
