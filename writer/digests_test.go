package writer

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/tensor"
)

// What GNU coreutils 9.1 prints for files of these names with "x" in them.
const sumOfX = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"

func TestFormatSums(t *testing.T) {
	x := sha256.Sum256([]byte("x"))
	for _, c := range []struct{ name, line string }{
		{"model.safetensors", sumOfX + "  model.safetensors\n"},
		{"additional_chat_templates/a.jinja", sumOfX + "  additional_chat_templates/a.jinja\n"},
		{"a b*", sumOfX + "  a b*\n"},
		{"a\nb", `\` + sumOfX + `  a\nb` + "\n"},
		{"a\rb", `\` + sumOfX + `  a\rb` + "\n"},
		{`a\nb`, `\` + sumOfX + `  a\\nb` + "\n"},
		{"lic\xe9nce", sumOfX + "  lic\xe9nce\n"},
	} {
		got := string(FormatDigests([]Digest{{c.name, x}}))
		if got != c.line {
			t.Errorf("%q: %q, want %q", c.name, got, c.line)
		}
		back, err := ReadDigests(strings.NewReader(got))
		if err != nil || len(back) != 1 || back[0] != (Digest{c.name, x}) {
			t.Errorf("%q came back as %q, %v", c.name, back, err)
		}
	}
}

func TestReadSums(t *testing.T) {
	good := strings.ToUpper(sumOfX) + " *a\n" + sumOfX + "  b" // binary, capitals, no newline at the end
	sums, err := ReadDigests(strings.NewReader(good))
	if err != nil || len(sums) != 2 || sums[0].Name != "a" || sums[1].Name != "b" {
		t.Errorf("%v, %v", sums, err)
	}
	for _, bad := range []string{
		"\n", "x\n", sumOfX + "\n", sumOfX + " a\n", sumOfX + "  \n", sumOfX[1:] + "  ab\n", "g" + sumOfX[1:] + "  a\n",
		sumOfX + "  /a\n", sumOfX + "  ../a\n", sumOfX + "  a/../../b\n", sumOfX + "  a\x00b\n",
		`\` + sumOfX + `  a\`, `\` + sumOfX + `  a\t`, sumOfX + "  " + strings.Repeat("n", maxSumLine),
		strings.Repeat(sumOfX+"  a\n", maxSumLines+1),
	} {
		sums, err := ReadDigests(strings.NewReader(bad))
		var line *DigestsError
		if !errors.As(err, &line) || sums != nil {
			t.Errorf("%.100q: %d sums, error %v", bad, len(sums), err)
		}
	}
	if _, err := ReadDigests(strings.NewReader(sumOfX + "  a\nx\n")); err == nil || err.Error() != "line 2 is not a line of sha256sum" {
		t.Errorf("error %v", err)
	}
}

func TestHashFiles(t *testing.T) {
	dir := t.TempDir()
	var names []string
	for _, name := range []string{"c", "a", "b", "d"} {
		text := []byte(strings.Repeat(name, 300_000))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	for _, threads := range []int{1, 3, 100} {
		sums, err := HashFiles(t.Context(), dir, names, threads)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range sums {
			if s.Name != names[i] || s.SHA256 != sha256.Sum256([]byte(strings.Repeat(s.Name, 300_000))) {
				t.Errorf("%d threads: %s has the sum %x", threads, s.Name, s.SHA256)
			}
		}
	}
	if _, err := HashFiles(t.Context(), dir, []string{"a", "absent"}, 2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := HashFiles(ctx, dir, names, 2); err != stop {
		t.Errorf("cancelled: %v", err)
	}
}

// SHA256SUMS has all files of the folder but itself, as they are in the end.
func TestPutSums(t *testing.T) {
	for _, format := range []Format{Safetensors, Bin} {
		out := filepath.Join(t.TempDir(), "out")
		o, err := Create(out, Options{})
		if err != nil {
			t.Fatal(err)
		}
		l, err := NewLayout([]tensor.Info{{Name: "a", DType: tensor.U8, Shape: []uint64{100}}, {Name: "b", DType: tensor.U8, Shape: []uint64{100}}}, nil, 100, format)
		if err != nil {
			t.Fatal(err)
		}
		if err := o.Presize(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		if _, err := o.PutDigests(t.Context(), 2, nil); err == nil || !strings.Contains(err.Error(), "not complete") {
			t.Fatalf("sums of files without values: %v", err)
		}
		for i, f := range l.Files {
			if err := o.Write(i, []byte(strings.Repeat("v", 100)), f.Extents[0].Off, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"z", "additional_chat_templates/x.jinja", "README.md"} {
			if err := o.Put(name, []byte(name)); err != nil {
				t.Fatal(err)
			}
		}
		// What a run keeps for itself is none of the output's files.
		private := filepath.Join(o.above, o.partial, ".private")
		if err := os.WriteFile(private, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		n, err := o.PutDigests(t.Context(), 2, nil)
		if err != nil {
			t.Fatal(err)
		}
		os.Remove(private)
		if err := o.Publish(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(out, DigestsName))
		if err != nil || int64(len(text)) != n {
			t.Fatalf("%d bytes of %d, %v", len(text), n, err)
		}
		sums, err := ReadDigests(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		var listed, there []string
		for _, s := range sums {
			listed = append(listed, s.Name)
			b, err := os.ReadFile(filepath.Join(out, s.Name))
			if err != nil || s.SHA256 != sha256.Sum256(b) {
				t.Errorf("%s has another sum, or %v", s.Name, err)
			}
		}
		filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
			if rel, _ := filepath.Rel(out, path); !d.IsDir() && rel != DigestsName {
				there = append(there, filepath.ToSlash(rel))
			}
			return err
		})
		slices.Sort(there)
		if !slices.Equal(listed, there) {
			t.Errorf("%q are listed, %q are there", listed, there)
		}
	}
}
