package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
	"github.com/rogpeppe/go-internal/testscript"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/testmodel"
	"slerpmerge/safetensors"
	"slerpmerge/torchbin"
)

// copy FROM TO
func cmdCopy(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "copy from to")
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}

// truncate FILE SIZE
func cmdTruncate(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 2, "truncate file size")
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_CREATE|os.O_WRONLY, 0o666)
	ts.Check(err)
	fi, err := f.Stat()
	ts.Check(err)
	if n < 0 {
		n += fi.Size()
	}
	ts.Check(f.Truncate(n))
	ts.Check(f.Close())
}

// damage FILE OFFSET TEXT
func cmdDamage(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "damage file offset text")
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	if off < 0 {
		fi, err := f.Stat()
		ts.Check(err)
		off += fi.Size()
	}
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[2], `"`, `\"`) + `"`)
	ts.Check(err)
	_, err = f.WriteAt([]byte(text), off)
	ts.Check(err)
	ts.Check(f.Close())
}

// hold FILE
func cmdHold(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 1, "hold file")
	l := flock.New(ts.MkAbs(args[0]))
	ok, err := l.TryLock()
	ts.Check(err)
	if !ok {
		ts.Fatalf("%s is locked already", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), fmt.Appendf(nil, "%d otherhost\n", os.Getpid()), 0o666))
	ts.Defer(func() { l.Unlock() })
}

func read(ts *testscript.TestScript, file string) []byte {
	b, err := os.ReadFile(ts.MkAbs(file))
	ts.Check(err)
	return b
}

// same FILE FILE...
func cmdSame(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, len(args) > 1, "[!] same file file...")
	first := read(ts, args[0])
	for _, name := range args[1:] {
		if bytes.Equal(first, read(ts, name)) == neg {
			ts.Fatalf("%s and %s: equal is %v", args[0], name, !neg)
		}
	}
}

// A stored tensor is an entry of a weight file with its bytes.
type stored struct {
	tensor.Info
	data []byte
}

// load reads the weights of a folder or file, whatever its shards.
func load(ts *testscript.TestScript, path string) map[string]stored {
	path = ts.MkAbs(path)
	names := []string{path}
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		names, _ = filepath.Glob(filepath.Join(path, "*.safetensors"))
		bins, _ := filepath.Glob(filepath.Join(path, "*.bin"))
		names = append(names, bins...)
	}
	m := map[string]stored{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		ts.Check(err)
		if filepath.Ext(name) == ".bin" {
			f := inMemory{bytes.NewReader(b)}
			c, err := torchbin.Open(f, f.Size(), torchbin.Options{})
			ts.Check(err)
			for i, t := range c.Tensors {
				data := make([]byte, t.Bytes())
				ts.Check(c.Source(f, i).ReadAt(data, 0))
				m[t.Name] = stored{t.Info, data}
			}
			continue
		}
		h, err := safetensors.ReadHeader(bytes.NewReader(b), int64(len(b)))
		ts.Check(err)
		for _, t := range h.Tensors {
			m[t.Name] = stored{t.Info, b[t.Begin:][:t.Bytes()]}
		}
	}
	return m
}

type inMemory struct{ *bytes.Reader }

func (inMemory) Prefetch(off, n int64) {}

// weights MODEL MODEL...
func cmdWeights(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, false, len(args) > 1, "[!] weights model model...")
	first := load(ts, args[0])
	if len(first) == 0 {
		ts.Fatalf("no tensors in %s", args[0])
	}
	for _, name := range args[1:] {
		equal := maps.EqualFunc(first, load(ts, name), func(a, b stored) bool {
			return a.DType == b.DType && a.SameShape(b.Info) && bytes.Equal(a.data, b.data)
		})
		if equal == neg {
			ts.Fatalf("%s and %s: equal is %v", args[0], name, equal)
		}
	}
}

// values MODEL TENSOR DTYPE VALUE...
func cmdValues(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 2, "values model tensor dtype value...")
	t, ok := load(ts, args[0])[args[1]]
	if !ok {
		ts.Fatalf("no tensor %s", args[1])
	}
	if t.DType.String() != args[2] {
		ts.Fatalf("%s is %v", args[1], t.DType)
	}
	for i, want := range args[3:] {
		if got := fmt.Sprint(float32(testmodel.Float(t.DType, t.data[i*t.DType.Size():]))); got != want {
			ts.Fatalf("value %d is %s, want %s", i, got, want)
		}
	}
}

// files FOLDER NAME...
func cmdFiles(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) > 0, "files folder name...")
	entries, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	want := slices.Sorted(slices.Values(args[1:]))
	if !slices.Equal(got, want) {
		ts.Fatalf("%s holds %q, want %q", args[0], got, want)
	}
}

// filesize FILE JSONFILE PATH
func cmdFilesize(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 3, "filesize file jsonfile path")
	fi, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := look(ts, args[1], args[2]); got != strconv.FormatInt(fi.Size(), 10) {
		ts.Fatalf("%s is %d bytes long, %s says %s", args[0], fi.Size(), args[2], got)
	}
}

// sha256 FILE OFFSET LENGTH HEX
func cmdSHA256(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg, len(args) == 4, "sha256 file offset length hex")
	off, err := strconv.Atoi(args[1])
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	b := read(ts, args[0])
	if off < 0 {
		off += len(b)
	}
	want := args[3]
	if file, path, ok := strings.Cut(want, ":"); ok {
		want = look(ts, file, path)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(b[off:][:n])); got != want {
		ts.Fatalf("digest %s, want %s", got, want)
	}
}
