package mmapio

import (
	"reflect"
	"slices"
)

// maxAdded is how many stretches a mapping gets before the file is mapped anew.
// Page tables, 4 KiB for each, stay until then on many systems.
const maxAdded = 512

// A region is a mapping of a file.
type region struct {
	file      *File
	m         mapping // nil while it is being opened
	data      []byte  // the bytes of m; nil where m gives copies only
	drops     bool    // single stretches can be dropped
	margin    int64   // around a stretch that a fault in it can make resident
	stretches map[int64]*stretch
	added     int
	readers   int
	used      uint64 // the pool's clock when it was acquired last
	retired   bool   // the last reader unmaps it
}

// A stretch is a grain of a region that may be resident: bytes at*grain to
// (at+1)*grain, or to the end of the file.
type stretch struct {
	region  *region
	at      int64
	readers int
	used    uint64
	leaving bool // it is being dropped, or its region is retired
}

// faultAround is how much of a file Linux maps at a fault, if it is there. The
// range is aligned by address.
const faultAround = 64 << 10

// open maps f. It unlocks the pool meanwhile; others that want f wait. The caller
// is going to read [off, off+n).
func (p *Pool) open(f *File, off, n int64) error {
	r := &region{file: f, stretches: map[int64]*stretch{}}
	f.region = r
	p.regions = append(p.regions, r)

	p.mu.Unlock()
	m, err := f.mapWhole()
	var data []byte
	drops := false
	if m != nil {
		if data = p.bytesOf(m, f.size); data != nil && !agrees(m, data, off, n) {
			data = nil
		}
		drops = data != nil && p.dropPages(data) == nil // what agrees has touched
	}
	p.mu.Lock()

	p.opened.Broadcast()
	if m == nil {
		f.region = nil
		p.regions = slices.DeleteFunc(p.regions, func(o *region) bool { return o == r })
		return err
	}
	r.m, r.data, r.drops = m, data, drops
	if data != nil && reflect.ValueOf(data).Pointer()%grain != 0 {
		r.margin = faultAround
	}
	return nil
}

// sizeOf is the size of a stretch.
func (r *region) sizeOf(at int64) int64 { return min(grain, r.file.size-at*grain) }

// around is the stretches from first to last and their margin.
func (r *region) around(first, last int64) []byte {
	return r.data[max(0, first*grain-r.margin):min((last+1)*grain+r.margin, r.file.size)]
}

// add counts a stretch as resident.
func (p *Pool) add(r *region, at int64) *stretch {
	s := &stretch{region: r, at: at, used: p.clock}
	r.stretches[at] = s
	r.added++
	p.stretches = append(p.stretches, s)
	p.total += r.sizeOf(at)
	return s
}

// mark notes that a stretch is leaving.
func (p *Pool) mark(s *stretch) {
	if !s.leaving {
		s.leaving = true
		p.leaving += s.region.sizeOf(s.at)
	}
}

// remove takes a stretch that was leaving out of the account.
func (p *Pool) remove(s *stretch) {
	r := s.region
	delete(r.stretches, s.at)
	i := slices.Index(p.stretches, s)
	last := len(p.stretches) - 1
	p.stretches[i], p.stretches[last] = p.stretches[last], nil
	p.stretches = p.stretches[:last]
	p.total -= r.sizeOf(s.at)
	p.leaving -= r.sizeOf(s.at)
}

// retire takes a region out of use and unmaps it as soon as it has no readers. It
// may unlock the pool.
func (p *Pool) retire(r *region) {
	if r.retired {
		return
	}
	r.retired = true
	r.file.region = nil
	for _, s := range r.stretches {
		p.mark(s)
	}
	if r.readers == 0 {
		p.unmap(r)
	}
}

// unmap closes a retired region without readers. It unlocks the pool meanwhile.
func (p *Pool) unmap(r *region) {
	r.data = nil
	p.mu.Unlock()
	_ = r.m.Close() // nothing can be done about an error
	p.mu.Lock()
	p.regions = slices.DeleteFunc(p.regions, func(o *region) bool { return o == r })
	for _, s := range r.stretches {
		p.remove(s)
	}
}
