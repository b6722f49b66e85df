package torchbin

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"

	"slerpmerge/internal/tensor"
)

// Permuted tensors of up to six dimensions, also expanded or with elements that
// overlap, are gathered as element by element, however much memory there is and
// however many readers share it.
func TestGatherPermuted(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	data := make([]byte, 12<<20)
	rand.NewChaCha8([32]byte{1}).Read(data)
	f := &stridedFile{plainFile: plainFile{bytes.NewReader(data)}}
	types := []tensor.DType{tensor.U8, tensor.BF16, tensor.F32, tensor.F64}
	for round := range 24 {
		own := &Gatherer{newBands(int64(1+r.IntN(3)) * bandUnit)}
		x := Tensor{Info: tensor.Info{Name: "x", DType: types[r.IntN(len(types))]}, Offset: r.Int64N(64)}
		item := uint64(itemSize(x.DType))
		count := 2 + r.IntN(5)
		x.Shape, x.Strides = make([]uint64, count), make([]uint64, count)
		elems := uint64(1)
		for i := range count {
			x.Shape[i] = 1
			for elems*x.Shape[i] < (4<<20)/item>>(4*(count-1-i)/3) && r.IntN(12) > 0 {
				x.Shape[i]++
				if r.IntN(2) == 0 {
					x.Shape[i] *= 2
				}
			}
			elems *= x.Shape[i]
		}
		for elems*item > 10<<20 { // the last step may have gone too far
			k := r.IntN(count)
			elems = elems / x.Shape[k] * max(1, x.Shape[k]/2)
			x.Shape[k] = max(1, x.Shape[k]/2)
		}
		for i, stride := 0, item; i < count; i++ {
			x.Strides[i] = stride
			stride *= x.Shape[i]
		}
		switch k := r.IntN(count); r.IntN(4) {
		case 0:
			x.Strides[k] = 0
		case 1:
			x.Strides[k] = x.Strides[k] / 2 / item * item
		}
		r.Shuffle(count, func(i, j int) {
			x.Shape[i], x.Shape[j] = x.Shape[j], x.Shape[i]
			x.Strides[i], x.Strides[j] = x.Strides[j], x.Strides[i]
		})
		want := plain(data, &x)
		got := make([]byte, len(want))
		piece := min(len(want), 1+r.IntN(1<<20))
		src := (&Checkpoint{Tensors: []Tensor{x}, shared: own}).Source(&plainFile{bytes.NewReader(data)}, 0)
		if round%2 == 0 {
			src = (&Checkpoint{Tensors: []Tensor{x}, shared: own}).Source(f, 0)
		}
		next := make(chan int)
		var wg sync.WaitGroup
		for range 1 + r.IntN(3) {
			wg.Go(func() {
				for off := range next {
					if err := src.ReadAt(got[off:min(len(got), off+piece)], int64(off)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for off := 0; off < len(got); off += piece {
			next <- off
		}
		close(next)
		wg.Wait()
		if !bytes.Equal(got, want) {
			t.Fatalf("round %d: %v, shape %v strides %v by %d differs", round, x.DType, x.Shape, x.Strides, piece)
		}
	}
}

// Bands change with the memory, and never take more than there is.
func TestGathererMemory(t *testing.T) {
	data := make([]byte, 64<<20)
	x := Tensor{Info: tensor.Info{DType: tensor.F32, Shape: []uint64{4096, 4096}}, Strides: []uint64{4, 4 * 4096}}
	g := NewGatherer()
	src := (&Checkpoint{Tensors: []Tensor{x}, shared: g}).Source(newFile(data), 0)
	p := make([]byte, 1<<20)
	for _, c := range []struct{ set, want int64 }{{0, GatherMemory}, {27 << 20, 27 << 20}, {1 << 40, MaxGatherMemory}} {
		g.SetMemory(c.set)
		for off := int64(0); off < x.Bytes(); off += int64(len(p)) {
			if err := src.ReadAt(p, off); err != nil {
				t.Fatal(err)
			}
		}
		if got := int64(len(g.bands.memory)); got != c.want {
			t.Errorf("%d bytes for %d, want %d", got, c.set, c.want)
		}
	}
}
