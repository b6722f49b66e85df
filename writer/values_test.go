package writer

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slerpmerge/internal/tensor"
)

// left makes an unfinished run: it wrote all but the last 9 bytes of the last file, in
// small pieces and with many marks, and was stopped.
func left(t *testing.T, l *Layout, data [][]byte, opt Options, sums bool) (out string, at Mark) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "out")
	o := create(t, out, opt)
	must(t, o.Presize(t.Context(), l))
	pieces := 0
	for i, f := range l.Files {
		for _, x := range f.Extents {
			n := x.Len
			if i == len(l.Files)-1 && x.Off+x.Len == f.Extents[len(f.Extents)-1].Off+f.Extents[len(f.Extents)-1].Len {
				n -= 9
			}
			for off := x.Off; off < x.Off+n; off += 11 {
				p := data[x.Tensor][off-x.Off:][:min(11, x.Off+n-off)]
				var known []uint32
				if sums {
					known = []uint32{crc32.ChecksumIEEE(p)}
				}
				must(t, o.Write(i, slices.Clone(p), off, known))
				if pieces++; pieces%7 == 0 {
					must(t, o.Checkpoint(nil))
				}
			}
		}
	}
	at, err := o.Suspend([]byte("{}"))
	must(t, err)
	return out, at
}

// A change of any byte that a run has left before its last mark is found, in values,
// in headers and in checksums, and the run begins anew; one behind the mark is none.
func TestEveryByteIsChecked(t *testing.T) {
	t.Parallel()
	opt := Options{Fingerprint: "f", sys: noFlush(), Threads: 2}
	tensors := append(f32s(5, 30, 0, 20, 7), tensor.Info{Name: "odd", DType: tensor.U8, Shape: []uint64{77}})
	data := [][]byte{counted(20), counted(120), nil, counted(80), counted(28), counted(77)}
	for _, format := range []Format{Safetensors, Bin} {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			t.Parallel()
			limit := int64(150)
			l, err := NewLayout(tensors, nil, limit, format)
			must(t, err)
			if len(l.Files) < 2 {
				t.Fatalf("%d files", len(l.Files))
			}
			out, at := left(t, l, data, opt, format == Bin)
			if at.File != len(l.Files)-1 || at.Off == 0 {
				t.Fatalf("left at %+v", at)
			}
			found, passed := 0, 0
			for i, f := range l.Files {
				path := filepath.Join(filepath.Dir(out), ".out.partial", f.Name)
				for k := int64(0); k < f.Size; k += 13 {
					b, err := os.ReadFile(path)
					must(t, err)
					b[k] ^= 0x40
					must(t, os.WriteFile(path, b, 0o666))
					o := create(t, out, opt)
					must(t, o.Presize(t.Context(), l))
					e := o.Previous()
					before := i < at.File || k < l.Files[i].durable(at.Off)
					if (e.Why != "") != before || before && e.Bytes != 0 {
						t.Errorf("file %d, byte %d of %d, left at %+v: %+v", i, k, f.Size, at, e)
					}
					if before {
						found++
						must(t, o.Abort())
						out, at = left(t, l, data, opt, format == Bin)
						path = filepath.Join(filepath.Dir(out), ".out.partial", f.Name)
					} else {
						passed++
						_, err := o.Suspend(nil)
						must(t, err)
					}
				}
			}
			if found < 25 || passed < 1 {
				t.Errorf("%d found, %d passed", found, passed)
			}
		})
	}
}

// What the system has copied is compared with its original.
func TestCopiedBytesAreChecked(t *testing.T) {
	t.Parallel()
	l, data := sample(t)
	ended := errors.New("ended")
	stop := false
	original := func(ctx context.Context, file int, p []byte, off int64) error {
		for _, x := range l.Files[file].Extents {
			if off >= x.Off && off < x.Off+x.Len {
				copy(p, data[x.Tensor][off-x.Off:])
			}
		}
		if stop {
			return ended
		}
		return nil
	}
	opt := Options{Fingerprint: "f", sys: noFlush(), Original: original}
	for name, c := range map[string]struct {
		change func(path string, o *Options)
		why    string
		err    error
	}{
		"nothing amiss": {},
		"zeros": {change: func(path string, _ *Options) {
			b, err := os.ReadFile(path)
			must(t, err)
			clear(b[len(b)-5:])
			must(t, os.WriteFile(path, b, 0o666))
		}, why: "its bytes are not those that were written"},
		"no original": {change: func(_ string, o *Options) { o.Original = nil }, why: "of which there is no checksum"},
		"another plan": {change: func(_ string, o *Options) {
			o.Original = func(context.Context, int, []byte, int64) error { return errors.ErrUnsupported }
		}, why: "does not fit the plan"},
		"an original that can't be read": {change: func(string, *Options) { stop = true }, err: ended},
		"a limit that ends": {change: func(_ string, o *Options) {
			o.Limit = func(context.Context, int) error { return ended }
		}, err: ended},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			o := create(t, out, opt)
			must(t, o.Presize(t.Context(), l))
			x := l.Files[0].Extents[0]
			must(t, o.Copy(0, x.Off, x.Len, func(dst *os.File, off int64) error {
				_, err := dst.WriteAt(data[x.Tensor], off)
				return err
			}))
			at, err := o.Suspend([]byte("{}"))
			must(t, err)
			stop = false
			next := opt
			if c.change != nil {
				c.change(filepath.Join(filepath.Dir(out), ".out.partial", l.Files[0].Name), &next)
			}
			o = create(t, out, next)
			if err := o.Presize(t.Context(), l); !errors.Is(err, c.err) {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if c.err != nil { // the work is still there
				if again, _ := o.Suspend(nil); again.Off != at.Off || again.File != at.File {
					t.Fatalf("suspended at %+v after %+v", again, at)
				}
				stop = false
				o = create(t, out, opt)
				must(t, o.Presize(t.Context(), l))
			}
			if e := o.Previous(); !strings.Contains(e.Why, c.why) || (e.Why == "") != (c.why == "") || (e.Bytes > 0) != (c.why == "") {
				t.Errorf("%+v", e)
			}
		})
	}
}

// Reading an earlier run ends with the context, and leaves the run as it is.
func TestCheckIsStopped(t *testing.T) {
	t.Parallel()
	l, data := sample(t)
	opt := Options{Fingerprint: "f", sys: noFlush()}
	out, at := left(t, l, data, opt, false)
	cause := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	o := create(t, out, opt)
	if err := o.Presize(ctx, l); err != cause {
		t.Fatal(err)
	}
	if again, _ := o.Suspend(nil); again.Off != at.Off || again.File != at.File {
		t.Fatalf("suspended at %+v after %+v", again, at)
	}
	o = create(t, out, opt)
	must(t, o.Presize(t.Context(), l))
	if e := o.Previous(); e.Why != "" || e.Bytes == 0 {
		t.Errorf("%+v", e)
	}
}

// Stretches join whatever the order in which values are written.
func TestAddStretch(t *testing.T) {
	text := counted(40 << 10)
	crc := crc32.ChecksumIEEE(text)
	cuts := []int{0, 100, 101, 5000, 38000, len(text)}
	for _, order := range [][]int{{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}} {
		var all []stretch
		for _, k := range order {
			p := text[cuts[k]:cuts[k+1]]
			s := stretch{Off: int64(cuts[k]), End: int64(cuts[k+1])}
			known := crc32.ChecksumIEEE(p[len(p)/2:])
			s.extend(p[:len(p)/2], nil)
			s.extend(p[len(p)/2:], &known)
			all = addStretch(all, s)
		}
		if len(all) != 1 || all[0] != (stretch{End: int64(len(text)), CRC: crc, bytes: int64(len(text))}) {
			t.Errorf("%v: %+v, want the CRC %d", order, all, crc)
		}
	}
	all := addStretch(nil, stretch{Off: 0, End: 5, CRC: 1, bytes: 5})
	all = addStretch(all, stretch{Off: 5, End: 9, Copied: true, bytes: 4})
	all = addStretch(all, stretch{Off: 9, End: 12, Copied: true, bytes: 3})
	if want := []stretch{{Off: 0, End: 5, CRC: 1, bytes: 5}, {Off: 5, End: 12, Copied: true, bytes: 7}}; !slices.Equal(all, want) {
		t.Errorf("%+v", all)
	}
}

// A journal has to say what is in all that it calls written.
func TestCheckCovered(t *testing.T) {
	l, err := NewLayout(f32s(5, 30, 20, 0, 7), nil, 100, Safetensors)
	must(t, err)
	first := func(i int) int64 { return l.Files[i].value(0) }
	whole := func(i int) stretch { return stretch{File: i, Off: first(i), End: l.Files[i].Size} }
	all := []stretch{whole(0), whole(1), whole(2)}
	part := whole(1)
	part.End = first(1) + 8
	rest := whole(1)
	rest.Off = part.End
	for name, c := range map[string]struct {
		at   Mark
		all  []stretch
		good bool
	}{
		"nothing":            {Mark{Off: first(0)}, nil, true},
		"all":                {Mark{File: 3}, all, true},
		"a part":             {Mark{File: 1, Off: part.End}, []stretch{whole(0), part}, true},
		"a part and its end": {Mark{File: 2, Off: first(2)}, []stretch{whole(0), part, rest}, true},
		"none of one file":   {Mark{File: 2, Off: first(2)}, []stretch{whole(0)}, false},
		"a hole":             {Mark{File: 2, Off: first(2)}, []stretch{whole(0), rest}, false},
		"twice":              {Mark{File: 1, Off: first(1)}, []stretch{whole(0), whole(0)}, false},
		"too few":            {Mark{File: 3}, all[:2], false},
		"too many":           {Mark{File: 1, Off: first(1)}, all, false},
		"more files":         {Mark{File: 3}, append(slices.Clone(all), stretch{File: 3, End: 5}), false},
		"backwards":          {Mark{File: 1, Off: first(1)}, []stretch{{Off: first(0), End: first(0) - 4}, whole(0)}, false},
		"beyond the end":     {Mark{File: 1, Off: first(1)}, []stretch{{Off: first(0), End: l.Files[0].Size + 9}}, false},
		"no file":            {Mark{File: 1, Off: first(1)}, []stretch{{File: -1, End: 9}, whole(0)}, false},
	} {
		if err := checkCovered(l, c.at, c.all); (err == nil) != c.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}
