package writer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slerpmerge/internal/disk"
)

// run makes a whole output and returns the first error.
func run(t *testing.T, out string, opt Options) error {
	t.Helper()
	l, data := sample(t)
	o, err := Create(out, opt)
	if err != nil {
		return err
	}
	t.Cleanup(func() { o.Abort() })
	step := func() error {
		if err := o.Presize(t.Context(), l); err != nil {
			return err
		}
		for i, f := range l.Files {
			for _, e := range f.Extents {
				if err := o.Write(i, data[e.Tensor], e.Off, nil); err != nil {
					return err
				}
			}
		}
		if err := o.Put("config.json", []byte("new")); err != nil {
			return err
		}
		return o.Publish()
	}
	if err := step(); err != nil {
		// An error sticks: whoever overlooks one can't publish.
		if perr := o.Publish(); perr == nil {
			t.Errorf("Publish succeeded after %v", err)
		}
		return errors.Join(err, o.Abort())
	}
	return nil
}

// Every fault ends in the error it is, with OUT as before and nothing beside it.
func TestFaults(t *testing.T) {
	t.Parallel()
	l, _ := sample(t)
	// nth fails the nth call and later ones.
	nth := func(n int, err error) func() error {
		var calls atomic.Int64
		return func() error {
			if calls.Add(1) >= int64(n) {
				return err
			}
			return nil
		}
	}
	faultyWrite := func(n int, err error) func(t *testing.T, sys *system) {
		return func(t *testing.T, sys *system) {
			fail, real := nth(n, err), sys.writeAt
			sys.writeAt = func(f *os.File, p []byte, off int64) (int, error) {
				if err := fail(); err != nil {
					return 0, err
				}
				return real(f, p, off)
			}
		}
	}
	faultySync := func(n int, err error) func(t *testing.T, sys *system) {
		return func(t *testing.T, sys *system) {
			fail := nth(n, err)
			sys.syncFile = func(*os.File) error { return fail() }
		}
	}
	for _, c := range []struct {
		name  string
		fault func(t *testing.T, sys *system)
		want  error
		space bool // a *NoSpaceError
	}{
		{"ENOSPC in the first header", faultyWrite(1, syscall.ENOSPC), syscall.ENOSPC, true},
		{"ENOSPC in data", faultyWrite(2, syscall.ENOSPC), syscall.ENOSPC, true},
		{"EDQUOT in data", faultyWrite(5, syscall.EDQUOT), syscall.EDQUOT, true},
		{"EFBIG in data", faultyWrite(5, syscall.EFBIG), syscall.EFBIG, true},
		{"EIO in data", faultyWrite(5, syscall.EIO), syscall.EIO, false},
		{"a short write", func(t *testing.T, sys *system) {
			sys.writeAt = func(f *os.File, p []byte, off int64) (int, error) { return f.WriteAt(p[:len(p)-1], off) }
		}, io.ErrShortWrite, false},
		{"ENOSPC when reserving", func(t *testing.T, sys *system) {
			fail := nth(2, syscall.ENOSPC)
			sys.reserve = func(*os.File, int64) error { return fail() }
		}, syscall.ENOSPC, true},
		{"ENOSPC when truncating", func(t *testing.T, sys *system) {
			sys.truncate = func(*os.File, int64) error { return syscall.ENOSPC }
		}, syscall.ENOSPC, true},
		{"EIO when flushing the first file", faultySync(1, syscall.EIO), syscall.EIO, false},
		{"EIO when flushing the last file", faultySync(5, syscall.EIO), syscall.EIO, false},
		{"ENOSPC when flushing", faultySync(2, syscall.ENOSPC), syscall.ENOSPC, true}, // NFS reserves nothing
		{"EIO when flushing the folder", func(t *testing.T, sys *system) {
			sys.syncDir = func(*disk.Folder) error { return syscall.EIO }
		}, syscall.EIO, false},
		{"EACCES when renaming", func(t *testing.T, sys *system) {
			sys.rename = func(*disk.Folder, string, string) error { return syscall.EACCES }
		}, syscall.EACCES, false},
		{"no space to begin with", func(t *testing.T, sys *system) {
			sys.freeBytes = func(string) (int64, error) { return l.Bytes() - 1, nil }
			sys.reserve = func(*os.File, int64) error { t.Error("a file was created"); return nil }
		}, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			sys := realSystem()
			c.fault(t, sys)
			err := run(t, filepath.Join(base, "out"), Options{sys: sys})
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
			var space *NoSpaceError
			if errors.As(err, &space) != c.space {
				t.Errorf("error %T %v, *NoSpaceError is %v", err, err, c.space)
			}
			if c.space && (space.Need != l.Bytes() || space.Free <= 0 || space.Path == "") {
				t.Errorf("%+v, want %d bytes needed", space, l.Bytes())
			}
			if err != nil && !strings.Contains(err.Error(), base) {
				t.Errorf("%v names no file", err)
			}
			wantList(t, base)
		})
	}
}

// Faults that are none.
func TestTolerated(t *testing.T) {
	t.Parallel()
	once := func(err error) func() error {
		var done atomic.Bool
		return func() error {
			if done.Swap(true) {
				return nil
			}
			return err
		}
	}
	for name, fault := range map[string]func(sys *system){
		"no free space known": func(sys *system) {
			sys.freeBytes = func(string) (int64, error) { return 0, syscall.ENOSYS }
		},
		"just enough space": func(sys *system) {
			l, _ := sample(t)
			sys.freeBytes = func(string) (int64, error) { return l.Bytes(), nil }
		},
		"fallocate: ENOTSUP": func(sys *system) {
			sys.reserve = func(*os.File, int64) error { return syscall.ENOTSUP }
		},
		"fallocate: EINTR": func(sys *system) {
			intr, real := once(syscall.EINTR), sys.reserve
			sys.reserve = func(f *os.File, n int64) error { return errors.Join(intr(), real(f, n)) }
		},
		"write: EINTR after half": func(sys *system) {
			intr := once(syscall.EINTR)
			sys.writeAt = func(f *os.File, p []byte, off int64) (int, error) {
				if err := intr(); err != nil {
					n, _ := f.WriteAt(p[:len(p)/2], off)
					return n, err
				}
				return f.WriteAt(p, off)
			}
		},
		"fsync: EINTR": func(sys *system) {
			intr := once(syscall.EINTR)
			sys.syncFile = func(f *os.File) error { return errors.Join(intr(), disk.Flush(f)) }
		},
		"fsync: ENOTSUP": func(sys *system) {
			sys.syncFile = func(*os.File) error { return syscall.ENOTSUP }
		},
		"fsync of a folder: EINVAL": func(sys *system) {
			sys.syncDir = func(*disk.Folder) error { return syscall.EINVAL }
		},
		"rename: EINTR": func(sys *system) {
			intr, real := once(syscall.EINTR), sys.rename
			sys.rename = func(d *disk.Folder, a, b string) error {
				if err := intr(); err != nil {
					return err
				}
				return real(d, a, b)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			want := filepath.Join(base, "want")
			must(t, run(t, want, Options{}))
			sys := realSystem()
			fault(sys)
			got := filepath.Join(base, "got")
			must(t, run(t, got, Options{sys: sys}))
			w, g := readAll(t, want), readAll(t, got)
			for name := range w {
				if !bytes.Equal(w[name], g[name]) {
					t.Errorf("%s differs", name)
				}
			}
			wantList(t, base, "got", "want")
		})
	}
}

// A failed exchange or second rename leaves the old folder at OUT.
func TestOverwriteFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(sys *system){
		"exchange": func(sys *system) {
			sys.exchange = func(d *disk.Folder, a, b string) error { return syscall.EIO }
		},
		"first rename": func(sys *system) {
			sys.exchange = func(d *disk.Folder, a, b string) error { return syscall.EINVAL }
			sys.rename = func(d *disk.Folder, a, b string) error { return syscall.EIO }
		},
		"second rename": func(sys *system) {
			sys.exchange = func(d *disk.Folder, a, b string) error { return syscall.EINVAL }
			n, real := 0, sys.rename
			sys.rename = func(d *disk.Folder, a, b string) error {
				if n++; n == 2 {
					return syscall.EIO
				}
				return real(d, a, b)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			out := filepath.Join(base, "out")
			model(t, out)
			sys := realSystem()
			fault(sys)
			if err := run(t, out, Options{Overwrite: true, sys: sys}); !errors.Is(err, syscall.EIO) {
				t.Errorf("error %v", err)
			}
			wantList(t, base, "out")
			if got := readAll(t, out)["config.json"]; string(got) != "old" {
				t.Errorf("OUT holds %q", got)
			}
		})
	}

	t.Run("flush after the exchange keeps the old folder", func(t *testing.T) {
		base := t.TempDir()
		out := filepath.Join(base, "out")
		model(t, out)
		sys := realSystem()
		sys.syncDir = func(d *disk.Folder) error {
			if d.Path("") == base {
				return syscall.EIO
			}
			return d.Sync()
		}
		err := run(t, out, Options{Overwrite: true, sys: sys})
		if !errors.Is(err, syscall.EIO) || !errors.As(err, new(*PublishedError)) {
			t.Errorf("error %v", err)
		}
		wantList(t, base, ".out.lock", ".out.partial", "out") // the lock file says what it is
		Cleanup(out)
		wantList(t, base, "out")
	})
}

// Write-back goes over every byte but the last steps', once, in order, and its
// errors end the run; where the system has none, the run goes on.
func TestWriteBack(t *testing.T) {
	t.Parallel()
	const size = 5*writebackStep + 12345
	l := &Layout{Files: []File{{Name: "x", Size: size, Extents: []Extent{{Len: size}}}}}
	piece := counted(2 << 20)
	write := func(o *Output) error {
		for off := int64(0); off < size; off += int64(len(piece)) {
			if err := o.Write(0, piece[:min(int64(len(piece)), size-off)], off, nil); err != nil {
				return err
			}
		}
		return o.Publish()
	}
	var at int64
	var result error
	calls := 0
	sys := realSystem()
	sys.writeBack = func(f *os.File, off, n int64) error {
		calls++
		if off != at || n < writebackStep {
			t.Errorf("write-back of %d bytes at %d, want it at %d", n, off, at)
		}
		at = off + n
		return result
	}
	sys.writeAt = func(f *os.File, p []byte, off int64) (int, error) { return len(p), nil }
	for _, c := range []struct {
		result     error
		ok         bool
		calls      int
		wantReason string
	}{{nil, true, 5, "all"}, {syscall.ENOSYS, true, 1, "one, then never again"}, {syscall.EIO, false, 1, "one"}} {
		at, calls, result = 0, 0, c.result
		o := create(t, filepath.Join(t.TempDir(), "out"), Options{sys: sys, KeepCached: true})
		must(t, o.Presize(t.Context(), l))
		err := write(o)
		if (err == nil) != c.ok || !c.ok && !errors.Is(err, c.result) {
			t.Errorf("write-back %v: %v", c.result, err)
		}
		must(t, o.Abort())
		if calls != c.calls {
			t.Errorf("write-back %v: %d calls, want %s", c.result, calls, c.wantReason)
		}
	}
}

// What the flush of one file hits, the writing of the next reports.
func TestLateError(t *testing.T) {
	t.Parallel()
	l, data := sample(t)
	sys := realSystem()
	sys.syncFile = func(*os.File) error { return syscall.EIO }
	o := create(t, filepath.Join(t.TempDir(), "out"), Options{sys: sys})
	must(t, o.Presize(t.Context(), l))
	for o.flush.err() == nil { // the index is flushed in the background
		time.Sleep(time.Millisecond)
	}
	e := l.Files[0].Extents[0]
	if err := o.Write(0, data[e.Tensor], e.Off, nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("WriteAt: %v", err)
	}
	if err := o.Put("config.json", nil); !errors.Is(err, syscall.EIO) {
		t.Errorf("Put: %v", err)
	}
}

// Bytes may come out of order, though that is slower: each run is written
// back by itself, and none is forgotten for the next.
func TestWriteBackOutOfOrder(t *testing.T) {
	t.Parallel()
	const half = writebackStep
	l := &Layout{Files: []File{{Name: "x", Size: 3 * half, Extents: []Extent{{Len: 3 * half}}}}}
	var got []span
	sys := realSystem()
	sys.writeBack = func(f *os.File, off, n int64) error { got = append(got, span{off, off + n}); return nil }
	o := create(t, filepath.Join(t.TempDir(), "out"), Options{sys: sys})
	must(t, o.Presize(t.Context(), l))
	p := counted(half / 2)
	for _, off := range []int64{2 * half, 0, half / 2, half} {
		must(t, o.Write(0, p, off, nil))
	}
	must(t, o.Write(0, p, 2*half+half/2, nil))
	must(t, o.Write(0, p, half+half/2, nil))
	must(t, o.Publish())
	want := []span{{2 * half, 2*half + half/2}, {0, half}, {half, half + half/2}}
	if !slices.Equal(got, want) {
		t.Errorf("written back %v, want %v", got, want)
	}
}

// Everything is on the disk before the rename, and the names of new folders after it.
func TestFlushOrder(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	above := filepath.Join(base, "new", "deep")
	var got []string
	sys := realSystem()
	sys.syncDir = func(d *disk.Folder) error {
		rel, _ := filepath.Rel(base, d.Path(""))
		got = append(got, filepath.ToSlash(rel))
		return d.Sync()
	}
	sys.rename = func(d *disk.Folder, a, b string) error {
		got = append(got, "rename")
		return d.Rename(a, b)
	}
	o := create(t, filepath.Join(above, "out"), Options{sys: sys})
	must(t, o.Put("additional_chat_templates/x.jinja", nil))
	must(t, o.Publish())
	want := []string{"new/deep/.out.partial/additional_chat_templates", "new/deep/.out.partial", "rename", "new/deep", ".", "new"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
