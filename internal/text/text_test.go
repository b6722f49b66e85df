package text

import (
	"slices"
	"strings"
	"testing"
)

func TestWords(t *testing.T) {
	var four, five Names
	for _, n := range []string{"a", "b c", "d", "e"} {
		four.Add(n, "detail of "+n)
		five.Add(n, "")
	}
	five.AddText("f g")
	var none Names
	for _, c := range []struct{ got, want string }{
		{Count(0, "tensor"), "0 tensors"},
		{Count(1, "tensor"), "1 tensor"},
		{Count(int64(2), "value"), "2 values"},
		{Verb(1, "is", "are"), "is"},
		{Verb(0, "is", "are"), "are"},
		{Verb(int64(7), "is", "are"), "are"},
		{List(nil, "or"), ""},
		{List([]string{"a"}, "or"), "a"},
		{List([]string{"a", "b"}, "and"), "a and b"},
		{List([]string{"a", "b", "c"}, "or"), "a, b or c"},
		{Shape(nil), "[]"},
		{Shape([]uint64{7}), "[7]"},
		{Shape([]uint64{2, 3}), "[2, 3]"},
		{Ranges(nil), ""},
		{Ranges([]int{3}), "3"},
		{Ranges([]int{0, 1, 2, 5, 7, 8}), "0-2, 5, 7-8"},
		{Ranges([]int{0, 2, 4, 6, 8, 10}), "0, 2, 4, 6, 8, 10"},
		{Ranges([]int{0, 2, 4, 6, 8, 10, 12, 13}), "0, 2, 4, 6, 8, ..., 12-13"},
		{none.String(), ""},
		{four.String(), `a, "b c", d, e`},
		{four.First, "detail of a"},
		{five.String(), `a, "b c", d, e and 1 more`},
		{Count(five.Count(), "name"), "5 names"},
		{Some([]string{"a", "b"}, 2), "a, b"},
		{Some([]string{"a", "b"}, 12), "a, b and 10 more"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"model.layers.0.w":             "model.layers.0.w",
		"":                             `""`,
		"a b":                          `"a b"`,
		`a"b`:                          `"a\"b"`,
		"it's":                         `"it's"`,
		`a\b`:                          `"a\\b"`,
		"\x1b[31m":                     `"\x1b[31m"`,
		"a\nslerpmerge: x":             `"a\nslerpmerge: x"`,
		"é":                            `"\u00e9"`,
		"\xff":                         `"\xff"`,
		strings.Repeat("a", 201):       strings.Repeat("a", 200) + "...",
		strings.Repeat("é", 101):       `"` + strings.Repeat(`\u00e9`, 100) + `"...`,
		"a" + strings.Repeat("é", 100): `"a` + strings.Repeat(`\u00e9`, 99) + `"...`, // cut between characters
	} {
		if got := Quote(in); got != want {
			t.Errorf("Quote(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestQuoteWord(t *testing.T) {
	for in, want := range map[string]string{
		"a":                         `"a"`,
		"":                          `""`,
		"a\x1b":                     `"a\x1b"`,
		"Größe":                     `"Größe"`,
		"\xff":                      `"\xff"`,
		strings.Repeat("é", 80):     `"` + strings.Repeat("é", 80) + `"`,
		strings.Repeat("é", 81):     `"` + strings.Repeat("é", 80) + `"...`,
		strings.Repeat("\xff", 100): `"` + strings.Repeat(`\xff`, 80) + `"...`,
	} {
		if got := QuoteWord(in); got != want {
			t.Errorf("QuoteWord(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, c := range []struct {
		word  string
		known []string
		want  string
	}{
		{"slrep", []string{"slerp", "linear"}, "slerp"},
		{"Linear", []string{"slerp", "linear"}, "linear"},
		{"dare", []string{"slerp", "linear"}, ""},
		{"", []string{"slerp"}, ""},
		{"models", nil, ""},
		{strings.Repeat("a", 41), []string{strings.Repeat("a", 41)}, ""},
	} {
		if got := Nearest(c.word, c.known); got != c.want {
			t.Errorf("Nearest(%q, %q) = %q, want %q", c.word, c.known, got, c.want)
		}
	}
}

// The order is a total one, numbers by their values, and names below one number
// are neighbours.
func TestCompareNames(t *testing.T) {
	want := []string{"a", "a.0.b", "a.2.b", "a.10.b", "a.01.b", "a.2b.c", "a.10b.c", "a.b", "a.b.c", "a.layer2", "a.layer10", "a.layers", "b"}
	for i, a := range want {
		for j, b := range want {
			c := CompareNames(a, b)
			if (c < 0) != (i < j) || (c == 0) != (i == j) {
				t.Errorf("CompareNames(%q, %q) = %d", a, b, c)
			}
		}
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, CompareNames)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, tie := range [][2]string{{"a01", "a1"}, {"x.a01.b", "x.a1.b"}} {
		if CompareNames(tie[0], tie[1]) == 0 {
			t.Errorf("%q and %q are one", tie[0], tie[1])
		}
	}
}

func TestPartNumber(t *testing.T) {
	for part, want := range map[string]int{"0": 0, "12": 12, "9999999": 9999999, "": -1, "01": -1, "-1": -1, "+1": -1, "1a": -1, "a1": -1, "10000000": -1} {
		if n, ok := PartNumber(part); ok != (want >= 0) || ok && n != want {
			t.Errorf("PartNumber(%q) = %d, %v", part, n, ok)
		}
	}
}
