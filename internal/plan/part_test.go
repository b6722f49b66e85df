package plan

import "testing"

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		numbers []int
		want    string
	}{
		{nil, ""},
		{[]int{3}, "3"},
		{[]int{0, 1}, "0-1"},
		{[]int{0, 1, 2, 4, 6, 7}, "0-2, 4, 6-7"},
		{[]int{0, 2, 4, 6, 8, 10}, "0, 2, 4, 6, 8, 10"},
		{[]int{0, 2, 4, 6, 8, 10, 12, 13}, "0, 2, 4, 6, 8, ..., 12-13"},
	} {
		if got := Ranges(c.numbers); got != c.want {
			t.Errorf("%v: %q, want %q", c.numbers, got, c.want)
		}
	}
}
