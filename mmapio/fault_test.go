//go:build linux || darwin

package mmapio

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/exp/mmap"
)

// age sets the modification time back, so that a change within the file
// system's clock tick shows.
func age(t *testing.T, path string) {
	t.Helper()
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}
}

var changes = []struct {
	name, what string
	do         func(path string) error
}{
	{"truncated to nothing", "shrank from 6303745 to 0 bytes", func(path string) error { return os.Truncate(path, 0) }},
	{"truncated within a page", "shrank from 6303745 to 1000100 bytes", func(path string) error { return os.Truncate(path, 1000100) }},
	{"truncated within the last page", "shrank from 6303745 to 6303744 bytes", func(path string) error { return os.Truncate(path, 6303744) }},
	{"grown", "grew from 6303745 to 7000000 bytes", func(path string) error { return os.Truncate(path, 7000000) }},
	{"removed", "was removed", os.Remove},
	{"modified", "was modified", func(path string) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.WriteAt([]byte("changed"), 5000)
		return err
	}},
	{"replaced", "was replaced", func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path+".new", data, 0o600); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	}},
	{"replaced by a pipe", "was replaced", func(path string) error {
		if err := os.Remove(path); err != nil {
			return err
		}
		return syscall.Mkfifo(path, 0o600)
	}},
	{"modified, with its time put back", "was modified", func(path string) error {
		time.Sleep(20 * time.Millisecond) // the change time has to move on
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte("changed"), 5000)
		return errors.Join(err, f.Close(), os.Chtimes(path, time.Time{}, st.ModTime()))
	}},
}

// viewAt is ReadAt by way of a view.
func (f *File) viewAt(p []byte, off int64) (n int, err error) {
	err = f.View(make([]byte, len(p)), off, func(q []byte) error { n = copy(p, q); return nil })
	return n, err
}

func TestChangeUnderReaders(t *testing.T) {
	const size = 6303745 // three grains, a page, some bytes
	for _, c := range changes {
		for how, newPool := range systems {
			for _, limit := range []int64{grain, 0} {
				if how != "Linux" && (limit == 0 || how == "copies") {
					continue
				}
				t.Run(c.name+"/"+how, func(t *testing.T) {
					pool := newPool(limit)
					path := filepath.Join(t.TempDir(), "weights")
					fill(t, path, size, size)
					age(t, path)
					f, want := open(t, pool, path)

					var wg, begun sync.WaitGroup
					var done atomic.Bool
					for g := range 4 {
						begun.Add(1)
						read := f.ReadAt
						if g%2 == 1 {
							read = f.viewAt
						}
						wg.Go(func() {
							p := make([]byte, 200<<10)
							got := make([]byte, 0, size)
							for i := 0; ; i++ {
								late := done.Load()
								got = got[:0]
								var err error
								for len(got) < size && err == nil {
									var n int
									n, err = read(p[:min(len(p), size-len(got))], int64(len(got)))
									got = append(got, p[:n]...)
								}
								if err == nil {
									err = f.Check()
								}
								if i == 0 {
									begun.Done()
								}
								var changed *ChangedError
								switch {
								case errors.As(err, &changed):
									if changed.Path != path || changed.What != c.what {
										// Two steps of one change may be seen apart:
										// truncate sets the time before the size.
										piped := c.name == "replaced by a pipe" && changed.What == "was removed"
										sized := strings.Contains(c.what, "bytes") && changed.What == "was modified"
										if !piped && !sized {
											t.Errorf("got %v, want %q", err, c.what)
										}
									}
									return
								case err != nil:
									t.Errorf("got %v", err)
									return
								case late:
									t.Error("the change wasn't seen")
									return
								case !bytes.Equal(got, want):
									t.Error("wrong bytes passed the check")
									return
								}
							}
						})
					}
					begun.Wait()
					if err := c.do(path); err != nil {
						t.Error(err)
					}
					done.Store(true)
					wg.Wait()
					settled(t, pool)
				})
			}
		}
	}
}

func TestRotationNotices(t *testing.T) {
	f, _ := create(t, NewPool(grain), 3*grain)
	p := make([]byte, 100)
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if err := changes[6].do(f.Name()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadAt(p, 200); err != nil {
		t.Errorf("the old mapping went away: %v", err)
	}
	var changed *ChangedError
	if _, err := f.ReadAt(p, 2*grain); !errors.As(err, &changed) || changed.What != "was replaced" {
		t.Errorf("got %v", err)
	}
}

// broken is a real mapping whose pages from 8192 on are gone, while the file
// that it stands for is unharmed.
func broken(t *testing.T, size int64) func(string) (mapping, error) {
	decoy := filepath.Join(t.TempDir(), "decoy")
	fill(t, decoy, size, 1<<20)
	return func(string) (mapping, error) {
		if err := os.Truncate(decoy, size); err != nil {
			return nil, err
		}
		m, err := mmap.Open(decoy)
		if err != nil {
			return nil, err
		}
		return m, os.Truncate(decoy, 8192)
	}
}

func TestFault(t *testing.T) {
	pool := NewPool(0)
	f, _ := create(t, pool, grain)
	pool.mapFile = broken(t, grain)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			p := make([]byte, 100<<10)
			for range 20 {
				if _, err := f.ReadAt(p[:8192], 0); err != nil {
					t.Errorf("intact pages: %v", err)
				}
				n, err := f.ReadAt(p, 64<<10)
				var fault *FaultError
				if !errors.As(err, &fault) || n != 0 || fault.Path != f.Name() || fault.Off != 64<<10 {
					t.Errorf("got %d, %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	settled(t, pool)
}

func TestFaultGivesPlaceAndReason(t *testing.T) {
	const bad = 100<<10 + 4096
	failing := func(f *os.File, p []byte, off int64) (int, error) {
		if off+int64(len(p)) > bad {
			n := max(0, bad-off)
			f.ReadAt(p[:n], off)
			return int(n), syscall.EIO
		}
		return f.ReadAt(p, off)
	}
	mapped, plain := NewPool(0), unmappable(0)
	mapped.mapFile = broken(t, grain)
	for name, pool := range map[string]*Pool{"mapped": mapped, "pread": plain} {
		pool.readFile = failing
		f, _ := create(t, pool, grain)
		_, err := f.ReadAt(make([]byte, f.Size()), 0)
		var fault *FaultError
		if !errors.As(err, &fault) || fault.Off != bad || !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", name, err)
		} else if !strings.Contains(err.Error(), "at byte 106496: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type panicking struct{ value any }

func (m panicking) ReadAt(p []byte, off int64) (int, error) { panic(m.value) }
func (m panicking) Close() error                            { return nil }

func TestForeignPanicsGoOn(t *testing.T) {
	pool := NewPool(0)
	f, _ := create(t, pool, 1000)
	pool.mapFile = func(string) (mapping, error) { return panicking{"a bug"}, nil }
	func() {
		defer func() {
			if r := recover(); r != "a bug" {
				t.Errorf("recovered %v", r)
			}
		}()
		f.ReadAt(make([]byte, 10), 0)
	}()
	settled(t, pool)
}

// On 32-bit systems this file can't be mapped.
func TestFileOfManyGigabytes(t *testing.T) {
	const size = 5<<30 + 77
	path := filepath.Join(t.TempDir(), "sparse")
	fill(t, path, 0, 1)
	if err := os.Truncate(path, size); err != nil {
		t.Skip(err)
	}
	end := []byte("the end")
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteAt(end, size-int64(len(end))); err != nil {
		t.Skip(err)
	}
	f, err := NewPool(grain).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 100)
	n, err := f.ReadAt(p, size-int64(len(end)))
	if n != len(end) || err != io.EOF || !bytes.Equal(p[:n], end) {
		t.Errorf("read %q, %v", p[:n], err)
	}
}

func TestOpenRefusesAtOnce(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(syscall.Mkfifo(at("pipe"), 0o600))
	must(os.Symlink(at("pipe"), at("link to pipe")))
	must(os.Symlink(at("nothing"), at("dangling")))
	must(os.Symlink(at("self"), at("self")))
	t.Chdir(dir) // a socket's path must be short
	if l, err := net.Listen("unix", "socket"); err == nil {
		defer l.Close()
	}
	pool := NewPool(0)
	for path, text := range map[string]string{
		at("pipe"):         "is a named pipe",
		at("link to pipe"): "is a named pipe",
		at("dangling"):     "no such file",
		at("self"):         "too many levels",
		at("socket"):       "is a socket",
		dir:                "is a directory",
		"/dev/null":        "is a device",
		"/dev/zero":        "is a device",
	} {
		_, err := pool.Open(path)
		var failed *fs.PathError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", path, err)
		}
	}
	fill(t, at("file"), 1000, 1000)
	must(os.Symlink(at("file"), at("link")))
	f, want := open(t, pool, at("link"))
	compareReads(t, f, want)
}
