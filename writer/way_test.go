package writer

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"slerpmerge/internal/disk"
)

// pieces is a layout of two files with bytes that belong to no unit of Alignment,
// and its pieces, in memory as the engine has them.
func pieces(t *testing.T) (*Layout, func(o *Output) error, map[string][]byte) {
	t.Helper()
	const size = 3<<20 + 1234
	head := counted(777)
	var l Layout
	want := map[string][]byte{}
	for i, name := range []string{"a", "b"} {
		l.Files = append(l.Files, File{Name: name, Size: size + 777, Literals: []Literal{{Data: head}},
			Extents: []Extent{{Tensor: i, Off: 777, Len: size}}})
		want[name] = append(bytes.Clone(head), counted(size)...)
	}
	write := func(o *Output) error {
		buf := make([]byte, 1<<20+Alignment)
		for i, f := range l.Files {
			for off := int64(777); off < f.Size; {
				n := min(f.Size-off, 1<<20-off%3)
				p := buf[off%Alignment:][:n]
				copy(p, want[f.Name][off:])
				if err := o.Write(i, p, off, nil); err != nil {
					return err
				}
				clear(p) // the buffer is the caller's again
				off += n
			}
		}
		return o.Publish()
	}
	return &l, write, want
}

// watched counts how often each way was taken, by a system that knows all of them.
func watched(t *testing.T) (*system, *[numWays]atomic.Int64) {
	var calls [numWays]atomic.Int64
	sys := realSystem()
	sys.writeAt = func(f *os.File, p []byte, off int64) (int, error) {
		calls[buffered].Add(1)
		return f.WriteAt(p, off)
	}
	sys.writeUncached = func(f *os.File, p []byte, off int64) (int, error) {
		calls[uncached].Add(1)
		return f.WriteAt(p, off)
	}
	sys.openDirect = func(d *disk.Folder, name string) (*os.File, error) { return d.Open(name, os.O_WRONLY) }
	sys.writeDirect = func(f *os.File, p []byte, off int64) (int, error) {
		if off%Alignment != 0 || len(p)%Alignment != 0 || !inMemory(p) {
			return 0, syscall.EINVAL
		}
		calls[direct].Add(1)
		return f.WriteAt(p, off)
	}
	return sys, &calls
}

// Whatever the system refuses, the bytes are the same.
func TestWays(t *testing.T) {
	t.Parallel()
	refuse := func(err error) writeCall {
		return func(*os.File, []byte, int64) (int, error) { return 0, err }
	}
	old := func(change func(sys *system)) func(sys *system) { // before Linux 6.14
		return func(sys *system) {
			sys.writeUncached = refuse(syscall.EOPNOTSUPP)
			change(sys)
		}
	}
	type counts [numWays]bool // taken
	for name, c := range map[string]struct {
		change func(sys *system)
		want   counts
	}{
		"all":                  {func(sys *system) {}, counts{uncached: true, buffered: true}},
		"the real system":      {func(sys *system) { *sys = *realSystem() }, counts{}},
		"uncached: EINTR":      {func(sys *system) { sys.writeUncached = once(sys.writeUncached, syscall.EINTR) }, counts{uncached: true, buffered: true}},
		"uncached: short":      {func(sys *system) { sys.writeUncached = short(sys.writeUncached, 333) }, counts{uncached: true, buffered: true}},
		"uncached: EOPNOTSUPP": {func(sys *system) { sys.writeUncached = refuse(syscall.EOPNOTSUPP) }, counts{direct: true, buffered: true}},
		"uncached: ENOSYS":     {func(sys *system) { sys.writeUncached = refuse(syscall.ENOSYS) }, counts{direct: true, buffered: true}},
		"uncached: EPERM":      {func(sys *system) { sys.writeUncached = refuse(syscall.EPERM) }, counts{direct: true, buffered: true}},
		"uncached: EINVAL, later": {func(sys *system) { sys.writeUncached = later(sys.writeUncached, 2, syscall.EINVAL) },
			counts{uncached: true, direct: true, buffered: true}},
		"open: EINVAL":          {old(func(sys *system) { sys.openDirect = refuseOpen(syscall.EINVAL) }), counts{buffered: true}},
		"open: EMFILE":          {old(func(sys *system) { sys.openDirect = refuseOpen(syscall.EMFILE) }), counts{buffered: true}},
		"another file":          {old(func(sys *system) { sys.openDirect = openOther }), counts{buffered: true}},
		"direct: EINVAL":        {old(func(sys *system) { sys.writeDirect = refuse(syscall.EINVAL) }), counts{buffered: true}},
		"direct: EOPNOTSUPP":    {old(func(sys *system) { sys.writeDirect = refuse(syscall.EOPNOTSUPP) }), counts{buffered: true}},
		"direct: EINVAL, later": {old(func(sys *system) { sys.writeDirect = later(sys.writeDirect, 4, syscall.EINVAL) }), counts{direct: true, buffered: true}},
		"direct: EINTR":         {old(func(sys *system) { sys.writeDirect = once(sys.writeDirect, syscall.EINTR) }), counts{direct: true, buffered: true}},
		"direct: short":         {old(func(sys *system) { sys.writeDirect = short(sys.writeDirect, Alignment) }), counts{direct: true, buffered: true}},
		"direct: short of a unit": {old(func(sys *system) { sys.writeDirect = short(sys.writeDirect, Alignment/2) }),
			counts{direct: true, buffered: true}},
	} {
		t.Run(name, func(t *testing.T) {
			sys, calls := watched(t)
			c.change(sys)
			l, write, want := pieces(t)
			out := filepath.Join(t.TempDir(), "out")
			o := create(t, out, Options{sys: sys})
			must(t, o.Presize(t.Context(), l))
			o.ways.rule = neverBuffered
			must(t, write(o))
			got := readAll(t, out)
			for name := range want {
				if !bytes.Equal(got[name], want[name]) {
					t.Errorf("%s differs", name)
				}
			}
			if c.want == (counts{}) {
				return
			}
			for w := range numWays {
				if taken := calls[w].Load() > 0; taken != c.want[w] {
					t.Errorf("way %d taken: %v", w, taken)
				}
			}
		})
	}
}

func refuseOpen(err error) func(*disk.Folder, string) (*os.File, error) {
	return func(*disk.Folder, string) (*os.File, error) { return nil, err }
}

func openOther(d *disk.Folder, name string) (*os.File, error) {
	return d.Open(map[string]string{"a": "b", "b": "a"}[name], os.O_WRONLY)
}

// later fails from the n-th call on.
func later(call writeCall, n int64, err error) writeCall {
	var calls atomic.Int64
	return func(f *os.File, p []byte, off int64) (int, error) {
		if calls.Add(1) >= n {
			return 0, err
		}
		return call(f, p, off)
	}
}

// once fails in the first call.
func once(call writeCall, err error) writeCall {
	var done atomic.Bool
	return func(f *os.File, p []byte, off int64) (int, error) {
		if !done.Swap(true) {
			return 0, err
		}
		return call(f, p, off)
	}
}

// short writes but n bytes in a first call.
func short(call writeCall, n int) writeCall {
	var done atomic.Bool
	return func(f *os.File, p []byte, off int64) (int, error) {
		if done.Swap(true) {
			return call(f, p, off)
		}
		if m, err := call(f, p[:(n+Alignment-1)/Alignment*Alignment], off); err != nil {
			return m, err
		}
		return n, nil
	}
}

// Errors of the disk are the same in every way.
func TestWaysFail(t *testing.T) {
	t.Parallel()
	for _, how := range []way{direct, uncached} {
		for _, want := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.EIO} {
			for _, n := range []int64{1, 4} {
				sys, _ := watched(t)
				if how == direct {
					sys.writeUncached = func(*os.File, []byte, int64) (int, error) { return 0, syscall.EOPNOTSUPP }
					sys.writeDirect = later(sys.writeDirect, n, want)
				} else {
					sys.writeUncached = later(sys.writeUncached, n, want)
				}
				l, write, _ := pieces(t)
				base := t.TempDir()
				o := create(t, filepath.Join(base, "out"), Options{sys: sys})
				must(t, o.Presize(t.Context(), l))
				o.ways.rule = neverBuffered
				err := write(o)
				if !errors.Is(err, want) || errors.As(err, new(*NoSpaceError)) != (want != syscall.EIO) {
					t.Errorf("way %d, call %d: %v, want %v", how, n, err, want)
				}
				if err := o.Publish(); err == nil {
					t.Error("published after an error")
				}
				must(t, o.Abort())
				wantList(t, base)
			}
		}
	}
}

// Small outputs, and those that are wanted in the page cache, are buffered.
func TestBuffered(t *testing.T) {
	t.Parallel()
	const size = minChosen
	l := &Layout{Files: []File{{Name: "x", Size: size, Extents: []Extent{{Len: size}}}}}
	small, write, _ := pieces(t)
	all := func(o *Output) error { return o.Write(0, make([]byte, size), 0, nil) }
	for name, c := range map[string]struct {
		l     *Layout
		write func(o *Output) error
		opt   Options
		lean  bool
	}{
		"small":           {small, write, Options{}, false},
		"small and spare": {small, write, Options{DropPages: true}, false},
		"large":           {l, all, Options{}, true},
		"large and spare": {l, all, Options{DropPages: true}, true},
		"kept":            {l, all, Options{KeepCached: true, DropPages: true}, false},
	} {
		sys, calls := watched(t)
		c.opt.sys = sys
		o := create(t, filepath.Join(t.TempDir(), "out"), c.opt)
		must(t, o.Presize(t.Context(), c.l))
		must(t, c.write(o))
		if lean := calls[uncached].Load() > 0; lean != c.lean {
			t.Errorf("%s: uncached %v", name, lean)
		}
		must(t, o.Abort())
	}
}

// The way that makes more of the time gets most of the bytes, and so it does when
// that changes.
func TestChoice(t *testing.T) {
	t.Parallel()
	const piece = 2 << 20
	type rates [numWays]float64 // MB/s
	for name, c := range map[string]struct {
		early, late rates // in the halves of 4 GB
		want        [2]way
		least       float64 // of the bytes of each half
	}{
		"cheap pages":       {rates{buffered: 2500, uncached: 1600}, rates{buffered: 2500, uncached: 1600}, [2]way{buffered, buffered}, 0.85},
		"dear pages":        {rates{buffered: 600, uncached: 1600}, rates{buffered: 600, uncached: 1600}, [2]way{uncached, uncached}, 0.85},
		"all the same":      {rates{buffered: 900, uncached: 900}, rates{buffered: 900, uncached: 900}, [2]way{uncached, uncached}, 0.85},
		"little difference": {rates{buffered: 1000, uncached: 900}, rates{buffered: 1000, uncached: 900}, [2]way{uncached, uncached}, 0.85},
		"pages become dear": {rates{buffered: 2500, uncached: 1600}, rates{buffered: 500, uncached: 1600}, [2]way{buffered, uncached}, 0.85},
		"a slower disk":     {rates{buffered: 2500, uncached: 1600}, rates{buffered: 2000, uncached: 200}, [2]way{buffered, buffered}, 0.85},
		"cheap again":       {rates{buffered: 600, uncached: 1600}, rates{buffered: 3000, uncached: 1000}, [2]way{uncached, buffered}, 0.6},
	} {
		var h chooser
		now := time.Now()
		for half, r := range []rates{c.early, c.late} {
			var bytes [numWays]float64
			for range 2 << 30 / piece {
				w := h.choose(true, piece, now)
				bytes[w] += piece
				now = now.Add(time.Duration(piece / r[w] * 1000))
			}
			if share := bytes[c.want[half]] / (2 << 30); share < c.least {
				t.Errorf("%s, half %d: %.2f in way %d", name, half, share, c.want[half])
			}
		}
	}
}

// Where uncached writes can't be, direct ones take their place in the choice.
func TestChoiceWithoutUncached(t *testing.T) {
	t.Parallel()
	var h chooser
	now := time.Now()
	next := func(aligned bool) way {
		now = now.Add(time.Millisecond)
		return h.choose(aligned, 1<<20, now)
	}
	if w := next(true); w != uncached {
		t.Errorf("first way %d", w)
	}
	h.refused[uncached] = true
	if w := next(true); w != direct {
		t.Errorf("without uncached: way %d", w)
	}
	if w := next(false); w != buffered {
		t.Errorf("memory that is not aligned: way %d", w)
	}
	h.refused[direct] = true
	if w := next(true); w != buffered {
		t.Errorf("with neither: way %d", w)
	}
}

// What was written past the page cache before a checkpoint is there afterwards.
func TestWaysResume(t *testing.T) {
	t.Parallel()
	const size, at = 4<<20 + 99, 2<<20 + 13
	l := &Layout{Files: []File{{Name: "x", Size: size, Extents: []Extent{{Len: size}}}}}
	want := counted(size)
	out := filepath.Join(t.TempDir(), "out")
	for _, part := range [][2]int64{{0, at}, {at, size}} {
		o := create(t, out, Options{Fingerprint: "f"})
		must(t, o.Presize(t.Context(), l))
		o.ways.rule = neverBuffered
		if p := o.Previous(); p.At.Off != part[0] {
			t.Fatalf("resumed at %d, want %d: %s", p.At.Off, part[0], p.Why)
		}
		buf := make([]byte, size+Alignment)
		p := buf[part[0]%Alignment:][:part[1]-part[0]]
		copy(p, want[part[0]:])
		must(t, o.Write(0, p, part[0], nil))
		if part[1] < size {
			_, err := o.Suspend([]byte("1"))
			must(t, err)
		} else {
			must(t, o.Publish())
		}
	}
	if got := readAll(t, out)["x"]; !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
}
