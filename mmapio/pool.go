package mmapio

import (
	"math"
	"os"
	"sync"

	"golang.org/x/exp/mmap"
)

const (
	// grain is the unit of account: a huge page of the page cache, which one
	// fault maps whole.
	grain = 2 << 20
	// maxPiece bounds a single copy, so that no reader holds a mapping for
	// long.
	maxPiece = 1 << 20
	// maxWindows bounds the mappings of a pool of many small files.
	maxWindows = 64
	// idleAfter is the number of reads in the pool after which a window that
	// none of them used is taken to be left behind by its cursor.
	idleAfter = 128
)

// mapping is the part of *mmap.ReaderAt that the pool uses.
type mapping interface {
	ReadAt(p []byte, off int64) (int, error)
	Close() error
}

// A window is a mapping of which only the stretch [lo, hi) has been touched.
// Each cursor that moves through a file gets a window of its own; cursors less
// than a grain apart share one.
type window struct {
	file    *File
	m       mapping // nil while it is being opened
	lo, hi  int64
	readers int
	used    uint64 // the pool's clock at the last read
	retired bool   // no longer in pool.windows; the last reader closes it
}

// A Pool bounds the resident pages of all files that were opened through it.
// It is safe for concurrent use.
type Pool struct {
	mu      sync.Mutex
	changed sync.Cond // room was made, or a window has been opened
	limit   int64
	total   int64 // bytes of all windows, retired ones included
	leaving int64 // of these, bytes of windows that are retired
	clock   uint64
	windows []*window

	descriptors descriptors

	// Tests replace these to meet systems and disks that fail.
	mapFile  func(name string) (mapping, error)
	readFile func(f *os.File, p []byte, off int64) (int, error)
}

// NewPool returns a pool that keeps at most limit bytes of mapped pages
// resident. Every cursor, that is every place at which a file is being read,
// needs 2 MiB, and 8 MiB for good speed. With a limit under 2 MiB the pool
// serves one read at a time, of at most 2 MiB. A limit of 0 or less means none.
func NewPool(limit int64) *Pool {
	p := &Pool{mapFile: mapFile, readFile: (*os.File).ReadAt}
	p.changed.L = &p.mu
	p.setLimit(limit)
	return p
}

func mapFile(name string) (mapping, error) {
	m, err := mmap.Open(name)
	if err != nil {
		return nil, err // not m: a nil *ReaderAt makes a non-nil mapping
	}
	return m, nil
}

// SetLimit changes the limit, in bytes. A lower one takes effect at once, except for
// pages that are just being read, which go when their readers are done.
func (p *Pool) SetLimit(limit int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setLimit(limit)
	for p.total-p.leaving > p.limit {
		w := p.victim()
		if w == nil {
			break
		}
		p.retire(w)
	}
	p.changed.Broadcast()
}

func (p *Pool) setLimit(limit int64) {
	if limit <= 0 {
		limit = math.MaxInt64
	}
	p.limit = limit
}

// acquire returns a window of f in which [off, off+n) may be touched, and
// counts the caller among its readers. It returns nil without an error if f
// can't be mapped.
func (p *Pool) acquire(f *File, off, n int64) (*window, error) {
	lo := off / grain * grain
	hi := off + n
	hi += min(f.size-hi, (grain-hi%grain)%grain)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if f.unmappable.Load() {
			return nil, nil
		}
		w := p.near(f, lo, hi)
		switch {
		case w == nil:
			if !p.makeRoom(hi-lo, 1) {
				continue
			}
			return p.open(f, lo, hi)
		case w.m == nil:
			p.changed.Wait()
			continue
		}
		newLo, newHi := min(lo, w.lo), max(hi, w.hi)
		growth := newHi - newLo - (w.hi - w.lo)
		if growth > 0 && !p.makeRoom(growth, 0) {
			continue
		}
		p.total += growth
		p.clock++
		w.lo, w.hi, w.used = newLo, newHi, p.clock
		w.readers++
		return w, nil
	}
}

// release ends the use of a window that acquire returned.
func (p *Pool) release(w *window) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.readers--
	if w.retired && w.readers == 0 {
		p.unmap(w)
	}
}

// near returns the window of f that [lo, hi) overlaps, or is less than a grain
// away from: several readers that take turns in one stretch belong together.
func (p *Pool) near(f *File, lo, hi int64) *window {
	for _, w := range p.windows {
		if w.file == f && lo <= w.hi && hi >= w.lo {
			return w
		}
	}
	return nil
}

// makeRoom reports whether need more bytes and the given number of windows are
// within the limits. If they are not it takes a step towards that, in the
// course of which it unlocks the pool: the caller has to look again.
func (p *Pool) makeRoom(need int64, windows int) bool {
	room := need <= p.limit-p.total || p.total == 0
	few := len(p.windows)+windows <= maxWindows
	if room && few {
		return true
	}
	if !few || need > p.limit-(p.total-p.leaving) {
		if w := p.victim(); w != nil {
			p.retire(w)
			return false
		}
	}
	// Somebody is reading from a retired window or opening one.
	p.changed.Wait()
	return false
}

// victim returns the window to go next: one that its cursor seems to have
// left, or else the one that holds the most. One with readers, for which the
// caller would have to wait, counts half. Nil means there is none, or that all
// are just being opened.
func (p *Pool) victim() *window {
	var worst *window
	var most int64
	for _, w := range p.windows {
		if w.m == nil {
			continue
		}
		weight := w.hi - w.lo
		if w.readers > 0 {
			weight /= 2
		} else if p.clock-w.used > idleAfter {
			weight = math.MaxInt64
		}
		if worst == nil || weight > most {
			worst, most = w, weight
		}
	}
	return worst
}

// open adds a window for [lo, hi) of f with the caller as its reader. It
// unlocks the pool while it maps the file; others that want the same window
// wait for it.
func (p *Pool) open(f *File, lo, hi int64) (*window, error) {
	p.clock++
	w := &window{file: f, lo: lo, hi: hi, readers: 1, used: p.clock}
	p.windows = append(p.windows, w)
	p.total += hi - lo

	p.mu.Unlock()
	m, err := f.mapWhole()
	p.mu.Lock()

	if m == nil {
		p.remove(w)
		p.total -= hi - lo
		p.changed.Broadcast()
		return nil, err
	}
	w.m = m
	p.changed.Broadcast()
	return w, nil
}

// retire takes w out of use and unmaps it as soon as it has no readers.
func (p *Pool) retire(w *window) {
	p.remove(w)
	w.retired = true
	p.leaving += w.hi - w.lo
	if w.readers == 0 {
		p.unmap(w)
	}
}

// unmap closes a retired window. It unlocks the pool meanwhile.
func (p *Pool) unmap(w *window) {
	p.mu.Unlock()
	_ = w.m.Close() // nothing can be done about an error
	p.mu.Lock()
	p.total -= w.hi - w.lo
	p.leaving -= w.hi - w.lo
	p.changed.Broadcast()
}

func (p *Pool) remove(w *window) {
	for i := range p.windows {
		if p.windows[i] == w {
			last := len(p.windows) - 1
			p.windows[i] = p.windows[last]
			p.windows[last] = nil
			p.windows = p.windows[:last]
			return
		}
	}
}

// forget drops all windows of f, which must not have readers.
func (p *Pool) forget(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; i < len(p.windows); {
		if w := p.windows[i]; w.file == f {
			p.retire(w) // unlocks, so start over
			i = 0
			continue
		}
		i++
	}
}
