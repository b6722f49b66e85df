package recipe

import "testing"

func TestEntries(t *testing.T) {
	all, err := ParseEntries([]string{"ema/model", "2:a.b", "10:1:x"})
	if err != nil {
		t.Fatal(err)
	}
	r := Recipe{Entries: all}
	for i, want := range map[int]string{0: "ema/model", 1: "a.b", 2: "ema/model", 9: "1:x"} {
		if got := r.Entry(i).Key; got != want {
			t.Errorf("parent %d: %q, want %q", i, got, want)
		}
	}
	if got := (&Recipe{Entries: all[1:]}).Entry(0).Key; got != "" {
		t.Errorf("parent 0 has %q", got)
	}
	for i, want := range []string{"ema/model", "2:a.b", "10:1:x"} {
		if got := all[i].String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, bad := range [][]string{{""}, {"1:"}, {"a", "b"}, {"1:a", "1:b"}} {
		if _, err := ParseEntries(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
