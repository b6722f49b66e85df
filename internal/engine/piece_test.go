package engine

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// Pieces cover every byte of every tensor once, in the order of the files;
// none is longer than the limit or reaches into another file, no element is
// cut, and no tensor that is to stay whole.
func TestCutter(t *testing.T) {
	types := []tensor.DType{tensor.BF16, tensor.F32, tensor.F64, tensor.U8, tensor.F8E4M3, tensor.BOOL}
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		size := int64(64) << r.IntN(6)
		var tensors []plan.Tensor
		var infos []tensor.Info
		for i := range 1 + r.IntN(40) {
			elems := uint64(r.IntN(200))
			if r.IntN(4) == 0 {
				elems = uint64(r.IntN(5000))
			}
			info := tensor.Info{Name: string(rune('a' + i)), DType: types[r.IntN(len(types))], Shape: []uint64{elems}}
			infos = append(infos, info)
			tensors = append(tensors, plan.Tensor{Info: info})
		}
		l, err := writer.NewLayout(infos, nil, 1+int64(r.IntN(20000)), writer.Safetensors)
		if err != nil {
			t.Fatal(err)
		}
		whole := func(i int) bool { return infos[i].Bytes() <= size && i%3 != 0 }
		c := cutter{tensors: tensors, files: l.Files, size: size, whole: whole, last: func(i int) bool { return i%7 == 0 }}
		done := make([]int64, len(infos))
		at := make(map[int]int64) // file -> end of its last piece
		last := 0
		for seq := 0; ; seq++ {
			p := c.next()
			if p == nil {
				if seq != c.seq {
					t.Fatalf("seed %d: seq is %d after %d pieces", seed, c.seq, seq)
				}
				break
			}
			if p.seq != seq || p.len <= 0 || p.len > size || p.file < last || p.off < at[p.file] {
				t.Fatalf("seed %d: piece %d: %+v", seed, seq, p)
			}
			last, at[p.file] = p.file, p.off+p.len
			var sum int64
			for _, s := range p.spans {
				if s.at != sum || s.off != done[s.tensor] || s.len <= 0 {
					t.Fatalf("seed %d: piece %d: span %+v", seed, seq, s)
				}
				if u := int64(infos[s.tensor].DType.Size()); s.off%u != 0 || s.len%u != 0 {
					t.Fatalf("seed %d: an element of tensor %d is cut: %+v", seed, s.tensor, s)
				}
				if whole(s.tensor) && s.len != infos[s.tensor].Bytes() {
					t.Fatalf("seed %d: tensor %d is cut", seed, s.tensor)
				}
				if want := place(l.Files[p.file], s.tensor) + s.off; p.off+s.at != want {
					t.Fatalf("seed %d: tensor %d goes to %d, want %d", seed, s.tensor, p.off+s.at, want)
				}
				done[s.tensor] += s.len
				sum += s.len
			}
			if sum != p.len {
				t.Fatalf("seed %d: piece %d has %d bytes, its segments %d", seed, seq, p.len, sum)
			}
		}
		for i := range infos {
			if done[i] != infos[i].Bytes() {
				t.Fatalf("seed %d: %d of %d bytes of tensor %d", seed, done[i], infos[i].Bytes(), i)
			}
		}
	}
}

func place(f writer.File, tensor int) int64 {
	for _, x := range f.Extents {
		if x.Tensor == tensor {
			return x.Off
		}
	}
	return -1
}

// A piece of tiny tensors has few enough of them for its list to stay small.
func TestCutterBoundsSegments(t *testing.T) {
	const n = 2*maxSpans + 1
	tensors, infos := make([]plan.Tensor, n), make([]tensor.Info, n)
	for i := range tensors {
		infos[i] = tensor.Info{Name: strconv.Itoa(i), DType: tensor.U8, Shape: []uint64{1}}
		tensors[i].Info = infos[i]
	}
	l, err := writer.NewLayout(infos, nil, 1<<40, writer.Safetensors)
	if err != nil {
		t.Fatal(err)
	}
	c := cutter{tensors: tensors, files: l.Files, size: 1 << 20, whole: func(int) bool { return true }, last: func(int) bool { return false }}
	var got []int
	for p := c.next(); p != nil; p = c.next() {
		got = append(got, len(p.spans))
	}
	if want := []int{maxSpans, maxSpans, 1}; !slices.Equal(got, want) {
		t.Errorf("segments %v, want %v", got, want)
	}
}
