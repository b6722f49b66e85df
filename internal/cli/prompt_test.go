package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/text"
)

// inFolder makes folders (names that end in a slash) and empty files, and goes
// there.
func inFolder(t *testing.T, names ...string) {
	t.Chdir(t.TempDir())
	for _, name := range names {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "/") {
			if err := os.WriteFile(name, nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestReadPath(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the rules are those of a Unix shell")
	}
	inFolder(t, "my model/", `"odd"/`, `back\slash/`)
	t.Setenv("HOME", "/home/o'neil")
	for _, c := range []struct{ typed, want string }{
		{"", ""},
		{"alpha", "alpha"},
		{"alpha/", "alpha"},
		{"a/b//", "a/b"},
		{"/", "/"},
		{"//", "/"},
		{"../", ".."},
		{"~", "/home/o'neil"},
		{"~/", "/home/o'neil"},
		{"~/models/", "/home/o'neil/models"},
		{"~/'a b'", "/home/o'neil/a b"},
		{"'~/a'", "~/a"},
		{"a~", "a~"},
		{"my model", "my model"},
		{"my model/", "my model"},
		{`my\ model`, "my model"},
		{"'my model'/", "my model"},
		{`"my model/"`, "my model"},
		{`"odd"`, `"odd"`},            // it is there
		{`back\slash/`, `back\slash`}, // likewise
		{`"a \"b\" \c"`, `a "b" \c`},  // a backslash before c is one
		{`'a\'`, `a\`},                // and between single quotes
		{"it's mine", "it's mine"},    // not the start of a quotation
		{"'a b", "a b"},               // as completion leaves it
		{`a\`, `a\`},
		{"-x", "./-x"},
		{"'-x'", "./-x"},
	} {
		if got := readPath(c.typed); got != c.want {
			t.Errorf("readPath(%q) = %q, want %q", c.typed, got, c.want)
		}
	}
}

// A shell must read every word as it was.
func TestShellQuote(t *testing.T) {
	words := []string{"alpha", "./a-b_c/d.e:f@g,h+i", "", "my model", "it's", `"`, `\`, "$HOME `x` !", "~/a", "#a", "=a", "a*?[b]", "ä", "日本",
		"line\nfeed", "tab\t'q'", "\x1b[31m", "bad\xff", `c\n` + "\a"}
	for _, shell := range []string{"bash", "zsh", "sh"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			if shell == "bash" {
				t.Skip("no bash")
			}
			continue
		}
		for _, w := range words {
			if shell == "sh" && clean(w) != w { // $'' is not known to every sh
				continue
			}
			cmd := exec.Command(path, "-c", "printf %s "+text.ShellWord(w))
			cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
			got, err := cmd.Output()
			if err != nil || string(got) != w {
				t.Errorf("%s reads %s as %q, want %q (%v)", shell, text.ShellWord(w), got, w, err)
			}
		}
	}
	if got := text.ShellWord("\x1b[31m"); strings.Contains(got, "\x1b") {
		t.Errorf("%q reaches the terminal", got)
	}
}

func TestPathMatcher(t *testing.T) {
	inFolder(t, "alpha/", "alphabet/", "beta/gamma/", "my model/", ".hidden/", "x.safetensors", "pytorch_model.bin", "notes.txt", "esc\x1b/")
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	for _, c := range []struct {
		line, head string
		names      []string
	}{
		{"al", "", []string{"alpha/", "alphabet/"}},
		{"b", "", []string{"beta/"}},
		{"beta/", "beta/", []string{"gamma/"}},
		{"./b", "./", []string{"beta/"}},
		{"~/b", "~/", []string{"beta/"}},
		{"'~/b", "'~/", nil},
		{"my m", "", []string{"my model/"}},
		{`my\ m`, "", []string{"my model/"}},
		{`"my m`, `"`, []string{"my model/"}},
		{".h", "", []string{".hidden/"}},
		{"x", "", []string{"x.safetensors"}},
		{"n", "", nil},
		{"e", "", nil}, // it would write to the terminal
		{"none/a", "none/", nil},
	} {
		if head, names := pathMatcher(true)(c.line); head != c.head || !slices.Equal(names, c.names) {
			t.Errorf("%q becomes %q and %q, want %q and %q", c.line, head, names, c.head, c.names)
		}
	}
	if _, names := pathMatcher(false)(""); !slices.Equal(names, []string{"alpha/", "alphabet/", "beta/", "my model/"}) {
		t.Errorf("folders alone: %q", names)
	}
}

func TestTab(t *testing.T) {
	inFolder(t, "alpha-one/", "alpha-two/", "beta/")
	s := &session{matches: pathMatcher(false)}
	for _, c := range []struct {
		line, want string
		ok         bool
	}{{"a", "alpha-", true}, {"b", "beta/", true}, {"c", "", false}} {
		if got, pos, ok := s.tab(c.line, len(c.line), '\t'); got != c.want || pos != len(c.want) || ok != c.ok {
			t.Errorf("%q becomes %q, %d, %v", c.line, got, pos, ok)
		}
	}
	if got := commonPrefix([]string{"aé", "aè"}); got != "a" { // the first bytes of é and è are the same
		t.Errorf("a common prefix of %q", got)
	}
}

func TestModelsIn(t *testing.T) {
	inFolder(t, "a/model.safetensors", "b/pytorch_model-00001-of-00002.bin", "c/notes.txt", "d/e/model.safetensors", ".f/model.safetensors", "model.safetensors")
	if got := modelsIn("."); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("models here: %q", got)
	}
	if got := modelsIn("d"); !slices.Equal(got, []string{filepath.Join("d", "e")}) {
		t.Errorf("models in d: %q", got)
	}
	if got := modelsIn("none"); got != nil {
		t.Errorf("models in no folder: %q", got)
	}
}
