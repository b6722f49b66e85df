package plan

import (
	"slices"
	"strings"
	"testing"
)

func TestPlaceRule(t *testing.T) {
	for _, c := range []struct {
		name, table, texts string // a letter for each layer
		order              []int
		want               []int // places
	}{
		{"all alike", "aaaa", "....", []int{3, 2, 2}, nil},
		{"distinguished", "abab", "xyxy", []int{1, 0, 3, 2}, nil},
		{"the first is special and stays", "baaa", "....", []int{0, 2, 1}, nil},
		{"the first is special and moves", "baaa", "....", []int{1, 0, 2}, []int{0, 1}},
		{"the first is dropped", "baaa", "....", []int{1, 2}, []int{0}},
		{"the first is special, of another kind than the second", "baaaa", "xyyxy", []int{1, 2}, []int{0}},
		{"the last is special and stays", "aaab", "....", []int{0, 2, 3}, nil},
		{"the last is dropped", "aaab", "....", []int{0, 1}, []int{1}},
		{"the last is repeated", "aaab", "....", []int{0, 3, 3}, []int{1}},
		{"one in the middle", "aabaa", ".....", []int{0, 1, 2, 3, 2, 4}, []int{4}},
		{"two layers", "ab", "..", []int{1, 0}, nil},
	} {
		var table layerTable
		for _, letter := range c.table {
			table = append(table, uint64(letter))
		}
		rule := newPlaceRule(table, strings.Split(c.texts, ""))
		var got []int
		for j, i := range c.order {
			if rule.misplaced(i, j, len(c.order)) {
				got = append(got, j)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
