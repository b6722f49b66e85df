package mmapio

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/exp/mmap"
)

// isScratch reports whether a view is the buffer that it was given.
func isScratch(p, scratch []byte) bool { return unsafe.SliceData(p) == unsafe.SliceData(scratch) }

// A view has the bytes of the file, whatever the system, the pool and the range.
func TestView(t *testing.T) {
	const size = 3*grain + 12345
	for name, newPool := range systems {
		for _, limit := range []int64{1, grain, 2 * grain, 0} {
			t.Run(fmt.Sprint(name, "/", limit), func(t *testing.T) {
				pool := newPool(limit)
				f, want := create(t, pool, size)
				for _, off := range []int64{0, 1, 4095, grain - 1, grain, grain - 50_000, size - 1, size} {
					for _, n := range []int64{0, 1, 4096, 128 << 10, grain, grain + 2, size} {
						if n > size-off {
							continue
						}
						scratch := make([]byte, n)
						called := false
						err := f.View(scratch, off, func(p []byte) error {
							called = true
							if !bytes.Equal(p, want[off:off+n]) {
								t.Errorf("%d bytes at %d differ", n, off)
							}
							if cap(p) != len(p) {
								t.Errorf("a view of %d bytes can grow to %d", len(p), cap(p))
							}
							grains := (off+n+grain-1)/grain - off/grain
							mapped := name != "copies" && name != "pread" && n > 0 && grains*grain <= max(limit, grain)
							if limit == 0 {
								mapped = name != "copies" && name != "pread" && n > 0
							}
							if n > 0 && isScratch(p, scratch) == mapped {
								t.Errorf("%d bytes at %d: mapped %v, want %v", n, off, !mapped, mapped)
							}
							return nil
						})
						if err != nil || !called {
							t.Errorf("%d bytes at %d: %v", n, off, err)
						}
						settled(t, pool)
					}
				}
			})
		}
	}
}

func TestViewRefuses(t *testing.T) {
	f, _ := create(t, NewPool(0), 1000)
	never := func([]byte) error { t.Error("it was called"); return nil }
	if err := f.View(make([]byte, 1), -1, never); !errors.Is(err, errNegativeOffset) {
		t.Errorf("a negative offset: %v", err)
	}
	if err := f.View(make([]byte, 2), 999, never); err != io.ErrUnexpectedEOF {
		t.Errorf("beyond the end: %v", err)
	}
	mine := errors.New("mine")
	if err := f.View(make([]byte, 2), 0, func([]byte) error { return mine }); err != mine {
		t.Errorf("an error of use became %v", err)
	}
	f.Close()
	if err := f.View(make([]byte, 1), 0, never); !errors.Is(err, os.ErrClosed) {
		t.Errorf("of a closed file: %v", err)
	}
}

// Views of many goroutines, nested in all orders, never wait for each other,
// however small the pool.
func TestViewsDoNotWait(t *testing.T) {
	for name, newPool := range systems {
		for _, limit := range []int64{1, grain, 2 * grain, 3 * grain} {
			t.Run(fmt.Sprint(name, "/", limit), func(t *testing.T) {
				pool := newPool(limit)
				var files [3]*File
				var want [3][]byte
				for i := range files {
					files[i], want[i] = create(t, pool, 2*grain+int64(i)*1000)
				}
				var all sync.WaitGroup
				for g := range 6 {
					all.Go(func() {
						rng := rand.New(rand.NewPCG(uint64(limit), uint64(g)))
						scratch := make([]byte, 3*4096)
						var nest func(depth int) error
						nest = func(depth int) error {
							if depth == 3 {
								return nil
							}
							k := rng.IntN(3)
							off := rng.Int64N(files[k].Size() - 4096)
							return files[k].View(scratch[depth*4096:][:4096], off, func(p []byte) error {
								if depth == 0 {
									time.Sleep(50 * time.Microsecond)
								}
								if err := nest(depth + 1); err != nil {
									return err
								}
								if !bytes.Equal(p, want[k][off:off+4096]) { // still
									return fmt.Errorf("other bytes at %d of file %d", off, k)
								}
								return nil
							})
						}
						for range 100 {
							if err := nest(0); err != nil {
								t.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				settled(t, pool)
			})
		}
	}
}

// The second view of a pool that has room for one is scratch. When the first has
// ended there is room again.
func TestViewWithoutRoom(t *testing.T) {
	pool := NewPool(grain)
	f, _ := create(t, pool, 2*grain)
	scratch := make([]byte, 100)
	mapped := func(off int64) (is bool) {
		if err := f.View(scratch, off, func(p []byte) error { is = !isScratch(p, scratch); return nil }); err != nil {
			t.Error(err)
		}
		return is
	}
	outer := make([]byte, 100)
	err := f.View(outer, 0, func(p []byte) error {
		if isScratch(p, outer) {
			t.Error("the first is scratch")
		}
		if mapped(grain) {
			t.Error("the second has room")
		}
		if !mapped(200) {
			t.Error("one in the same pages has none")
		}
		pool.SetLimit(1)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if !mapped(grain) {
		t.Error("no room afterwards")
	}
	settled(t, pool)
}

// Close waits for views, and views that are nested in one of a file that is being
// closed fail instead of waiting for Close.
func TestCloseWaitsForViews(t *testing.T) {
	f, want := create(t, NewPool(0), 10_000)
	closed := make(chan struct{})
	err := f.View(make([]byte, 10_000), 0, func(p []byte) error {
		go func() { f.Close(); close(closed) }()
		var err error
		for err == nil {
			err = f.View(make([]byte, 1), 0, func([]byte) error { return nil })
		}
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("a nested view: %v", err)
		}
		select {
		case <-closed:
			t.Error("Close did not wait")
		case <-time.After(20 * time.Millisecond):
		}
		if !bytes.Equal(p, want) {
			t.Error("the view has changed")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	<-closed
	settled(t, f.pool)
	if len(f.pool.regions) > 0 {
		t.Error("it is still mapped")
	}
}

func TestViewDoesNotAllocate(t *testing.T) {
	f, _ := create(t, NewPool(0), grain)
	scratch := make([]byte, 128<<10)
	use := func([]byte) error { return nil }
	if n := testing.AllocsPerRun(100, func() { f.View(scratch, 4096, use) }); n != 0 {
		t.Errorf("%v allocations per view", n)
	}
}

// A mapping is mapped anew before its page tables have grown for long, and under
// views too.
func TestLongMappingsAreRenewed(t *testing.T) {
	pool := NewPool(2 * grain)
	f, want := create(t, pool, 3*grain)
	scratch := make([]byte, 10)
	var first *region
	err := f.View(scratch, 0, func(p []byte) error {
		first = f.region
		inner := make([]byte, 10)
		for i := range int64(maxAdded) {
			if err := f.View(inner, grain+i%2*grain, func([]byte) error { return nil }); err != nil {
				return err
			}
		}
		if !bytes.Equal(p, want[:10]) {
			t.Error("the view has changed")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if f.region == first {
		t.Errorf("the mapping got %d stretches and is still there", first.added)
	}
	settled(t, pool)
}

// The bytes of a mapping are taken only where they are those that it reads.
func TestMappedBytes(t *testing.T) {
	f, want := create(t, NewPool(0), 10_000)
	m, err := mmap.Open(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if b := mappedBytes(m, 10_000); !bytes.Equal(b, want) {
		t.Errorf("%d bytes", len(b))
	}
	if b := mappedBytes(m, 9_999); b != nil {
		t.Error("bytes of a mapping of another length")
	}
	if b := mappedBytes(struct{ mapping }{m}, 10_000); b != nil {
		t.Error("bytes of another mapping")
	}
	other := bytes.Clone(want)
	other[10] ^= 1
	for _, c := range []struct {
		off, n int64
		want   bool
	}{{0, 10, true}, {0, 11, false}, {10, 5, false}, {11, 5, true}} {
		if got := agrees(m, other, c.off, c.n); got != c.want {
			t.Errorf("agrees at %d: %v", c.off, got)
		}
	}
	pool := NewPool(0)
	pool.bytesOf = func(mapping, int64) []byte { return other }
	wrong, _ := open(t, pool, f.Name())
	err = wrong.View(make([]byte, 11), 0, func(p []byte) error {
		if !bytes.Equal(p, want[:11]) {
			t.Error("wrong bytes were taken")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
