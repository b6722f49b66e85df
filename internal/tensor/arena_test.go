package tensor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestArena(t *testing.T) {
	var a Arena
	var names []string
	var shapes [][]uint64
	for i := range 20000 {
		names = append(names, a.Text(fmt.Append(nil, "name ", i)), a.Name(strings.Repeat("x", i%7000)))
		shapes = append(shapes, a.Shape([]uint64{uint64(i % 9000), 3}), a.Shape(make([]uint64, i%700)))
	}
	for i := range 20000 {
		if want := fmt.Sprint("name ", i); names[2*i] != want || names[2*i+1] != strings.Repeat("x", i%7000) {
			t.Fatalf("text %d is %q, want %q", i, names[2*i], want)
		}
		if s := shapes[2*i]; !slices.Equal(s, []uint64{uint64(i % 9000), 3}) || cap(s) != len(s) {
			t.Fatalf("shape %d is %v of capacity %d", i, s, cap(s))
		}
		if s := shapes[2*i+1]; !slices.Equal(s, make([]uint64, i%700)) || s == nil {
			t.Fatalf("shape %d is %v", i, s)
		}
	}
	if a.Shape(nil) != nil {
		t.Error("no shape became one")
	}
	one, two := a.Shape([]uint64{5, 3}), a.Shape([]uint64{5, 3})
	if &one[0] != &two[0] {
		t.Error("equal shapes are kept twice")
	}
}

func TestRepeated(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
		twice bool
	}{
		{nil, "", false},
		{[]string{"a", "b", "c"}, "", false},
		{[]string{"c", "b", "a"}, "", false},
		{[]string{"a", "b", "b"}, "b", true},
		{[]string{"", "a", ""}, "", true},
	} {
		got, twice := Repeated(len(c.names), func(i int) string { return c.names[i] })
		if got != c.want || twice != c.twice {
			t.Errorf("%q: %q, %v", c.names, got, twice)
		}
	}
}
