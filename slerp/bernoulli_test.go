package slerp

import (
	"math"
	"math/bits"
	"testing"
)

// deviation returns how many standard deviations a count of n trials lies off the mean.
func deviation(count, n int, p float64) float64 {
	return math.Abs(float64(count)-float64(n)*p) / math.Sqrt(float64(n)*p*(1-p))
}

// No statistic is further off than chance lets it be: six standard deviations.
const chance = 6

// The share that stays is the density, whatever the key.
func TestDrawFrequency(t *testing.T) {
	const n = 1 << 18
	for model, p := range []float64{0.001, 0.1, 1.0 / 3, 0.5, 0.9, 0.9999} {
		for seed := range uint64(4) {
			d := make([]float64, n)
			for i := range d {
				d[i] = 1
			}
			kept, _ := newDrawKey(seed, "w", model).keep(d, make([]float64, n), 0, drawShare(p))
			sum := 0
			for _, x := range d {
				sum += int(x)
			}
			if kept != sum {
				t.Errorf("density %v, seed %d: %d are counted and %d stay", p, seed, kept, sum)
			}
			if z := deviation(kept, n, p); z > chance {
				t.Errorf("density %v, seed %d: %d of %d stay, %.1f deviations", p, seed, kept, n, z)
			}
		}
	}
}

// Two streams agree in half of their bits, whether they are of neighbours in one tensor
// or of other models, tensors or seeds. So do bits of one number.
func TestDrawIndependence(t *testing.T) {
	const n = 1 << 16
	key := newDrawKey(0, "model.layers.0.mlp.up_proj.weight", 0)
	for _, c := range []struct {
		name string
		at   func(i int64) uint64
	}{
		{"the next element", func(i int64) uint64 { return key.draw(i + 1) }},
		{"the one after it", func(i int64) uint64 { return key.draw(i + 2) }},
		{"the element in the next row", func(i int64) uint64 { return key.draw(i + 4096) }},
		{"another model", func(i int64) uint64 { return newDrawKey(0, "model.layers.0.mlp.up_proj.weight", 1).draw(i) }},
		{"another tensor", func(i int64) uint64 { return newDrawKey(0, "model.layers.1.mlp.up_proj.weight", 0).draw(i) }},
		{"another seed", func(i int64) uint64 { return newDrawKey(1, "model.layers.0.mlp.up_proj.weight", 0).draw(i) }},
		{"its own bits, turned", func(i int64) uint64 { return uint64(bits.RotateLeft32(uint32(key.draw(i)), 7)) }},
		{"all ones", func(i int64) uint64 { return math.MaxUint32 }},
		{"the index", func(i int64) uint64 { return uint64(i) * 0x9e3779b1 & math.MaxUint32 }},
	} {
		var of [32]int
		all := 0
		for i := range int64(n) {
			same := ^uint32(key.draw(i) ^ c.at(i))
			all += bits.OnesCount32(same)
			for b := range of {
				of[b] += int(same >> b & 1)
			}
		}
		if z := deviation(all, 32*n, 0.5); z > chance {
			t.Errorf("%s: %d of %d bits agree, %.1f deviations", c.name, all, 32*n, z)
		}
		for b, count := range of {
			if z := deviation(count, n, 0.5); z > chance {
				t.Errorf("%s: bit %d agrees %d times of %d, %.1f deviations", c.name, b, count, n, z)
			}
		}
	}
}

// Numbers are evenly spread, also in pairs: chi squared of 16 and 256 classes.
func TestDrawSpread(t *testing.T) {
	const n = 1 << 18
	key := newDrawKey(7, "lm_head.weight", 2)
	for shift := 0; shift <= 28; shift += 4 {
		var one [16]int
		var two [256]int
		for i := range int64(n) {
			a, b := key.draw(i)>>shift&15, key.draw(i+1)>>shift&15
			one[a]++
			if i&1 == 1 { // pairs of different calls of the generator
				two[a<<4|b]++
			}
		}
		square := func(count []int, total int) float64 {
			mean, sum := float64(total)/float64(len(count)), 0.0
			for _, c := range count {
				sum += (float64(c) - mean) * (float64(c) - mean) / mean
			}
			degrees := float64(len(count) - 1)
			return (sum - degrees) / math.Sqrt(2*degrees)
		}
		if z := square(one[:], n); math.Abs(z) > chance {
			t.Errorf("bits from %d: %.1f deviations", shift, z)
		}
		if z := square(two[:], n/2); math.Abs(z) > chance {
			t.Errorf("pairs of bits from %d: %.1f deviations", shift, z)
		}
	}
}

// The mask does not depend on where a chunk begins, odd places among them.
func TestDrawPlaces(t *testing.T) {
	key := newDrawKey(3, "w", 0)
	for from := range int64(5) {
		for n := range 20 {
			d := make([]float64, n)
			for j := range d {
				d[j] = 1
			}
			key.keep(d, make([]float64, n), from, drawShare(0.5))
			mask, half := make([]byte, n), make([]uint32, n)
			for j := range half {
				half[j] = 1 << 31
			}
			key.masks(mask, half, from)
			for j := range d {
				if mask[j] != byte(d[j]) {
					t.Errorf("%d elements from %d: the mask of element %d is %d", n, from, j, mask[j])
				}
				if want := key.draw(from+int64(j)) < 1<<31; (d[j] == 1) != want {
					t.Errorf("%d elements from %d: element %d is %v, want %v", n, from, j, d[j], want)
				}
			}
		}
	}
}

// The numbers are part of what a merge is: they must never change.
func TestDrawIsPinned(t *testing.T) {
	for _, c := range []struct {
		seed   uint64
		tensor string
		model  int
		i      int64
		want   uint64
	}{
		{0, "model.embed_tokens.weight", 0, 0, 0x57a05193},
		{0, "model.embed_tokens.weight", 0, 1, 0x30fd29c},
		{0, "model.embed_tokens.weight", 1, 0, 0x509d43fb},
		{1 << 63, "", 7, 1 << 40, 0xf636d471},
	} {
		if got := newDrawKey(c.seed, c.tensor, c.model).draw(c.i); got != c.want {
			t.Errorf("seed %d, %q, model %d, element %d: %#x, want %#x", c.seed, c.tensor, c.model, c.i, got, c.want)
		}
	}
	for _, c := range []struct {
		p    float64
		want uint64
	}{{0, 0}, {-1, 0}, {math.NaN(), 0}, {0.25, 1 << 30}, {1, drawAll}, {2, drawAll}, {1e-12, 0}, {1 - 1e-12, drawAll}} {
		if got := drawShare(c.p); got != c.want {
			t.Errorf("drawShare(%v) = %#x, want %#x", c.p, got, c.want)
		}
	}
}
