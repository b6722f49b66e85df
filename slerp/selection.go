package slerp

import (
	"math"

	"slerpmerge/internal/tensor"
)

// A selection finds order statistics of a value that each element of a tensor has, exactly
// but for the rounding of the values to keys of a type (rankkey.go): in one
// pass for keys of 16 bits, in two for F32. The counts are integers, so that
// the order of blocks does not matter.
type selection struct {
	t      DType
	n      int64
	lower  bool     // the second pass
	counts bins     // of the pass
	low    []uint32 // of the second pass: the upper bits that are looked into, three at most
	found  []rankPlace
}

// A rankPlace is where a rank is: the key of its element, how many have a lesser key, and
// how many have this one.
type rankPlace struct {
	rank        int64
	bin         uint32
	key         uint32
	below, ties int64
}

func newSelection(t DType, n int64) *selection { return &selection{t: t, n: n} }

// selectionBytes is the memory of a selection of up to ranks ranks, and of the counts of
// one block.
func selectionBytes(t DType, n int64, ranks int64) (state, scratch int64) {
	size := rankBins(t)
	if t == tensor.F32 {
		size = max(size, ranks*shortBins)
	}
	return size * binBytes(n), 4 * size
}

// begin prepares the first pass.
func (s *selection) begin() { s.counts = newBins(s.n, rankBins(s.t)) }

// borrow returns zeroed counts for a block of the pass.
func (s *selection) borrow(scratch *Scratch) []uint32 {
	n := rankBins(s.t)
	if s.lower {
		n = int64(len(s.low)) * shortBins
	}
	h := scratch.Counts(0, n)
	clear(h)
	return h
}

// count counts values of elements.
func (s *selection) count(h []uint32, v []float32) {
	if !s.lower {
		countKeys(s.t, h, v)
		return
	}
	low := [3]uint32{math.MaxUint32, math.MaxUint32, math.MaxUint32}
	copy(low[:], s.low)
	for _, x := range v {
		u := rankCode(x)
		switch u >> lowBits {
		case low[0]:
			h[u&(shortBins-1)]++
		case low[1]:
			h[u&(shortBins-1)|shortBins]++
		case low[2]:
			h[u&(shortBins-1)|2*shortBins]++
		}
	}
}

// take adds the counts of a block.
func (s *selection) take(h []uint32) { s.counts.add(h) }

// find ends the first pass. The elements of these ranks, from 0 in ascending order, are looked for.
// more says whether another pass is needed.
func (s *selection) find(ranks ...int64) (more bool) {
	for _, r := range ranks {
		k, below := s.counts.find(0, r)
		s.found = append(s.found, rankPlace{rank: r, bin: uint32(k), key: uint32(k), below: below, ties: s.counts.at(k)})
	}
	if s.t != tensor.F32 {
		s.counts = bins{}
		return false
	}
	for _, f := range s.found {
		if len(s.low) == 0 || s.low[len(s.low)-1] != f.bin {
			s.low = append(s.low, f.bin)
		}
	}
	s.lower = true
	s.counts = newBins(s.n, int64(len(s.low))*shortBins)
	return true
}

// refine ends the second pass.
func (s *selection) refine() {
	for i := range s.found {
		f := &s.found[i]
		first := 0
		for s.low[first/shortBins] != f.bin {
			first += shortBins
		}
		k, below := s.counts.find(first, f.rank-f.below)
		f.key = f.bin<<lowBits | uint32(k-first)
		f.below += below
		f.ties = s.counts.at(k)
	}
	s.counts = bins{}
}

// keyValue returns the value of a key.
func keyValue(t DType, key uint32) float64 {
	if t == tensor.F32 {
		return float64(math.Float32frombits(key))
	}
	var x [1]float32
	decode32(t, x[:], []byte{byte(key), byte(key >> 8)})
	return float64(x[0])
}
