package engine

import (
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
)

// Operands are alike as long as all their chunks are, whatever the order in which
// they part.
func TestAlike(t *testing.T) {
	for _, c := range []struct {
		types  string
		chunks []string // a letter for each operand
		want   []int
	}{
		{"bbb", nil, []int{0, 0, 0}},
		{"bfb", nil, []int{0, 1, 0}},
		{"bbbb", []string{"xxxx", "xxxx"}, []int{0, 0, 0, 0}},
		{"bbbb", []string{"xyxy"}, []int{0, 1, 0, 1}},
		{"bbbb", []string{"xyxy", "xxxy"}, []int{0, 1, 0, 3}},
		{"bbbb", []string{"xxxy", "xyyx"}, []int{0, 1, 1, 3}},
		{"bbbbb", []string{"xyyyy", "xxxyy", "xxyxx"}, []int{0, 1, 2, 3, 3}},
		{"bfbf", []string{"xxxx", "xxyx"}, []int{0, 1, 2, 1}},
		{"bbb", []string{"xyz", "xxx"}, []int{0, 1, 2}},
	} {
		in := make([]input, len(c.types))
		for k, x := range c.types {
			in[k].typ = map[rune]tensor.DType{'b': tensor.BF16, 'f': tensor.F16}[x]
		}
		whole, parts := newAlike(in), newAlike(in).first
		for _, letters := range c.chunks {
			chunks := make([][]byte, len(in))
			for k := range chunks {
				chunks[k] = []byte{letters[k]}
			}
			whole.look(chunks)
			one := newAlike(in)
			one.look(chunks)
			parts = bothAlike(parts, one.first)
		}
		if !slices.Equal(whole.first, c.want) || !slices.Equal(parts, c.want) {
			t.Errorf("%s %v: %v, of parts %v, want %v", c.types, c.chunks, whole.first, parts, c.want)
		}
	}
}
