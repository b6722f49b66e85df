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
	// maxPiece bounds a single copy, so that no reader holds pages for long.
	maxPiece = 1 << 20
	// maxRegions bounds the mappings of a pool of many small files.
	maxRegions = 64
	// leftAfter is the number of leases after which a stretch that none of them
	// used counts as left behind.
	leftAfter = 32
)

// mapping is the part of *mmap.ReaderAt that the pool uses.
type mapping interface {
	ReadAt(p []byte, off int64) (int, error)
	Close() error
}

// A Pool bounds the resident pages of all files that were opened through it.
// It is safe for concurrent use.
type Pool struct {
	mu        sync.Mutex // guards the fields down to stretches, and all regions
	opened    sync.Cond  // a region has been opened, or could not be
	limit     int64
	total     int64 // bytes of all stretches
	leaving   int64 // of these, bytes of those that are leaving
	clock     uint64
	regions   []*region
	stretches []*stretch

	descriptors descriptors

	// Tests replace these to meet other systems, and disks that fail.
	mapFile   func(name string) (mapping, error)
	readFile  func(f *os.File, p []byte, off int64) (int, error)
	bytesOf   func(m mapping, size int64) []byte
	dropPages func(p []byte) error
}

// NewPool returns a pool that keeps at most limit bytes of mapped pages
// resident. Every view and every place at which a file is being read needs 2 MiB,
// or 4 MiB where it crosses a multiple of that; what finds no room is read
// without a mapping. With a limit under 2 MiB the pool maps 2 MiB at a time. A
// limit of 0 or less means none.
func NewPool(limit int64) *Pool {
	p := &Pool{mapFile: mapFile, readFile: (*os.File).ReadAt, bytesOf: mappedBytes, dropPages: dropPages}
	p.opened.L = &p.mu
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
	for p.total-p.leaving > p.limit && (p.freeIdle() || p.freeRead()) {
	}
}

func (p *Pool) setLimit(limit int64) {
	if limit <= 0 {
		limit = math.MaxInt64
	}
	p.limit = limit
}

// A lease is the right to touch the stretches from first to last of a region.
type lease struct {
	*region
	first, last int64
	fresh       bool // some were not resident before
}

// acquire gives a lease of [off, off+n) of f, which is not empty. Its region is
// nil if f can't be mapped, and if the pool has no room before other readers are
// done: the caller may be one of them, so it must not wait.
func (p *Pool) acquire(f *File, off, n int64) (lease, error) {
	l := lease{first: off / grain, last: (off + n - 1) / grain}
	p.mu.Lock()
	defer p.mu.Unlock()
	for !f.unmappable.Load() {
		r := f.region
		switch {
		case r == nil:
			if len(p.regions) >= maxRegions {
				if !p.closeOne() {
					return lease{}, nil
				}
			} else if err := p.open(f, off, n); err != nil {
				return lease{}, err
			}
			continue
		case r.m == nil:
			p.opened.Wait() // for somebody who waits for nobody
			continue
		case r.added >= maxAdded:
			p.retire(r)
			continue
		}
		p.clock++
		r.used = p.clock
		need := int64(0)
		for at := l.first; at <= l.last; at++ {
			s := r.stretches[at]
			switch {
			case s == nil:
				need += r.sizeOf(at)
			case s.leaving:
				return lease{}, nil
			default:
				s.used = p.clock
			}
		}
		if need > p.limit-p.total && (p.total > 0 || need > grain) {
			if !p.makeRoom(need) {
				return lease{}, nil
			}
			continue
		}
		for at := l.first; at <= l.last; at++ {
			s := r.stretches[at]
			if s == nil {
				s = p.add(r, at)
				l.fresh = true
			}
			s.readers++
		}
		r.readers++
		l.region = r
		return l, nil
	}
	return lease{}, nil
}

// release ends a lease.
func (p *Pool) release(l lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := l.first; at <= l.last; at++ {
		s := l.stretches[at]
		if s.readers--; s.readers == 0 && !s.leaving && p.total-p.leaving > p.limit { // SetLimit has been called
			p.drop(s)
		}
	}
	p.leave(l.region)
}

// leave ends the use of a region.
func (p *Pool) leave(r *region) {
	if r.readers--; r.readers == 0 && r.retired {
		p.unmap(r)
	}
}

// makeRoom takes a step towards room for need more bytes, in the course of which
// it unlocks the pool: the caller has to look again. It reports false if only
// readers who leave can make room.
func (p *Pool) makeRoom(need int64) bool {
	switch {
	case need > max(p.limit, grain):
		return false
	case p.freeIdle():
		return true
	case need <= max(p.limit, grain)-(p.total-p.leaving): // when what is leaving is gone
		return false
	}
	return p.freeRead()
}

// freeIdle drops the stretch that was used longest ago, of those that nobody reads,
// and reports whether there is one. Where single stretches can't be dropped, the
// whole region goes.
func (p *Pool) freeIdle() bool {
	var oldest *stretch
	for _, s := range p.stretches {
		idle := s.readers == 0 && !s.leaving && (s.region.drops || s.region.readers == 0)
		if idle && (oldest == nil || s.used < oldest.used) {
			oldest = s
		}
	}
	if oldest != nil {
		p.drop(oldest)
	}
	return oldest != nil
}

// freeRead makes the largest of the regions leave whose stretches can't be
// dropped, though it has readers, and reports whether there is one.
func (p *Pool) freeRead() bool {
	var largest *region
	for _, r := range p.regions {
		if !r.retired && !r.drops && len(r.stretches) > 0 && (largest == nil || len(r.stretches) > len(largest.stretches)) {
			largest = r
		}
	}
	if largest != nil {
		p.retire(largest)
	}
	return largest != nil
}

// left reports whether a stretch, nil for none, has been left behind by its
// readers: it goes with one beside it that is dropped, for each drop interrupts
// all processors.
func (p *Pool) left(s *stretch) bool {
	return s != nil && s.readers == 0 && !s.leaving && p.clock-s.used > leftAfter
}

// drop makes a stretch without readers leave, and those beside it that were left
// behind. It unlocks the pool meanwhile.
func (p *Pool) drop(s *stretch) {
	r := s.region
	if !r.drops {
		p.retire(r)
		return
	}
	first, last := s.at, s.at
	for p.left(r.stretches[first-1]) {
		first--
	}
	for p.left(r.stretches[last+1]) {
		last++
	}
	for at := first; at <= last; at++ {
		p.mark(r.stretches[at])
	}
	r.readers++ // its addresses must stay its own
	pages := r.around(first, last)
	p.mu.Unlock()
	err := p.dropPages(pages)
	p.mu.Lock()
	if err == nil {
		for at := first; at <= last; at++ {
			p.remove(r.stretches[at])
		}
	} else { // locked in memory, perhaps
		r.drops = false
		p.retire(r)
	}
	p.leave(r)
}

// closeOne unmaps the region that was used longest ago, of those that nobody
// reads.
func (p *Pool) closeOne() bool {
	var oldest *region
	for _, r := range p.regions {
		if r.m != nil && r.readers == 0 && !r.retired && (oldest == nil || r.used < oldest.used) {
			oldest = r
		}
	}
	if oldest != nil {
		p.retire(oldest)
	}
	return oldest != nil
}

// forget unmaps f, which nobody reads.
func (p *Pool) forget(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.region != nil {
		p.retire(f.region)
	}
}
