package engine

import (
	"bytes"

	"slerpmerge/internal/tensor"
)

// An alike sorts operands by their bytes, chunk by chunk.
type alike struct {
	first []int // of each operand the first one that was the same so far, its own index if none was
	were  []int // what first was before a chunk
}

// newAlike begins with all operands of one type alike.
func newAlike(in []input) *alike {
	a := &alike{first: make([]int, len(in)), were: make([]int, len(in))}
	known := map[tensor.DType]int{}
	for k, o := range in {
		first, ok := known[o.typ]
		if !ok {
			first = k
			known[o.typ] = k
		}
		a.first[k] = first
	}
	return a
}

// none reports whether no two operands are alike.
func (a *alike) none() bool {
	for k, first := range a.first {
		if k != first {
			return false
		}
	}
	return true
}

// look takes the next chunk of all operands. Only those are compared that have been
// alike before.
func (a *alike) look(chunks [][]byte) {
	copy(a.were, a.first)
	for k, first := range a.were {
		if first == k {
			continue
		}
		a.first[k] = k
		for j := first; j < k; j++ {
			if a.were[j] == first && a.first[j] == j && bytes.Equal(chunks[j], chunks[k]) {
				a.first[k] = j
				break
			}
		}
	}
}

// bothAlike combines what was found of two parts of a tensor: operands are alike
// if they are in both.
func bothAlike(x, y []int) []int {
	first := make([]int, len(x))
	for k := range x {
		for first[k] = 0; x[first[k]] != x[k] || y[first[k]] != y[k]; first[k]++ {
		}
	}
	return first
}
