package cli

import (
	"slices"
	"testing"
)

// The program knows the names of mergekit's that it is called by.
func TestCalledAs(t *testing.T) {
	for _, c := range []struct{ args, want []string }{
		{[]string{"/usr/bin/slerpmerge", "merge", "a"}, []string{"merge", "a"}},
		{[]string{"/usr/bin/mergekit-yaml", "a.yml", "out"}, []string{"mergekit-yaml", "a.yml", "out"}},
		{[]string{"mergekit-multi.exe"}, []string{"mergekit-multi"}},
		{[]string{"mergekit-moe", "x"}, []string{"x"}},
		{[]string{"slerpmerge"}, nil},
		{nil, nil},
	} {
		if got := calledAs(c.args); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.args, got, c.want)
		}
	}
}

// Sizes are read as mergekit reads them.
func TestKitSize(t *testing.T) {
	for word, want := range map[string]int64{"5B": 5e9, "1b": 1e9, "500M": 5e8, "100k": 1e5, "123": 123, "0": 0, "": -1, "5GB": -1, "1.5B": -1, "-1": -1, "B": -1, "9223372036854775807B": -1} {
		got, err := kitSize(word)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", word, got, want)
		}
	}
}
