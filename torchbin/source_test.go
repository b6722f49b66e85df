package torchbin

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"slerpmerge/internal/tensor"
)

// plain gathers element by element.
func plain(data []byte, t *Tensor) []byte {
	item := itemSize(t.DType)
	var out []byte
	index := make([]uint64, len(t.Shape))
	for range t.Elems() {
		at := t.Offset
		for i := range index {
			at += int64(index[i] * t.Strides[i])
		}
		out = append(out, data[at:at+item]...)
		for i := len(index) - 1; i >= 0; i-- {
			if index[i]++; index[i] < t.Shape[i] {
				break
			}
			index[i] = 0
		}
	}
	return out
}

func TestGather(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 4<<20)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	f := newMemory(data)
	types := []tensor.DType{tensor.U8, tensor.BF16, tensor.F32, tensor.F64}
	for round := range 3000 {
		x := Tensor{Info: tensor.Info{Name: "x", DType: types[r.IntN(4)]}}
		item := uint64(itemSize(x.DType))
		extent, elems := item, uint64(1)
		for range 1 + r.IntN(4) {
			n := 1 + r.Uint64N(40)
			if r.IntN(8) == 0 {
				n = 1 + r.Uint64N(3000)
			}
			stride := item * r.Uint64N(1<<r.Uint64N(12))
			if r.IntN(3) == 0 {
				stride = item
			}
			if elems*n > 1<<17 || extent+(n-1)*stride > uint64(len(data)-100) {
				continue
			}
			elems *= n
			extent += (n - 1) * stride
			x.Shape, x.Strides = append(x.Shape, n), append(x.Strides, stride)
		}
		r.Shuffle(len(x.Shape), func(i, j int) {
			x.Shape[i], x.Shape[j] = x.Shape[j], x.Shape[i]
			x.Strides[i], x.Strides[j] = x.Strides[j], x.Strides[i]
		})
		if x.Strides == nil {
			x.Strides = []uint64{}
		}
		x.Offset = r.Int64N(100)
		want := plain(data, &x)
		src := (&Checkpoint{Tensors: []Tensor{x}}).Source(f, 0)
		src.Prefetch(0, int64(len(want)))
		got := make([]byte, len(want))
		step := len(want)
		if round%2 == 1 {
			step = 1 + r.IntN(max(len(want), 1))
			step = max(step, len(want)/50)
		}
		for off := 0; off < len(got); off += step {
			if err := src.ReadAt(got[off:min(len(got), off+step)], int64(off)); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("round %d: shape %v strides %v by %d differs", round, x.Shape, x.Strides, step)
		}
	}
}

func TestGatherConcurrently(t *testing.T) {
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i ^ i>>8)
	}
	x := Tensor{Info: tensor.Info{DType: tensor.F16, Shape: []uint64{1024, 512}}, Strides: []uint64{2, 2048}}
	src := (&Checkpoint{Tensors: []Tensor{x}}).Source(newFile(data), 0)
	want := plain(data, &x)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			got := make([]byte, len(want)/8)
			if err := src.ReadAt(got, int64(i*len(got))); err != nil || !bytes.Equal(got, want[i*len(got):(i+1)*len(got)]) {
				t.Errorf("part %d differs, %v", i, err)
			}
		})
	}
	wg.Wait()
}

// More readers than there are bands, in two tensors, and requests of any size.
func TestGatherBands(t *testing.T) {
	data := make([]byte, 4<<20)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	c := &Checkpoint{Tensors: []Tensor{
		{Info: tensor.Info{DType: tensor.BF16, Shape: []uint64{1000, 1001}}, Strides: []uint64{2, 2000}},
		{Info: tensor.Info{DType: tensor.F32, Shape: []uint64{3, 290, 1003}}, Strides: []uint64{1003 * 290 * 4, 4, 290 * 4}},
	}}
	f := newFile(data)
	want := [][]byte{plain(data, &c.Tensors[0]), plain(data, &c.Tensors[1])}
	var wg sync.WaitGroup
	for i := range 12 {
		r := rand.New(rand.NewPCG(5, uint64(i)))
		wg.Go(func() {
			want := want[i%2]
			for at := i * len(want) / 12; at < len(want); {
				n := min(1+r.IntN(100_000), len(want)-at)
				got := make([]byte, n)
				if err := c.Source(f, i%2).ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, want[at:at+n]) {
					t.Errorf("tensor %d [%d,+%d) differs, %v", i%2, at, n, err)
					return
				}
				at += n
			}
		})
	}
	wg.Wait()
}

// A read that fails is reported, and leaves nothing wrong behind.
func TestGatherFails(t *testing.T) {
	x := Tensor{Info: tensor.Info{DType: tensor.BF16, Shape: []uint64{1024, 1024}}, Strides: []uint64{2, 2048}}
	c := &Checkpoint{Tensors: []Tensor{x}}
	f := &failing{plainFile: plainFile{bytes.NewReader(bytes.Repeat([]byte("ab"), 1<<20))}, fails: true}
	p := make([]byte, 100)
	if err := c.Source(f, 0).ReadAt(p, 0); !errors.Is(err, errRead) {
		t.Errorf("error is %v", err)
	}
	f.fails = false
	if err := c.Source(f, 0).ReadAt(p, 0); err != nil || string(p[:2]) != "ab" {
		t.Errorf("%q, %v", p[:2], err)
	}
}

var errRead = errors.New("the disk fails")

type failing struct {
	plainFile
	fails bool
}

func (f *failing) ReadAt(p []byte, off int64) (int, error) {
	if f.fails {
		return 0, errRead
	}
	return f.plainFile.ReadAt(p, off)
}

// An uncounted File, for concurrent use.
type plainFile struct{ *bytes.Reader }

func (plainFile) Prefetch(int64, int64) {}

func newFile(b []byte) File { return plainFile{bytes.NewReader(b)} }

// Of a transposed matrix not much more is read than is needed, however little
// is asked for at once. The most is eight times as much, where runs of 16 bytes
// lie 128 bytes apart.
func TestGatherReadsLittle(t *testing.T) {
	data := make([]byte, 8<<20)
	f := newMemory(data)
	for _, shape := range [][]uint64{{2048, 2048}, {64, 65536}, {65536, 64}} {
		x := Tensor{Info: tensor.Info{DType: tensor.F16, Shape: shape}, Strides: []uint64{2, 2 * shape[0]}}
		src := (&Checkpoint{Tensors: []Tensor{x}}).Source(f, 0)
		for _, n := range []int{1 << 20, 128 << 10} {
			f.read, f.reads = 0, 0
			p := make([]byte, n)
			for off := int64(0); off < x.Bytes(); off += int64(len(p)) {
				if err := src.ReadAt(p, off); err != nil {
					t.Fatal(err)
				}
			}
			if f.read > 9*int64(len(data)) || f.reads > len(data)/32 {
				t.Errorf("%v by %d: %d bytes in %d reads for %d", shape, n, f.read, f.reads, len(data))
			}
		}
	}
}

func BenchmarkTransposed(b *testing.B) {
	data := make([]byte, 32<<20)
	x := Tensor{Info: tensor.Info{DType: tensor.BF16, Shape: []uint64{4096, 4096}}, Strides: []uint64{2, 8192}}
	src := (&Checkpoint{Tensors: []Tensor{x}}).Source(newFile(data), 0)
	p := make([]byte, 1<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		for off := int64(0); off < x.Bytes(); off += int64(len(p)) {
			if err := src.ReadAt(p, off); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// A stridedFile counts how its pieces are read.
type stridedFile struct {
	plainFile
	mu            sync.Mutex
	calls, pieces int
}

func (f *stridedFile) ReadStrided(p []byte, off, step int64, size int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	for ; len(p) > 0; off += step {
		if _, err := f.ReadAt(p[:size], off); err != nil {
			return err
		}
		p = p[size:]
		f.pieces++
	}
	return nil
}

// A file that can read many short pieces at once is asked to, in few and long
// ones: what is left of a band's width decides how fast a transposed matrix is.
func TestGatherStrided(t *testing.T) {
	data := make([]byte, 64<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	f := &stridedFile{plainFile: plainFile{bytes.NewReader(data)}}
	const side = 4096
	x := Tensor{Info: tensor.Info{DType: tensor.F32, Shape: []uint64{side, side}}, Strides: []uint64{4, 4 * side}}
	src := (&Checkpoint{Tensors: []Tensor{x}}).Source(f, 0)
	got := make([]byte, len(data))
	for off := 0; off < len(got); off += 1 << 20 {
		if err := src.ReadAt(got[off:off+1<<20], int64(off)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range side {
		for _, j := range []int{0, 1, i, side - 1} {
			if !bytes.Equal(got[4*(i*side+j):][:4], data[4*(j*side+i):][:4]) {
				t.Fatalf("element %d, %d differs", i, j)
			}
		}
	}
	if f.calls == 0 || f.pieces > len(data)/1024 {
		t.Errorf("%d pieces in %d calls for %d bytes", f.pieces, f.calls, len(data))
	}
}
