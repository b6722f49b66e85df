package slerp

import (
	"math"
	"testing"

	"slerpmerge/internal/tensor"
)

// What is ranked together is bounded, and as in mergekit where it can be.
func TestRankRow(t *testing.T) {
	for _, c := range []struct {
		shape []uint64
		want  rankRow
	}{
		{nil, rankRow{1, 1}},
		{[]uint64{4096}, rankRow{4096, 1}},
		{[]uint64{100000}, rankRow{maxRankRow, 1}},
		{[]uint64{128256, 4096}, rankRow{4096, 1}},
		{[]uint64{8192, 28672}, rankRow{28672, 1}},
		{[]uint64{3, 70000}, rankRow{maxRankRow, 1}},
		{[]uint64{1280, 1280, 3}, rankRow{3840, 3}},       // a convolution along time
		{[]uint64{320, 640, 3, 3}, rankRow{5760, 9}},      // one in two dimensions
		{[]uint64{128, 1536, 2048}, rankRow{2048, 1}},     // experts
		{[]uint64{2, 256, 256}, rankRow{maxRankRow, 256}}, // just so
		{[]uint64{2, 256, 257}, rankRow{257, 1}},          // one too many
		{[]uint64{2, 1, 100000}, rankRow{maxRankRow, 1}},  // and rows too long
		{[]uint64{0, 5}, rankRow{5, 1}},
		{[]uint64{5, 0}, rankRow{0, 1}},
	} {
		if got := newRankRow(c.shape); got != c.want {
			t.Errorf("%v: %+v, want %+v", c.shape, got, c.want)
		}
	}
}

// Rows that are ranked in parts, and rows of which many keys share a bin.
func TestRankedParts(t *testing.T) {
	r := source(1)
	spread := func(int) float64 { return r.NormFloat64() * 1e-3 }
	for _, c := range []struct {
		name  string
		shape []uint64
		row   int
		value func(i int) float64
	}{
		{"a long vector", []uint64{maxRankRow + 5000}, maxRankRow, spread},
		{"experts", []uint64{2, 260, 300}, 300, spread},
		{"values that cluster", []uint64{2, 5000}, 5000, func(i int) float64 {
			switch i % 1000 {
			case 0:
				return 1e-30
			case 1:
				return 1e30
			}
			return 1 + float64(r.IntN(1<<20))*0x1p-23
		}},
		{"a bin of its own for zeros", []uint64{3, 3000}, 3000, func(i int) float64 { return float64(r.IntN(3)-1) * math.Abs(r.NormFloat64()) }},
		{"zeros alone", []uint64{2, 100}, 100, func(int) float64 { return 0 }},
	} {
		o := Operands{Tensor: "w", Shape: c.shape, In: []DType{tensor.F32, tensor.F32}, Out: tensor.F32}
		n := int(o.Elems())
		x := [][]byte{make([]byte, 4*n), nil}
		values := make([]float64, n)
		for i := range values {
			values[i] = float64(float32(c.value(i)))
		}
		x[1] = encoded(tensor.F32, values...)
		const density, epsilon = 0.4, 0.3
		v := TaskVectors{Sparsifier: Ranked, Weight: []float64{0, 1}, Density: []float64{0, density}, Epsilon: []float64{0, epsilon}, Lambda: 1, Seed: 5}
		got, _ := sweepAll(v.Sweep(o), o, x, 1000, r)
		draw := newDrawKey(5, "w", 0).draw
		for from := 0; from < n; from += c.row {
			row := values[from:min(n, from+c.row)]
			for j, p := range plainShares(tensor.F32, []uint64{uint64(len(row))}, row, density, epsilon) {
				want := row[j]
				if float64(draw(int64(from+j))) >= math.Floor(p*(1<<32)+0.5) {
					want = 0
				}
				if got := value(tensor.F32, code(tensor.F32, got, from+j)); got != want {
					t.Fatalf("%s: element %d is %v, want %v", c.name, from+j, got, want)
				}
			}
		}
	}
}

// The share that stays is the density, and grows with the rank.
func TestRankedShares(t *testing.T) {
	r := source(2)
	const rows, length = 64, 1000
	o := Operands{Tensor: "w", Shape: []uint64{rows, length}, In: []DType{tensor.F32, tensor.F32}, Out: tensor.F32}
	values := make([]float64, rows*length)
	for i := range values {
		values[i] = float64(1 + i%length) // the rank
	}
	x := [][]byte{make([]byte, 4*len(values)), encoded(tensor.F32, values...)}
	v := TaskVectors{Sparsifier: Ranked, Weight: []float64{0, 1}, Density: []float64{0, 0.5}, Epsilon: []float64{0, 0.3}, Lambda: 1}
	got, _ := sweepAll(v.Sweep(o), o, x, 1000, r)
	var tenths [10]int
	for i := range values {
		if value(tensor.F32, code(tensor.F32, got, i)) != 0 {
			tenths[i%length*10/length]++
		}
	}
	for k, kept := range tenths {
		if z := deviation(kept, rows*length/10, 0.2+0.6*(float64(k)+0.5)/10); z > chance {
			t.Errorf("tenth %d: %d stay, %.1f deviations", k, kept, z)
		}
	}
}
