package mmapio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
)

// sizes lie around the limits of pages, pieces and the unit of account.
var sizes = []int64{
	0, 1, 4095, 4096, 4097,
	maxPiece - 1, maxPiece, maxPiece + 1,
	grain - 1, grain, grain + 1, 2*grain + 5, 5*grain + 12345,
}

// unmappable makes a pool that meets a system without mappings.
func unmappable(limit int64) *Pool {
	p := NewPool(limit)
	p.mapFile = func(string) (mapping, error) { return nil, errors.New("cannot allocate memory") }
	return p
}

// systems make pools as they are on several systems.
var systems = map[string]func(limit int64) *Pool{
	"Linux": NewPool,
	"pages can't be dropped": func(limit int64) *Pool {
		p := NewPool(limit)
		p.dropPages = func([]byte) error { return errors.ErrUnsupported }
		return p
	},
	"copies": func(limit int64) *Pool {
		p := NewPool(limit)
		p.bytesOf = func(mapping, int64) []byte { return nil }
		return p
	},
	"pread": unmappable,
}

// create writes a file of pseudo-random bytes and opens it.
func create(t testing.TB, p *Pool, size int64) (*File, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights")
	fill(t, path, size, int(size/2+1))
	return open(t, p, path)
}

func open(t testing.TB, p *Pool, path string) (*File, []byte) {
	t.Helper()
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := p.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, want
}

// settled checks a pool's account when nothing is being read.
func settled(t *testing.T, p *Pool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum int64
	for _, s := range p.stretches {
		r := s.region
		if s.readers != 0 || s.leaving || r.stretches[s.at] != s || !slices.Contains(p.regions, r) {
			t.Errorf("stretch left behind: %+v", s)
		}
		sum += r.sizeOf(s.at)
	}
	for _, r := range p.regions {
		if r.readers != 0 || r.m == nil || r.retired || r.file.region != r {
			t.Errorf("region left behind: %+v", r)
		}
	}
	if p.total != sum || p.leaving != 0 {
		t.Errorf("total %d, leaving %d, stretches hold %d", p.total, p.leaving, sum)
	}
	if limit := max(p.limit, grain); sum > limit {
		t.Errorf("stretches hold %d, limit %d", sum, limit)
	}
}

func TestReadAtEqualsReadFile(t *testing.T) {
	for _, size := range sizes {
		path := filepath.Join(t.TempDir(), "weights")
		fill(t, path, size, int(size/2+1))
		for _, limit := range []int64{1, grain, 2*grain + 1, 0} {
			for how, newPool := range systems {
				pool := newPool(limit)
				t.Run(fmt.Sprintf("%d/%d/%s", size, limit, how), func(t *testing.T) {
					f, want := open(t, pool, path)
					if f.Size() != size || f.Name() != path || f.ModTime().IsZero() {
						t.Fatalf("opened as %s, %d bytes, %v", f.Name(), f.Size(), f.ModTime())
					}
					compareReads(t, f, want)
					if how == "pread" && size > 0 && !f.unmappable.Load() {
						t.Error("was mapped after all")
					}
					if err := f.Check(); err != nil {
						t.Error(err)
					}
					settled(t, pool)
				})
			}
		}
	}
}

func compareReads(t *testing.T, f *File, want []byte) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, uint64(len(want))))
	size := int64(len(want))
	offs := []int64{0, size - 1, size, size + 1, grain - 1, rng.Int64N(size + 1), rng.Int64N(size + 1)}
	lens := []int{0, 1, 4096, maxPiece + 1, len(want) + 1, rng.IntN(len(want) + 2)}
	got := make([]byte, max(maxPiece, len(want))+1)
	for _, off := range offs {
		if off < 0 {
			continue
		}
		for _, n := range lens {
			expect := want[min(off, size):min(off+int64(n), size)]
			var expectErr error
			if len(expect) < n {
				expectErr = io.EOF
			}
			m, err := f.ReadAt(got[:n], off)
			if m != len(expect) || err != expectErr || !bytes.Equal(got[:m], expect) {
				t.Fatalf("ReadAt(%d bytes, %d) = %d, %v; want %d, %v; bytes equal: %v",
					n, off, m, err, len(expect), expectErr, bytes.Equal(got[:m], expect))
			}
		}
	}
}

func TestReaderAtContract(t *testing.T) {
	f, want := create(t, NewPool(1), 10000)
	if err := iotest.TestReader(io.NewSectionReader(f, 0, f.Size()), want); err != nil {
		t.Error(err)
	}
	if _, err := f.ReadAt(make([]byte, 1), -1); !errors.Is(err, errNegativeOffset) {
		t.Errorf("negative offset: %v", err)
	}
}

func TestPrefetchTakesAnything(t *testing.T) {
	f, want := create(t, NewPool(0), 3*grain+7)
	for _, at := range []int64{-1, 0, 1, f.Size() - 1, f.Size(), f.Size() + 1, 1 << 62} {
		for _, n := range []int64{-1, 0, 1, f.Size(), 1 << 62} {
			f.Prefetch(at, n)
		}
	}
	compareReads(t, f, want)
}

func TestConcurrentReaders(t *testing.T) {
	for name, newPool := range systems {
		for _, limit := range []int64{1, 2 * grain, 5 * grain} {
			t.Run(fmt.Sprint(name, "/", limit), func(t *testing.T) { concurrentReaders(t, newPool(limit), limit) })
		}
	}
}

func concurrentReaders(t *testing.T, pool *Pool, limit int64) {
	var files [3]*File
	var want [3][]byte
	for i := range files {
		files[i], want[i] = create(t, pool, 4*grain+int64(i)*1000)
	}
	var wg sync.WaitGroup
	for g := range 12 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(limit), uint64(g)))
			f, want := files[g%3], want[g%3]
			p := make([]byte, 300<<10)
			for i := range 40 {
				off := rng.Int64N(f.Size() - int64(len(p)))
				if g >= 6 { // cursors that go side by side
					off = int64(i) * 100 << 10
				}
				if n, err := f.ReadAt(p, off); n != len(p) || err != nil {
					t.Errorf("read %d: %v", n, err)
					return
				}
				if !bytes.Equal(p, want[off:off+int64(len(p))]) {
					t.Errorf("wrong bytes at %d", off)
					return
				}
			}
		})
	}
	for i := range 20 {
		pool.SetLimit(limit + int64(i%3)*grain)
	}
	wg.Wait()
	pool.SetLimit(limit)
	settled(t, pool)
	for _, f := range files {
		f.Close()
	}
	if pool.total != 0 || len(pool.regions)+len(pool.stretches) != 0 || len(pool.descriptors.kept) != 0 {
		t.Errorf("after Close: %d bytes, %d regions and stretches, %d descriptors",
			pool.total, len(pool.regions)+len(pool.stretches), len(pool.descriptors.kept))
	}
}

func TestSetLimitTakesEffectAtOnce(t *testing.T) {
	pool := NewPool(0)
	f, want := create(t, pool, 8*grain)
	got := make([]byte, len(want))
	if _, err := f.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	if pool.total != 8*grain {
		t.Errorf("holds %d bytes", pool.total)
	}
	pool.SetLimit(grain)
	if pool.total > grain {
		t.Errorf("holds %d bytes after SetLimit", pool.total)
	}
}

// What was used longest ago goes first, and no more than that.
func TestStretchesLeftBehindGoFirst(t *testing.T) {
	for name, c := range systems {
		t.Run(name, func(t *testing.T) {
			pool := c(8 * grain)
			var left []*File
			for range 4 {
				f, _ := create(t, pool, 1000)
				f.ReadAt(make([]byte, 1), 0)
				left = append(left, f)
			}
			f, _ := create(t, pool, 20*grain)
			p := make([]byte, 64<<10)
			for off := int64(0); off < f.Size(); off += int64(len(p)) {
				f.ReadAt(p, off)
			}
			for _, s := range pool.stretches {
				if slices.Contains(left, s.region.file) {
					t.Error("what nobody uses was kept")
				}
				if s.at < 12 && name != "pages can't be dropped" && name != "copies" {
					t.Errorf("stretch %d of 20 was kept", s.at)
				}
			}
			settled(t, pool)
		})
	}
}

func TestCloseDuringReads(t *testing.T) {
	for name, newPool := range systems {
		t.Run(name, func(t *testing.T) {
			pool := newPool(2 * grain)
			f, want := create(t, pool, 3*grain)
			var wg, begun sync.WaitGroup
			for g := range 8 {
				begun.Add(1)
				wg.Go(func() {
					p := make([]byte, f.Size())
					for i := 0; ; i++ {
						n, err := f.ReadAt(p, 0)
						if i == 0 {
							begun.Done()
						}
						if errors.Is(err, os.ErrClosed) && n == 0 {
							return
						}
						if err != nil || !bytes.Equal(p, want) {
							t.Errorf("reader %d: %d bytes, %v", g, n, err)
							return
						}
						f.Prefetch(0, 1)
						f.Check()
					}
				})
			}
			begun.Wait()
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			settled(t, pool)
			if err := f.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
			if err := f.Check(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("Check: %v", err)
			}
			f.Prefetch(0, 100)
		})
	}
}

func TestReadAtDoesNotAllocate(t *testing.T) {
	f, _ := create(t, NewPool(0), grain)
	p := make([]byte, 128<<10)
	if n := testing.AllocsPerRun(100, func() { f.ReadAt(p, 4096) }); n != 0 {
		t.Errorf("%v allocations per read", n)
	}
}

func TestOpenRefuses(t *testing.T) {
	pool := NewPool(0)
	if _, err := pool.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	var path *fs.PathError
	if _, err := pool.Open(t.TempDir()); !errors.As(err, &path) {
		t.Errorf("directory: %v", err)
	}
}

func TestCopyTo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "src")
	want := make([]byte, 100_000)
	for i := range want {
		want[i] = byte(i * i >> 3)
	}
	if err := os.WriteFile(path, want, 0o666); err != nil {
		t.Fatal(err)
	}
	dst, err := os.Create(filepath.Join(dir, "dst"))
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	f, err := NewPool(1 << 20).Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.CopyTo(dst, 7, 1001, 50_000); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system can't copy from file to file")
	} else if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(dst.Name())
	if err != nil || !bytes.Equal(got[7:], want[1001:51_001]) {
		t.Errorf("%d bytes were copied wrongly: %v", len(got), err)
	}
	// What only reading can explain is left to it.
	for name, err := range map[string]error{
		"beyond the end": f.CopyTo(dst, 0, 99_999, 2),
		"negative":       f.CopyTo(dst, 0, -1, 2),
		"shrunk": func() error {
			if err := os.Truncate(path, 10); err != nil {
				return err
			}
			return f.CopyTo(dst, 0, 0, 100)
		}(),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	f.Close()
	if err := f.CopyTo(dst, 0, 0, 1); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("closed: %v", err)
	}
}

func TestReadStrided(t *testing.T) {
	f, want := create(t, NewPool(grain), grain+5)
	for _, c := range []struct {
		off, step int64
		size, n   int
	}{{0, 4096, 16, 300}, {3, 1, 1, 100}, {100, 0, 7, 3}, {grain + 4, 99, 1, 1}, {0, 1, 1, 0}} {
		p := make([]byte, c.size*c.n)
		if err := f.ReadStrided(p, c.off, c.step, c.size); err != nil {
			t.Fatal(err)
		}
		for i := range c.n {
			if at := c.off + int64(i)*c.step; !bytes.Equal(p[i*c.size:(i+1)*c.size], want[at:at+int64(c.size)]) {
				t.Errorf("%+v: piece %d differs", c, i)
			}
		}
	}
	settled(t, f.pool)
	if err := os.Truncate(f.path, 10); err != nil {
		t.Fatal(err)
	}
	var changed *ChangedError
	if err := f.ReadStrided(make([]byte, 32), 0, 4096, 16); !errors.As(err, &changed) {
		t.Errorf("of a file that was cut: %v", err)
	}
	f.Close()
	if err := f.ReadStrided(make([]byte, 1), 0, 1, 1); !errors.Is(err, os.ErrClosed) {
		t.Errorf("of a closed file: %v", err)
	}
}
