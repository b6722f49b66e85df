package report

import (
	"strings"
	"testing"
)

func TestCSVText(t *testing.T) {
	for text, want := range map[string]string{
		"model.norm.weight":         "model.norm.weight",
		"=1+1":                      "'=1+1",
		"+1":                        "'+1",
		"-1":                        "'-1",
		"@SUM(A1)":                  "'@SUM(A1)",
		"\uFF1D1":                   "'\uFF1D1",
		"a=b":                       "a=b",
		`=HYPERLINK("u","t")`:       `"'=HYPERLINK(""u"",""t"")"`,
		"a;=1":                      `"a;=1"`,
		"\t=1":                      `\u0009=1`,
		"\r=1":                      `\u000d=1`,
		"\n=1":                      `\u000a=1`,
		"a\x1b[31m\x7f\u009b\u202e": `a\u001b[31m\u007f\u009b\u202e`,
		"\xff":                      `\xff`,
		" =1":                       `" =1"`,
		"":                          "",
	} {
		if got := csvText(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	for text, want := range map[string]string{
		"a|b\nc":                             `a\|b c`,
		`a\|b`:                               `a\\\|b`,
		"<b>&#x1b;[x](y) `*`":                "&lt;b>&amp;#x1b;\\[x](y) '\\*'",
		"\x1b]0;x\x07\u202e\u0085\u2028\x7f": "\uFFFD]0;x" + strings.Repeat("\uFFFD", 5),
	} {
		if got := markdown(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		text, want string
		same       bool
	}{
		{"a: b\r\n\tc \u200d \u00e9\n", "a: b\n\tc \u200d \u00e9\n", true},
		{"# \u202eevil\x1b[2J\r\u0085", "# \uFFFDevil\uFFFD[2J\uFFFD\uFFFD", false},
		{"\xff", "\uFFFD", false},
		{"\U000E0041", "\uFFFD", false},
	} {
		if got, same := printable(c.text); got != c.want || same != c.same {
			t.Errorf("%q: %q, %v", c.text, got, same)
		}
	}
}
