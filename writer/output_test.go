package writer

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/disk"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, dir string, opt Options) *Output {
	t.Helper()
	o, err := Create(dir, opt)
	must(t, err)
	t.Cleanup(func() { o.Abort() })
	return o
}

// fill writes the tensors' values in the order of the files, in pieces.
func fill(t testing.TB, o *Output, l *Layout, data [][]byte, piece int) {
	t.Helper()
	for i, f := range l.Files {
		for _, e := range f.Extents {
			off := e.Off
			for p := range slices.Chunk(data[e.Tensor], piece) {
				must(t, o.Write(i, p, off, nil))
				off += int64(len(p))
			}
		}
	}
}

// counted are n bytes that repeat nowhere near.
func counted(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return p
}

// sample is a layout of three shards, the second without tensors of size, and its data.
func sample(t testing.TB) (*Layout, [][]byte) {
	t.Helper()
	l, err := NewLayout(f32s(5, 30, 20, 0, 7), nil, 100, Safetensors)
	must(t, err)
	if len(l.Files) != 3 {
		t.Fatalf("%d files", len(l.Files))
	}
	return l, [][]byte{counted(20), counted(120), counted(80), nil, counted(28)}
}

// readAll reads all files below dir.
func readAll(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)], err = os.ReadFile(path)
		return err
	}))
	return files
}

// list names what is in a folder.
func list(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func wantList(t testing.TB, dir string, want ...string) {
	t.Helper()
	if got := list(t, dir); !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

// model makes a folder that looks like a model.
func model(t testing.TB, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o777))
	must(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte("old"), 0o666))
}

func TestPublish(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	out := filepath.Join(base, "out")
	l, data := sample(t)
	o := create(t, out, Options{})
	wantList(t, base, ".out.lock", ".out.partial")
	must(t, o.Presize(t.Context(), l))
	for _, f := range l.Files {
		fi, err := os.Stat(filepath.Join(base, ".out.partial", f.Name))
		must(t, err)
		if fi.Size() != f.Size {
			t.Errorf("%s is presized to %d, not %d", f.Name, fi.Size(), f.Size)
		}
	}
	must(t, o.Put("config.json", []byte("{}")))
	must(t, o.Put("additional_chat_templates/x.jinja", []byte("x")))
	must(t, o.Put("empty.txt", nil))
	fill(t, o, l, data, 7)
	wantList(t, base, ".out.lock", ".out.partial")
	must(t, o.Publish())
	wantList(t, base, "out")

	got := readAll(t, out)
	for _, f := range l.Files {
		want := make([]byte, f.Size)
		for _, s := range f.Literals {
			copy(want[s.Off:], s.Data)
		}
		for _, e := range f.Extents {
			copy(want[e.Off:], data[e.Tensor])
		}
		if !bytes.Equal(got[f.Name], want) {
			t.Errorf("%s: %q, want %q", f.Name, got[f.Name], want)
		}
		delete(got, f.Name)
	}
	want := map[string][]byte{"config.json": []byte("{}"), "additional_chat_templates/x.jinja": []byte("x"), "empty.txt": {}, l.IndexName: l.Index()}
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("small files %q, want %q", got, want)
	}

	must(t, o.Abort()) // after Publish: nothing
	wantList(t, base, "out")
	if err := o.Publish(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("second Publish: %v", err)
	}
	if err := o.Put("late", nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Put after Publish: %v", err)
	}
	if err := o.Write(0, []byte{1}, 0, nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("WriteAt after Publish: %v", err)
	}
	if _, err := Create(out, Options{}); !errors.As(err, new(*ExistsError)) {
		t.Errorf("Create over the result: %v", err)
	}
	wantList(t, base, "out")
}

func TestNoTensors(t *testing.T) {
	t.Parallel()
	l, err := NewLayout(nil, nil, 1, Safetensors)
	must(t, err)
	out := filepath.Join(t.TempDir(), "out")
	o := create(t, out, Options{})
	must(t, o.Presize(t.Context(), l))
	must(t, o.Publish())
	// The reference's test_empty, with metadata; the header has 32 bytes.
	if got, want := string(readAll(t, out)["model.safetensors"]), "\x20\x00\x00\x00\x00\x00\x00\x00"+`{"__metadata__":{"format":"pt"}}`; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	l, data := sample(t)
	base := t.TempDir()
	out := filepath.Join(base, "out")
	o := create(t, out, Options{})
	must(t, o.Presize(t.Context(), l))
	e := l.Files[0].Extents[0]
	must(t, o.Write(0, data[e.Tensor][:e.Len-1], e.Off, nil))
	if err := o.Publish(); err == nil {
		t.Error("published with bytes missing")
	}
	wantList(t, base, ".out.lock", ".out.partial")
	must(t, o.Abort())
	wantList(t, base)

	o = create(t, out, Options{})
	must(t, o.Presize(t.Context(), l))
	fill(t, o, l, data, 50)
	must(t, os.Truncate(filepath.Join(base, ".out.partial", l.Files[1].Name), l.Files[1].Size-1))
	if err := o.Publish(); err == nil {
		t.Error("published a file that someone cut off")
	}
	if err := o.Put("x", nil); err == nil {
		t.Error("Put after a failed Publish")
	}
	must(t, o.Abort())
	wantList(t, base)

	o = create(t, out, Options{})
	must(t, o.Presize(t.Context(), l))
	must(t, o.Write(0, data[e.Tensor][:4], e.Off, nil))
	if err := o.Write(0, data[e.Tensor][:4], e.Off, nil); err == nil {
		t.Error("the same bytes were written twice")
	}
	must(t, o.Abort())
}

// Abort at any step leaves nothing behind.
func TestAbort(t *testing.T) {
	t.Parallel()
	l, data := sample(t)
	steps := []func(o *Output) error{
		func(o *Output) error { return o.Put("config.json", []byte("{}")) },
		func(o *Output) error { return o.Presize(t.Context(), l) },
	}
	for i, f := range l.Files {
		for _, e := range f.Extents {
			steps = append(steps, func(o *Output) error { return o.Write(i, data[e.Tensor], e.Off, nil) })
		}
	}
	steps = append(steps, func(o *Output) error { return o.flushAll() })
	for n := range len(steps) + 1 {
		base := t.TempDir()
		o := create(t, filepath.Join(base, "new", "deep", "out"), Options{})
		for _, step := range steps[:n] {
			must(t, step(o))
		}
		wantList(t, filepath.Join(base, "new", "deep"), ".out.lock", ".out.partial")
		must(t, o.Abort())
		must(t, o.Abort())
		wantList(t, base)
	}
}

// A Create that fails takes the folders along that it made.
func TestCreateFails(t *testing.T) {
	base := t.TempDir()
	name := strings.Repeat("x", 252) // too long with the .lock behind it
	if _, err := Create(filepath.Join(base, "new", "deep", name), Options{}); err == nil {
		t.Fatal("a name of 258 bytes was accepted")
	}
	wantList(t, base)
}

// Files that are complete are closed; no more than the one at work stays open.
func TestDescriptors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts descriptors in /proc")
	}
	elems := make([]uint64, 300)
	for i := range elems {
		elems[i] = 3
	}
	l, err := NewLayout(f32s(elems...), nil, 12, Safetensors)
	must(t, err)
	if len(l.Files) != 300 {
		t.Fatalf("%d files", len(l.Files))
	}
	o := create(t, filepath.Join(t.TempDir(), "out"), Options{})
	before := len(list(t, "/proc/self/fd"))
	most := 0
	must(t, o.Presize(t.Context(), l))
	for i, f := range l.Files {
		must(t, o.Write(i, counted(12), f.Extents[0].Off, nil))
		most = max(most, len(list(t, "/proc/self/fd")))
	}
	must(t, o.Publish())
	// Those in the queue, the one being flushed, and a few of the runtime.
	if limit := before + writebackQueue + 8; most > limit {
		t.Errorf("%d descriptors were open, want at most %d", most, limit)
	}
}

func TestPutNames(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	for name, ok := range map[string]bool{
		"config.json": true, "a/b.jinja": true, "LICENSE-2": true, ".gitattributes": true, "x..y": true,
		"": false, ".": false, "..": false, "../x": false, "/x": false, "a/b/c": false, "a//b": false, "a/": false,
		"./x": false, `a\b`: false, "x\x00y": false, "a/../b": false,
	} {
		o := create(t, filepath.Join(base, "out"), Options{})
		if err := o.Put(name, []byte("x")); (err == nil) != ok {
			t.Errorf("Put(%q): %v", name, err)
		}
		must(t, o.Abort())
	}
	wantList(t, base)
	o := create(t, filepath.Join(base, "out"), Options{})
	must(t, o.Put("x", []byte("1")))
	if err := o.Put("x", []byte("2")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Put twice: %v", err)
	}
}

func TestExistingOutput(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	empty := filepath.Join(base, "empty")
	must(t, os.Mkdir(empty, 0o777))
	o := create(t, empty, Options{})
	must(t, o.Put("config.json", []byte("new")))
	wantList(t, empty)
	must(t, o.Publish())
	wantList(t, empty, "config.json")
	wantList(t, base, "empty")

	file := filepath.Join(base, "file")
	must(t, os.WriteFile(file, nil, 0o666))
	for _, dir := range []string{empty, file} {
		var exists *ExistsError
		if _, err := Create(dir, Options{}); !errors.As(err, &exists) || exists.Path != dir {
			t.Errorf("Create(%s): %v", dir, err)
		}
	}
	wantList(t, base, "empty", "file")

	// Someone else is faster.
	late := filepath.Join(base, "late")
	o = create(t, late, Options{})
	model(t, late)
	if err := o.Publish(); !errors.As(err, new(*ExistsError)) {
		t.Errorf("Publish over a folder that appeared: %v", err)
	}
	must(t, o.Abort())
	if got := readAll(t, late)["config.json"]; string(got) != "old" {
		t.Errorf("the other's file: %q", got)
	}
	wantList(t, base, "empty", "file", "late")
}

// leave makes a folder that looks as if a dead run had noted it in the lock file.
func leave(t *testing.T, base, name string) {
	t.Helper()
	dir := filepath.Join(base, name)
	model(t, dir)
	fi, err := os.Lstat(dir)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(base, ".out.lock"), []byte("99999999 elsewhere\n"+disk.FolderWord+disk.Identity(fi)+"\n"), 0o644))
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	must(t, os.Mkdir(filepath.Join(base, ".out.partial"), 0o700))
	must(t, os.WriteFile(filepath.Join(base, ".out.partial", "model.safetensors"), []byte("half"), 0o666))
	must(t, os.WriteFile(filepath.Join(base, ".out.partial", journalName), []byte(journalHead("f", "out")), 0o666))
	must(t, os.WriteFile(filepath.Join(base, ".out.lock"), []byte("99999999 elsewhere\n"), 0o666))
	o := create(t, filepath.Join(base, "out"), Options{})
	must(t, o.Put("config.json", []byte("new")))
	must(t, o.Publish())
	wantList(t, base, "out")
	wantList(t, filepath.Join(base, "out"), "config.json")

	// A death between the two renames of a replacement: OUT comes back.
	base = t.TempDir()
	leave(t, base, ".out.old")
	if _, err := Create(filepath.Join(base, "out"), Options{}); !errors.As(err, new(*ExistsError)) {
		t.Errorf("Create over what was put back: %v", err)
	}
	must(t, os.Remove(filepath.Join(base, ".out.lock")))
	wantList(t, base, "out")
	// A death after them: the old one goes.
	leave(t, base, ".out.old")
	o = create(t, filepath.Join(base, "out"), Options{Overwrite: true})
	wantList(t, base, ".out.lock", ".out.partial", "out")
	must(t, o.Abort())
	wantList(t, base, "out")
	// So does one that was exchanged.
	leave(t, base, ".out.partial")
	Cleanup(filepath.Join(base, "out"))
	wantList(t, base, "out")
}

func TestSymlinkedOutput(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	model(t, filepath.Join(base, "store", "real"))
	link := filepath.Join(base, "link")
	if err := os.Symlink(filepath.Join("store", "real"), link); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	o := create(t, link, Options{Overwrite: true})
	wantList(t, base, "link", "store")
	must(t, o.Put("config.json", []byte("new")))
	must(t, o.Publish())
	wantList(t, filepath.Join(base, "store"), "real")
	if got, err := os.ReadFile(filepath.Join(link, "config.json")); err != nil || string(got) != "new" {
		t.Errorf("through the link: %q, %v", got, err)
	}
	must(t, os.Symlink("nowhere", filepath.Join(base, "dangling")))
	if _, err := Create(filepath.Join(base, "dangling"), Options{}); err == nil {
		t.Error("a dangling link was accepted")
	}
	wantList(t, base, "dangling", "link", "store")
}

func TestOverwrite(t *testing.T) {
	t.Parallel()
	for name, exchange := range map[string]func(d *disk.Folder, a, b string) error{
		"exchange":    (*disk.Folder).Exchange,
		"two renames": func(d *disk.Folder, a, b string) error { return errors.ErrUnsupported },
	} {
		t.Run(name, func(t *testing.T) {
			sys := realSystem()
			sys.exchange = exchange
			base := t.TempDir()
			out := filepath.Join(base, "out")
			model(t, out)
			must(t, os.WriteFile(filepath.Join(out, "stale.safetensors"), nil, 0o666))
			o := create(t, out, Options{Overwrite: true, sys: sys})
			must(t, o.Put("config.json", []byte("new")))
			if got := readAll(t, out)["config.json"]; string(got) != "old" {
				t.Errorf("before Publish: %q", got)
			}
			must(t, o.Publish())
			wantList(t, base, "out")
			wantList(t, out, "config.json")
			if got := readAll(t, out)["config.json"]; string(got) != "new" {
				t.Errorf("after Publish: %q", got)
			}

			// Aborted: the folder is as before.
			o = create(t, out, Options{Overwrite: true, sys: sys})
			must(t, o.Put("config.json", []byte("newer")))
			must(t, o.Abort())
			wantList(t, base, "out")

			// What stopped being a model in the meantime is not replaced.
			o = create(t, out, Options{Overwrite: true, sys: sys})
			must(t, os.Mkdir(filepath.Join(out, ".git"), 0o777))
			if err := o.Publish(); !errors.As(err, new(*UnsafeError)) {
				t.Errorf("over a repository: %v", err)
			}
			must(t, o.Abort())
			wantList(t, out, ".git", "config.json")
		})
	}
}

func TestRefusals(t *testing.T) {
	base := t.TempDir()
	at := func(parts ...string) string { return filepath.Join(append([]string{base}, parts...)...) }
	model(t, at("alpha"))
	model(t, at("parent", "beta"))
	model(t, at("parent"))
	model(t, at("repo"))
	must(t, os.Mkdir(at("repo", ".git"), 0o777))
	must(t, os.Mkdir(at("photos"), 0o777))
	must(t, os.WriteFile(at("photos", "cat.jpg"), nil, 0o666))
	must(t, os.WriteFile(at("photos", "pytorch.bin"), nil, 0o666))
	must(t, os.WriteFile(at("single.safetensors"), nil, 0o666))
	model(t, at("store"))
	model(t, at("home"))
	model(t, at("here", "below"))
	model(t, at("here"))
	must(t, os.Mkdir(at("mix"), 0o777))
	must(t, os.Symlink(at("alpha"), at("alias")))
	must(t, os.Symlink(at("store", "config.json"), at("mix", "config.json")))
	t.Setenv("HOME", at("home"))
	t.Setenv("USERPROFILE", at("home"))
	t.Chdir(at("here", "below"))
	root := filepath.VolumeName(base) + string(filepath.Separator)
	before := readAll(t, base)

	for _, c := range []struct {
		name, out string
		inputs    []string
	}{
		{"the input", at("alpha"), []string{at("alpha")}},
		{"the input, by a link to it", at("alias"), []string{at("alpha")}},
		{"the input, given as a link", at("alpha"), []string{at("alias")}},
		{"inside an input", at("alpha", "merged"), []string{at("parent", "beta"), at("alpha")}},
		{"deep inside an input, through a link", at("alias", "x", "merged"), []string{at("alpha")}},
		{"around an input", at("parent"), []string{at("parent", "beta")}},
		{"around an input file", at("alpha"), []string{at("alpha", "config.json")}},
		{"an input file", at("single.safetensors"), []string{at("single.safetensors")}},
		{"around the target of an input's link", at("store"), []string{at("mix")}},
		{"the root", root, nil},
		{"the home", at("home"), nil},
		{"around the home", base, nil},
		{"the current folder", ".", nil},
		{"around the current folder", at("here"), nil},
		{"a repository", at("repo"), nil},
		{"not a model", at("photos"), nil},
		{"a file", at("single.safetensors"), nil},
	} {
		_, err := Create(c.out, Options{Overwrite: true, Inputs: c.inputs})
		var unsafe *UnsafeError
		if !errors.As(err, &unsafe) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.inputs != nil || c.out == "." || c.out == root {
			if _, err := Create(c.out, Options{Inputs: c.inputs}); !errors.As(err, &unsafe) {
				t.Errorf("%s, without Overwrite: %v", c.name, err)
			}
		}
	}
	if after := readAll(t, base); !maps.EqualFunc(before, after, bytes.Equal) {
		t.Errorf("files before: %q, after: %q", before, after)
	}
	if _, err := os.Stat(at("alpha", "x")); err == nil {
		t.Error("a refused output left a folder in the input")
	}
	if _, err := Create("", Options{}); err == nil {
		t.Error("no folder at all was accepted")
	}

	// Names that only begin alike are not inside, and an input that is not there does no harm.
	o := create(t, at("alpha-merged"), Options{Inputs: []string{at("alpha"), at("nothing")}})
	must(t, o.Abort())
}
