package slerp

import (
	"math"
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
)

// Keys of all codes that 16 bits have between them, and of NaN.
func TestRankKey(t *testing.T) {
	for _, d := range []tensor.DType{tensor.BF16, tensor.F16} {
		top := uint32(0)
		for u := uint64(0); u <= inf32; u += 8191 {
			for _, x := range []float32{math.Float32frombits(uint32(u)), -math.Float32frombits(uint32(u))} {
				got, want := rankKey(d, x), plainKey(d, float64(x))
				if uint64(got) != want {
					t.Fatalf("%v of %v: %#x, want %#x", d, x, got, want)
				}
				top = max(top, got)
			}
		}
		if key := rankKey(d, float32(math.NaN())); key <= top || uint64(key) != nanCodes[d] {
			t.Errorf("%v: the key of NaN is %#x, and the greatest other %#x", d, key, top)
		}
		for k := range uint64(shortBins) { // the middles between codes, and their neighbours
			lo, hi := value(d, k), value(d, k+1)
			if mid := float32((lo + hi) / 2); hi > lo && finite(hi) {
				for _, x := range []float32{math.Nextafter32(mid, 0), mid, math.Nextafter32(mid, 1e38)} {
					if got, want := rankKey(d, x), plainKey(d, float64(x)); uint64(got) != want {
						t.Fatalf("%v of %v: %#x, want %#x", d, x, got, want)
					}
				}
			}
		}
		for k := range uint32(shortBins) {
			u := keyStart(d, k)
			if u != math.MaxUint64 && rankKey(d, float32(math.Float64frombits(u))) < k || u > 0 && rankKey(d, float32(math.Float64frombits(min(u, nan64+1)-1))) >= k {
				t.Fatalf("%v: key %#x starts at %#x", d, k, u)
			}
		}
	}
	for _, x := range []float32{0, 1, float32(math.Inf(-1)), float32(math.NaN()), math.Float32frombits(0xffc12345)} {
		if got, want := rankKey(tensor.F32, x), plainKey(tensor.F32, float64(x)); uint64(got) != want {
			t.Errorf("%v: %#x, want %#x", x, got, want)
		}
	}
}

// The counts of a tensor of 2^32 elements and more.
func TestBins(t *testing.T) {
	small, large := newBins(math.MaxUint32, 4), newBins(math.MaxUint32+1, 4)
	for _, b := range []*bins{&small, &large} {
		for range 3 {
			b.add([]uint32{0, 1 << 30, 0, 7})
		}
		if k, below := b.find(0, 3<<30-1); k != 1 || below != 0 {
			t.Errorf("bin %d, %d below", k, below)
		}
		if k, below := b.find(0, 3<<30); k != 3 || below != 3<<30 {
			t.Errorf("bin %d, %d below", k, below)
		}
		if b.at(3) != 21 || b.at(0) != 0 {
			t.Errorf("%d and %d", b.at(3), b.at(0))
		}
		b.clear()
		if b.at(1) != 0 {
			t.Error("not cleared")
		}
	}
	large.add([]uint32{1 << 31, 0, 0, 0})
	large.add([]uint32{1 << 31, 0, 1, 0})
	if k, below := large.find(0, 1<<32); k != 2 || below != 1<<32 {
		t.Errorf("bin %d, %d below", k, below)
	}
}

// The thresholds, whatever the values: all elements are sorted to compare.
func FuzzBand(f *testing.F) {
	seed := func(d tensor.DType, from, to uint16, values ...float64) {
		f.Add(uint8(slices.Index(allTypes, d)), encoded(d, values...), from, to)
	}
	seed(tensor.F32, 2, 5, 0, 1, -1, 1, 2, -0.5)
	seed(tensor.F32, 1, 6, 1, 1, 1, 1, 1, 1, 1)
	seed(tensor.BF16, 3, 9, 1e-3, -1e-3, 2e-3, 0, 0, 0, 1e-3, 5, -1e-3, 7)
	seed(tensor.F16, 0, 3, 6e-8, -6e-5, 6.1e-5, 65504, math.Inf(-1), math.NaN())
	seed(tensor.F64, 4, 5, 1e-300, 1e300, math.NaN(), math.NaN(), 1, 1+1e-15, 0, -1)
	seed(tensor.F8E4M3, 2, 3, 448, -448, 1, 0.001953125, 0)
	seed(tensor.F32, 1, 1, 3, 4)
	f.Fuzz(func(t *testing.T, kind uint8, p []byte, from, to uint16) {
		d := allTypes[int(kind)%len(allTypes)]
		n := len(p) / d.Size()
		if n == 0 || n > 1<<12 {
			return
		}
		p = p[:n*d.Size()]
		first := int(from) % (n + 1)
		last := first + int(to)%(n-first+1)
		o := Operands{Shape: []uint64{uint64(n)}, In: []DType{d, d}, Out: d}
		all := newDeltas(o, 0)
		all.length = testBlock
		b := newBand(&all, TaskVectors{Density: []float64{0, 0.5}})
		b.granule = testGranule
		b.m[0].from, b.m[0].to = int64(first), int64(last)
		x := [][]byte{make([]byte, len(p)), p}
		scratch := &Scratch{}
		for count := b.pass(); count > 0; count = b.pass() {
			for k := count - 1; k >= 0; k-- {
				r := b.region(k)
				m := b.meter(scratch, k)
				for at := r.From; at < r.From+r.Len; at += 40 {
					m.Add(slicesOf(o, x, at, min(40, r.From+r.Len-at)), at)
				}
				b.take(k, m)
			}
		}
		delta := make([]float64, n)
		for i := range delta {
			delta[i] = value(d, code(d, p, i))
		}
		want := plainBand(plainRank(o.In), delta, first, last)
		got := slices.Repeat([]float64{1}, n)
		detected.decode64(d, got, p)
		kept, _ := b.keep(0, got, make([]float64, n), 0)
		count := 0
		for i := range want {
			if want[i] {
				count++
			}
			if stays := got[i] != 0; stays && !want[i] || !stays && want[i] && delta[i] != 0 {
				t.Fatalf("%v %v, ranks %d to %d: element %d stays: %v, want %v", d, delta, first, last, i, stays, want[i])
			}
		}
		if kept != count || count != last-first {
			t.Fatalf("%d stay, want %d", kept, count)
		}
	})
}
