package plan

import "testing"

func TestVocabAxis(t *testing.T) {
	type s = []uint64
	for _, c := range []struct {
		a, b s
		axis int
		ok   bool
	}{
		{s{2, 8}, s{4, 8}, 0, true},
		{s{1, 2}, s{1, 4}, 1, true},
		{s{1, 1, 2}, s{1, 1, 4}, 2, true},
		{s{2}, s{4}, 0, true},
		{s{1, 8}, s{4, 8}, 0, true},
		{s{1, 1}, s{1, 4}, 1, true},
		{s{1, 1}, s{4, 1}, 0, true},
		{s{3, 2}, s{3, 4}, 1, false},
		{s{1, 3, 2}, s{1, 3, 4}, 2, false},
		{s{2, 3}, s{3, 2}, 0, false},
		{s{2}, s{2, 1}, 0, false},
		{nil, nil, 0, false},
	} {
		if axis, ok := vocabAxisOf(c.a, c.b); ok != c.ok || ok && axis != c.axis {
			t.Errorf("%v and %v: %d, %v, want %d, %v", c.a, c.b, axis, ok, c.axis, c.ok)
		}
	}
	for _, c := range []struct {
		shape s
		want  int
	}{{s{4, 8}, 0}, {s{1, 4}, 1}, {s{4, 1}, 0}, {s{4}, 0}, {s{1, 1, 5}, 2}, {nil, 0}} {
		if got := vocabAxis(c.shape); got != c.want {
			t.Errorf("%v: %d, want %d", c.shape, got, c.want)
		}
	}
}
