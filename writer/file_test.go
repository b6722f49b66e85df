package writer

import (
	"archive/zip"
	"bytes"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"slerpmerge/internal/tensor"
)

// A PyTorch checkpoint is the same whatever the order and the size of the
// pieces, and whether they span what lies between the tensors; every checksum
// in it is right.
func TestCheckpointInAnyOrder(t *testing.T) {
	t.Parallel()
	tensors := f32s(5, 3000, 0, 20, 7, 5)
	tensors = append(tensors, tensor.Info{Name: "odd", DType: tensor.U8, Shape: []uint64{77}})
	storage := []int{0, 1, 2, 3, 4, 0, 6}
	data := make([][]byte, len(tensors))
	r := rand.New(rand.NewPCG(1, 2))
	for i, x := range tensors {
		data[i] = make([]byte, x.Bytes())
		for k := range data[i] {
			data[i][k] = byte(r.Uint32())
		}
	}
	want := map[string][]byte{}
	for round := range 60 {
		l, err := NewLayout(tensors, storage, 12100, Bin)
		must(t, err)
		if len(l.Files) != 2 || l.Files[0].Tensors+l.Files[1].Tensors != len(tensors) {
			t.Fatalf("%+v", l.Files)
		}
		out := filepath.Join(t.TempDir(), "out")
		o := create(t, out, Options{})
		must(t, o.Presize(t.Context(), l))
		type write struct {
			file int
			off  int64
			p    []byte
		}
		var all []write
		for i, f := range l.Files {
			image := make([]byte, f.Size)
			extent := make([]int, f.Size) // of each byte, -1 for none
			for k := range extent {
				extent[k] = -1
			}
			for n, x := range f.Extents {
				copy(image[x.Off:], data[x.Tensor])
				for k := range x.Len {
					extent[x.Off+k] = n
				}
			}
			for at := int64(0); at < f.Size; {
				if extent[at] < 0 {
					at++
					continue
				}
				end := min(at+1+r.Int64N(1+4000>>(round%12)), f.Size)
				for extent[end-1] < 0 {
					end--
				}
				all = append(all, write{i, at, image[at:end]})
				at = end
			}
		}
		if round%2 > 0 {
			r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
		for _, w := range all {
			must(t, o.Write(w.file, w.p, w.off, nil))
		}
		must(t, o.Publish())
		got := readAll(t, out)
		if round == 0 {
			want = got
			checkArchives(t, l, got, data)
		}
		for name, b := range want {
			if !bytes.Equal(got[name], b) {
				t.Fatalf("round %d: %s differs", round, name)
			}
		}
	}
}

// checkArchives reads the files with another ZIP reader, which verifies the
// checksums.
func checkArchives(t *testing.T, l *Layout, files map[string][]byte, data [][]byte) {
	t.Helper()
	for _, f := range l.Files {
		z, err := zip.NewReader(bytes.NewReader(files[f.Name]), f.Size)
		must(t, err)
		if len(z.File) != 3+len(f.Extents) {
			t.Errorf("%s has %d entries", f.Name, len(z.File))
		}
		for i, e := range z.File[2 : len(z.File)-1] {
			x := f.Extents[i]
			r, err := e.Open()
			must(t, err)
			b, err := io.ReadAll(r)
			must(t, err)
			if !bytes.Equal(b, data[x.Tensor]) || e.CRC32 != crc32.ChecksumIEEE(b) {
				t.Errorf("%s: %s is not tensor %d", f.Name, e.Name, x.Tensor)
			}
			if off, err := e.DataOffset(); err != nil || off != x.Off || off%64 != 0 {
				t.Errorf("%s: %s lies at %d, planned at %d, %v", f.Name, e.Name, off, x.Off, err)
			}
		}
	}
}

func TestWriteAtRefuses(t *testing.T) {
	for name, w := range map[string]struct{ off, n int64 }{
		"fixed bytes":      {0, 4},
		"from fixed bytes": {60, 10},
		"past the end":     {0, 1 << 20},
		"negative":         {-1, 1},
	} {
		l, err := NewLayout(f32s(5), nil, 100, Bin)
		must(t, err)
		o := create(t, filepath.Join(t.TempDir(), "out"), Options{})
		must(t, o.Presize(t.Context(), l))
		if err := o.Write(0, make([]byte, w.n), w.off, nil); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestCombine(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		p := make([]byte, r.IntN(5000))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		k := r.IntN(len(p) + 1)
		a, b := crc32.ChecksumIEEE(p[:k]), crc32.ChecksumIEEE(p[k:])
		if got, want := CombineCRC32(a, b, int64(len(p)-k)), crc32.ChecksumIEEE(p); got != want {
			t.Fatalf("%d of %d bytes: %08x, want %08x", k, len(p), got, want)
		}
	}
}
