package writer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"slerpmerge/internal/disk"
	"slerpmerge/internal/tensor"
)

// die leaves an output as a killed process does: nothing is closed in order,
// and what the journal does not vouch for may be lost, so all of it is
// overwritten with junk.
func die(t *testing.T, o *Output, r *rand.Rand) {
	t.Helper()
	o.flush.stop()
	at := Mark{}
	if m := o.flush.marked.Load(); m != nil {
		at = *m
	} else if o.previous.At.File > 0 || o.previous.At.Off > 0 {
		at = o.previous.At
	}
	o.closed = true
	o.closeFiles()
	o.lock.Keep = true // as a dead process leaves it
	must(t, o.lock.Release())
	for i, w := range o.files {
		from := int64(0)
		switch {
		case i < at.File:
			continue
		case i == at.File:
			from = at.Off
		}
		path := filepath.Join(o.above, o.partial, w.Name)
		b, err := os.ReadFile(path)
		must(t, err)
		for k := from; k < int64(len(b)); k++ {
			b[k] = byte(r.Uint32())
		}
		must(t, os.WriteFile(path, b, 0o666))
	}
}

// noFlush leaves out what takes the time: a test that reads back from memory
// does not miss it.
func noFlush() *system {
	sys := realSystem()
	sys.syncFile = func(*os.File) error { return nil }
	sys.syncDir = func(*disk.Folder) error { return nil }
	return sys
}

// Whatever the moments at which runs die, the last one ends in the same bytes.
func TestResume(t *testing.T) {
	t.Parallel()
	sys := noFlush()
	tensors := f32s(5, 3000, 0, 20, 7, 5, 900)
	tensors = append(tensors, tensor.Info{Name: "odd", DType: tensor.U8, Shape: []uint64{77}},
		tensor.Info{Name: "2_Dense/linear.bias", DType: tensor.F32, Shape: []uint64{7}}, tensor.Info{Name: "2_Dense/linear.weight", DType: tensor.F32, Shape: []uint64{7, 90}},
		tensor.Info{Name: "3_Dense/linear.weight", DType: tensor.F32, Shape: []uint64{200}})
	for _, format := range []Format{Safetensors, Bin} {
		t.Run(fmt.Sprint(format), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, uint64(format)))
			data := make([][]byte, len(tensors))
			for i, x := range tensors {
				data[i] = make([]byte, x.Bytes())
				for k := range data[i] {
					data[i][k] = byte(r.Uint32())
				}
			}
			lay := func() *Layout {
				return layModules(t, tensors, 12100, format)
			}
			whole := filepath.Join(t.TempDir(), "out")
			o := create(t, whole, Options{sys: sys})
			must(t, o.Presize(t.Context(), lay()))
			fill(t, o, lay(), data, 100)
			must(t, o.Put("config.json", []byte("{}")))
			must(t, o.Put("2_Dense/config.json", []byte("{}")))
			must(t, o.Publish())
			want := readAll(t, whole)
			if len(want) < 4 {
				t.Fatalf("only %d files", len(want))
			}

			for round := range 60 {
				out := filepath.Join(t.TempDir(), "out")
				notes := 0
				for deaths := 0; ; deaths++ {
					l := lay()
					o, err := Create(out, Options{Fingerprint: "f", sys: sys})
					must(t, err)
					must(t, o.Presize(t.Context(), l))
					e := o.Previous()
					if e.Found && e.Why != "" && e.Why != "it had not come far enough" {
						t.Fatalf("round %d: %+v", round, e)
					}
					if len(e.Notes) < notes || deaths == 0 && e.Found {
						t.Fatalf("round %d: %d notes of %d, found %v", round, len(e.Notes), notes, e.Found)
					}
					notes = len(e.Notes)
					for k, n := range e.Notes {
						if string(n) != fmt.Sprint(k) {
							t.Fatalf("note %d is %s", k, n)
						}
					}
					must(t, o.Put("config.json", []byte("{}"))) // it may be there from before
					must(t, o.Put("2_Dense/config.json", []byte("{}")))
					left := 1 + r.IntN(60) // writes until it dies
					last := deaths == 4
					size := int64(1 + r.IntN(900))
					for i := e.At.File; i < len(l.Files) && (last || left > 0); i++ {
						for _, x := range l.Files[i].Extents {
							off := x.Off
							if i == e.At.File {
								off = max(off, e.At.Off)
							}
							for off < x.Off+x.Len && (last || left > 0) {
								n := min(size, x.Off+x.Len-off)
								must(t, o.Write(i, slices.Clone(data[x.Tensor][off-x.Off:][:n]), off, nil))
								off += n
								left--
								if r.IntN(6) == 0 {
									must(t, o.Checkpoint(fmt.Append(nil, notes)))
									notes++
								}
							}
						}
					}
					if last {
						must(t, o.Publish())
						break
					}
					if round%3 == 0 {
						at, err := o.Suspend(fmt.Append(nil, notes))
						must(t, err)
						if _, err := os.Stat(filepath.Join(o.above, o.partial)); (err == nil) != (at.File > 0 || at.Off > 0) {
							t.Fatalf("suspended at %+v: %v", at, err)
						}
						if notes++; at.File == 0 && at.Off == 0 {
							notes = 0
						}
					} else {
						die(t, o, r)
					}
				}
				got := readAll(t, out)
				if len(got) != len(want) {
					t.Fatalf("files %d, want %d", len(got), len(want))
				}
				for name, b := range want {
					if !bytes.Equal(got[name], b) {
						t.Fatalf("format %d, round %d: %s differs", format, round, name)
					}
				}
				wantList(t, filepath.Dir(out), "out")
			}
		})
	}
}

// begun leaves an output of the sample that died with its first file and a
// part of the last one written.
func begun(t *testing.T, fingerprint string) (out string) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "out")
	l, data := sample(t)
	o := create(t, out, Options{Fingerprint: fingerprint})
	must(t, o.Presize(t.Context(), l))
	must(t, o.Write(0, data[l.Files[0].Extents[0].Tensor], l.Files[0].Extents[0].Off, nil))
	must(t, o.Checkpoint([]byte(`{"x":1}`)))
	must(t, o.Put("config.json", nil))
	o.flush.stop()
	o.closed = true
	o.closeFiles()
	o.lock.Keep = true // as a dead process leaves it
	must(t, o.lock.Release())
	return out
}

// What does not fit is thrown away, with a reason.
func TestResumeRefuses(t *testing.T) {
	t.Parallel()
	l, data := sample(t)
	journal := func(out string) string { return filepath.Join(filepath.Dir(out), ".out.partial", journalName) }
	edit := func(f func(text string) string) func(*testing.T, string) {
		return func(t *testing.T, out string) {
			b, err := os.ReadFile(journal(out))
			must(t, err)
			must(t, os.WriteFile(journal(out), []byte(f(string(b))), 0o666))
		}
	}
	mark := func(m Mark) func(*testing.T, string) {
		return edit(func(text string) string {
			line, err := markLine{Mark: m}.text()
			must(t, err)
			return text + string(line)
		})
	}
	partial := func(out string, name string) string {
		return filepath.Join(filepath.Dir(out), ".out.partial", name)
	}
	// recut cuts n bytes off a file, and gives it its size back.
	recut := func(file int, n int64) func(*testing.T, string) {
		return func(t *testing.T, out string) {
			path := partial(out, l.Files[file].Name)
			must(t, os.Truncate(path, max(0, l.Files[file].Size-n)))
			must(t, os.Truncate(path, l.Files[file].Size))
		}
	}
	for name, c := range map[string]struct {
		spoil       func(t *testing.T, out string)
		fingerprint string
		restart     bool
		why         string // a part of it
		kept        bool
	}{
		"nothing amiss":       {kept: true},
		"a line that was cut": {spoil: edit(func(s string) string { return s + "12345678 {\"fi" }), kept: true},
		"a sum that is wrong": {spoil: edit(func(s string) string { return s + "12345678 {\"file\":3}\n" }), kept: true},
		"a step back":         {spoil: mark(Mark{}), kept: true},
		"another fingerprint": {fingerprint: "g", why: "other parents or flags"},
		"--restart":           {restart: true},
		"a folder that lets others in": {spoil: func(t *testing.T, out string) {
			if runtime.GOOS == "windows" {
				t.Skip("no modes")
			}
			must(t, os.Chmod(partial(out, ""), 0o777))
		}, why: "others can write to its folder"},
		"no journal":           {spoil: func(t *testing.T, out string) { must(t, os.Remove(journal(out))) }, why: "not come far enough"},
		"an empty journal":     {spoil: edit(func(string) string { return "" }), why: "no journal"},
		"another format":       {spoil: edit(func(s string) string { return strings.Replace(s, " 3 ", " 2 ", 1) }), why: "another version"},
		"a file too many":      {spoil: mark(Mark{File: 4}), why: "file 5 of 3"},
		"a place in no extent": {spoil: mark(Mark{File: 2, Off: 3}), why: "does not"},
		"a file that shrank": {spoil: func(t *testing.T, out string) {
			must(t, os.Truncate(partial(out, l.Files[2].Name), 5))
		}, why: "is not as it was left"},
		"all done that is not":    {spoil: mark(Mark{File: 3}), why: "does not say all that was written"},
		"a place further on":      {spoil: mark(Mark{File: 1, Off: l.Files[1].Size - 8}), why: "does not"},
		"cut and made long again": {spoil: recut(0, 1), why: "its bytes are not those that were written"},
		"cut to the header":       {spoil: recut(0, 100), why: "its bytes are not those that were written"},
		"cut in the header":       {spoil: recut(0, 150), why: "its header is not the one that was written"},
		"a file that others can reach": {spoil: func(t *testing.T, out string) {
			must(t, os.Link(partial(out, l.Files[0].Name), filepath.Join(filepath.Dir(out), "other")))
		}, why: "has 2 links"},
		"a file that is gone": {spoil: func(t *testing.T, out string) {
			must(t, os.Remove(partial(out, l.Files[0].Name)))
		}, why: "is not as it was left"},
		"a file that is a link": {spoil: func(t *testing.T, out string) {
			must(t, os.Rename(partial(out, l.Files[1].Name), partial(out, "x")))
			must(t, os.Symlink("x", partial(out, l.Files[1].Name)))
		}, why: "is not as it was left"},
	} {
		t.Run(name, func(t *testing.T) {
			out := begun(t, "f")
			if c.spoil != nil {
				c.spoil(t, out)
			}
			if c.fingerprint == "" {
				c.fingerprint = "f"
			}
			o := create(t, out, Options{Fingerprint: c.fingerprint, Restart: c.restart})
			must(t, o.Presize(t.Context(), l))
			e := o.Previous()
			if !e.Found || !strings.Contains(e.Why, c.why) || c.why == "" && e.Why != "" {
				t.Fatalf("%+v, want %q", e, c.why)
			}
			if kept := e.Bytes > 0; kept != c.kept && c.why == "" && !c.restart {
				t.Errorf("kept %v: %+v", kept, e)
			}
			at := e.At
			if !c.kept {
				at = Mark{}
				if e.Bytes > 0 || e.Notes != nil {
					t.Errorf("%+v", e)
				}
			} else if len(e.Notes) != 1 || string(e.Notes[0]) != `{"x":1}` {
				t.Errorf("notes %q", e.Notes)
			}
			for i, f := range l.Files {
				for _, x := range f.Extents {
					if i > at.File || i == at.File && x.Off >= at.Off {
						must(t, o.Write(i, data[x.Tensor], x.Off, nil))
					}
				}
			}
			must(t, o.Put("config.json", nil))
			must(t, o.Publish())
			for i, f := range l.Files {
				for _, x := range f.Extents {
					got, err := os.ReadFile(filepath.Join(out, f.Name))
					must(t, err)
					if !bytes.Equal(got[x.Off:][:x.Len], data[x.Tensor]) {
						t.Errorf("tensor %d of file %d differs", x.Tensor, i)
					}
				}
			}
		})
	}
}

// The journal speaks of nothing that is not on the disk, names included.
func TestCheckpointOrder(t *testing.T) {
	t.Parallel()
	var log []string
	sys := realSystem()
	sys.syncFile = func(f *os.File) error { log = append(log, filepath.Base(f.Name())); return nil }
	sys.syncDir = func(d *disk.Folder) error { log = append(log, filepath.Base(d.Path(""))); return nil }
	base := filepath.Join(t.TempDir(), "base")
	l, data := sample(t)
	o := create(t, filepath.Join(base, "out"), Options{Fingerprint: "f", sys: sys})
	must(t, o.Presize(t.Context(), l))
	x := l.Files[0].Extents[0]
	must(t, o.Write(0, data[x.Tensor][:8], x.Off, nil))
	must(t, o.Checkpoint(nil))
	must(t, o.Write(0, data[x.Tensor][8:], x.Off+8, nil))
	must(t, o.Checkpoint(nil))
	_, err := o.Suspend(nil)
	must(t, err)
	name := l.Files[0].Name
	if got := log[slices.Index(log, ".out.partial"):]; !slices.Equal(got[:6], []string{".out.partial", "base", name, journalName, name, journalName}) {
		t.Errorf("flushed %q", got)
	}
}

// After a failed flush the journal ends where it was, and so does the next run.
func TestCheckpointFault(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	l, data := sample(t)
	sys, broken := realSystem(), atomic.Bool{}
	sys.syncFile = func(f *os.File) error {
		if broken.Load() {
			return syscall.EIO
		}
		return disk.Flush(f)
	}
	o := create(t, out, Options{Fingerprint: "f", sys: sys})
	must(t, o.Presize(t.Context(), l))
	x := l.Files[0].Extents[0]
	must(t, o.Write(0, data[x.Tensor][:8], x.Off, nil))
	must(t, o.Checkpoint([]byte("1")))
	for o.flush.marked.Load() == nil {
	}
	broken.Store(true)
	must(t, o.Write(0, data[x.Tensor][8:12], x.Off+8, nil))
	must(t, o.Checkpoint([]byte("2")))
	at, err := o.Suspend([]byte("3"))
	if !errors.Is(err, syscall.EIO) || at.Off != x.Off+8 {
		t.Errorf("suspended at %+v: %v", at, err)
	}
	o = create(t, out, Options{Fingerprint: "f"})
	must(t, o.Presize(t.Context(), l))
	if e := o.Previous(); e.At.Off != x.Off+8 || len(e.Notes) != 1 {
		t.Errorf("%+v", e)
	}
}

// Nothing worth it is kept of a run that wrote nothing.
func TestSuspendAtTheStart(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "out")
	l, _ := sample(t)
	for _, presize := range []bool{false, true} {
		o := create(t, out, Options{Fingerprint: "f"})
		if presize {
			must(t, o.Presize(t.Context(), l))
		}
		at, err := o.Suspend(nil)
		must(t, err)
		if at.File != 0 || at.Off != 0 {
			t.Errorf("%+v", at)
		}
		wantList(t, filepath.Dir(out))
	}
}

func FuzzJournal(f *testing.F) {
	line, err := markLine{Mark: Mark{File: 1, Off: 2, CRC: 3, Note: json.RawMessage(`{"done":[]}`)}}.text()
	if err != nil {
		f.Fatal(err)
	}
	head := journalHead("f", "out")
	f.Add([]byte(head))
	f.Add([]byte(head + string(line)))
	f.Add([]byte(head + string(line) + string(line[:20])))
	f.Add([]byte("slerpmerge journal 2 f\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := readJournal(bytes.NewReader(b), "f", "out")
		marks, valid := j.marks, j.valid
		if err != nil {
			if marks != nil || valid != 0 {
				t.Errorf("%v, with %d marks", err, len(marks))
			}
			return
		}
		// What holds, read alone, says the same; marks never go back.
		again, err := readJournal(bytes.NewReader(b[:valid]), "f", "out")
		if err != nil || again.valid != valid || len(again.marks) != len(marks) {
			t.Errorf("%d of %d bytes: %v", again.valid, valid, err)
		}
		for i := 1; i < len(marks); i++ {
			if !marks[i-1].before(marks[i].Mark) {
				t.Errorf("mark %d goes back", i)
			}
		}
	})
}

// Whichever call of the system fails, and with whichever error, the run that
// follows ends in the same bytes.
func TestEveryFaultIsOvercome(t *testing.T) {
	t.Parallel()
	tensors := append(f32s(5, 700, 0, 20, 300), tensor.Info{Name: "2_Dense/w", DType: tensor.F32, Shape: []uint64{150}})
	data := [][]byte{counted(20), counted(2800), nil, counted(80), counted(1200), counted(600)}
	for _, format := range []Format{Safetensors, Bin} {
		lay := func() *Layout { return layModules(t, tensors, 3000, format) }
		// work does all that is left, and keeps its work when it fails.
		work := func(out string, sys *system) error {
			l := lay()
			o, err := Create(out, Options{Fingerprint: "f", sys: sys})
			if err != nil {
				return err
			}
			defer o.Abort()
			step := func() error {
				if err := o.Presize(t.Context(), l); err != nil {
					return err
				}
				at := o.Previous().At
				for i := at.File; i < len(l.Files); i++ {
					for _, x := range l.Files[i].Extents {
						for off := x.Off; off < x.Off+x.Len; off += 500 {
							if i == at.File && off < at.Off {
								continue
							}
							end := min(off+500, x.Off+x.Len)
							if err := o.Write(i, slices.Clone(data[x.Tensor][off-x.Off:end-x.Off]), off, nil); err != nil {
								return err
							}
							if err := o.Checkpoint(nil); err != nil {
								return err
							}
						}
					}
				}
				if err := o.Put("config.json", []byte("{}")); err != nil {
					return err
				}
				return o.Publish()
			}
			if err := step(); err != nil {
				o.Suspend(nil)
				return err
			}
			return nil
		}
		out := filepath.Join(t.TempDir(), "out")
		must(t, work(out, noFlush()))
		want := readAll(t, out)

		// arm makes the nth call of one kind fail, and tells how many there were.
		kinds := map[string]func(sys *system, fail func() error){
			"write": func(sys *system, fail func() error) {
				sys.writeAt = func(f *os.File, p []byte, off int64) (int, error) {
					if err := fail(); err != nil {
						n, _ := f.WriteAt(p[:len(p)/2], off) // a part of it
						return n, err
					}
					return f.WriteAt(p, off)
				}
			},
			"flush": func(sys *system, fail func() error) {
				sys.syncFile = func(*os.File) error { return fail() }
			},
			"reserve": func(sys *system, fail func() error) {
				sys.reserve = func(f *os.File, n int64) error { return errors.Join(fail(), preallocate(f, n)) }
			},
			"flush of a folder": func(sys *system, fail func() error) {
				sys.syncDir = func(*disk.Folder) error { return fail() }
			},
			"rename": func(sys *system, fail func() error) {
				sys.rename = func(d *disk.Folder, from, to string) error {
					if err := fail(); err != nil {
						return err
					}
					return d.Rename(from, to)
				}
			},
		}
		for kind, arm := range kinds {
			t.Run(fmt.Sprintf("%d %s", format, kind), func(t *testing.T) {
				t.Parallel()
				all := os.Getenv("SLERPMERGE_TEST_FAULTS") != "" // else one error and the other by turns
				for nth, more := int64(1), true; more; nth++ {
					for i, cause := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
						if !all && i != int(nth%2) {
							continue
						}
						out := filepath.Join(t.TempDir(), "out")
						var calls atomic.Int64
						sys := noFlush()
						arm(sys, func() error {
							if calls.Add(1) == nth {
								return cause
							}
							return nil
						})
						err := work(out, sys)
						if more = calls.Load() >= nth; !more {
							break
						}
						published := err != nil && strings.Contains(err.Error(), "is complete, but")
						if !errors.Is(err, cause) {
							t.Fatalf("format %d, %s %d: %v, want %v", format, kind, nth, err, cause)
						}
						if !published {
							if err := work(out, noFlush()); err != nil {
								t.Fatalf("format %d, %s %d, %v: the second run: %v", format, kind, nth, cause, err)
							}
						}
						got := readAll(t, out)
						for name, b := range want {
							if !bytes.Equal(got[name], b) || len(got) != len(want) {
								t.Fatalf("format %d, %s %d, %v: %s differs", format, kind, nth, cause, name)
							}
						}
						wantList(t, filepath.Dir(out), "out")
					}
				}
			})
		}
	}
}

// A file that was cut within what is done, and made as long again, is begun anew;
// one that was cut behind the mark is as good as before.
func TestCutUnderWay(t *testing.T) {
	t.Parallel()
	sys := noFlush()
	infos := []tensor.Info{{Name: "w", DType: tensor.BF16, Shape: []uint64{1 << 20}}}
	for _, f := range []Format{Safetensors, Bin} {
		l, err := NewLayout(infos, nil, 1<<40, f)
		must(t, err)
		x := l.Files[0].Extents[0]
		const done = 1 << 20
		for _, c := range []struct {
			name string
			cut  int64
			kept bool
		}{{"behind the mark", x.Off + done, true}, {"one byte", x.Off + done - 1, false}, {"a block", x.Off + done - 4096, false}, {"half", x.Off + done/2, false}, {"all", 0, false}} {
			out := filepath.Join(t.TempDir(), "out")
			o := create(t, out, Options{Fingerprint: "f", sys: sys})
			must(t, o.Presize(t.Context(), l))
			must(t, o.Write(0, bytes.Repeat([]byte{1, 2, 3, 4}, done/4), x.Off, nil))
			at, err := o.Suspend([]byte("{}"))
			must(t, err)
			if at.Off != x.Off+done {
				t.Fatalf("suspended at %+v", at)
			}
			path := filepath.Join(o.above, o.partial, l.Files[0].Name)
			must(t, os.Truncate(path, c.cut))
			must(t, os.Truncate(path, l.Files[0].Size))
			o = create(t, out, Options{Fingerprint: "f", sys: sys})
			must(t, o.Presize(t.Context(), l))
			if e := o.Previous(); (e.Bytes > 0) != c.kept || (e.Why == "") != c.kept {
				t.Errorf("%s, cut %s: %+v", l.Files[0].Name, c.name, e)
			}
			must(t, o.Abort())
		}
	}
}

// A run whose files are not as they were left begins anew, those in folders
// of modules among them.
func TestModulesAreMadeAnew(t *testing.T) {
	t.Parallel()
	sys := noFlush()
	tensors := append(f32s(5, 70), tensor.Info{Name: "2_Dense/w", DType: tensor.F32, Shape: []uint64{90}})
	data := [][]byte{counted(20), counted(280), counted(360)}
	out := filepath.Join(t.TempDir(), "out")
	l := layModules(t, tensors, 1<<20, Safetensors)
	o := create(t, out, Options{Fingerprint: "f", sys: sys})
	must(t, o.Presize(t.Context(), l))
	x := l.Files[0].Extents[0]
	must(t, o.Write(0, slices.Clone(data[x.Tensor]), x.Off, nil))
	_, err := o.Suspend([]byte("1"))
	must(t, err)
	damaged := filepath.Join(filepath.Dir(out), ".out.partial", "2_Dense", "model.safetensors")
	must(t, os.Truncate(damaged, 1))
	l = layModules(t, tensors, 1<<20, Safetensors)
	o = create(t, out, Options{Fingerprint: "f", sys: sys})
	must(t, o.Presize(t.Context(), l))
	if e := o.Previous(); !e.Found || e.Why == "" {
		t.Fatalf("%+v", e)
	}
	fill(t, o, l, data, 100)
	must(t, o.Publish())
	if files := readAll(t, out); len(files["2_Dense/model.safetensors"]) != int(l.Files[1].Size) {
		t.Errorf("files %v", slices.Collect(maps.Keys(files)))
	}
}
