package torchbin

import "sync"

// GatherMemory is the least memory in bytes that a Gatherer keeps between reads,
// and MaxGatherMemory the most that SetMemory can make of it. Every read that is
// under way takes 256 KiB beside it.
const (
	GatherMemory    = 16 << 20
	MaxGatherMemory = 64 << 20
)

const (
	// bandUnit is the least size of a band.
	bandUnit = 1 << 20
	maxUnits = MaxGatherMemory / bandUnit

	// idleAfter is the number of requests after which a band or a stream
	// that none of them belonged to is taken to be left behind.
	idleAfter = 128

	// astray is the largest distance of a request from the expected place of
	// a stream that it belongs to: workers that share a tensor overtake each other.
	astray = 16 << 20
)

// A band is some rows of a strided tensor that have been gathered together,
// for the sake of the requests that follow. Without it every request would
// read the same pages of the file again, for a few elements in each.
type band struct {
	file   File
	tensor *Tensor
	off    int64 // in the tensor's bytes
	buf    []byte

	// Guarded by the mu of bands.
	unread int64 // bytes that have not been asked for
	users  int   // while there are any, the band stays
	used   int64 // the clock at the last request

	filling sync.Mutex // guards the fields below
	filled  sync.Cond  // on filling: parts are done
	parts   []block    // to be gathered, by all who wait for the band
	busy    int        // who are at it
	failed  bool
	full    bool
}

// A stream is a reader, or some that take turns, that goes through a tensor. The mu
// of bands guards it.
type stream struct {
	file   File
	tensor *Tensor
	next   int64 // where its next request begins
	used   int64
	bands  int // that it has had
}

// bands keep the bands that readers are moving through. A band goes when all
// of it has been read, or when it seems to be left behind. While no memory is
// free, readers do without.
type bands struct {
	windows sync.Pool // of *[window]byte

	mu      sync.Mutex // guards the fields below, and what streams and bands say of it
	left    sync.Cond  // on mu: a band has lost its last user
	clock   int64
	units   int             // of memory
	memory  []byte          // of all bands, once there is one
	owners  [maxUnits]*band // of the units
	streams [16]stream
}

func newBands(size int64) *bands {
	bs := &bands{units: int(size / bandUnit)}
	bs.left.L = &bs.mu
	bs.windows.New = func() any { return new([window]byte) }
	return bs
}

// A Gatherer is the memory through which tensors are read that lie in another
// order in their file, such as transposed matrices. Checkpoints can share one, so
// that the memory does not grow with the number of files. It is safe for
// concurrent use, and takes its memory when it is first needed.
type Gatherer struct{ bands *bands }

// NewGatherer returns a Gatherer of GatherMemory bytes.
func NewGatherer() *Gatherer { return &Gatherer{newBands(GatherMemory)} }

// SetMemory changes the memory for the reads to come, unless some are under way.
func (g *Gatherer) SetMemory(size int64) {
	g.bands.resize(int(min(max(size, GatherMemory), MaxGatherMemory) / bandUnit))
}

func (bs *bands) resize(units int) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if units == bs.units {
		return
	}
	for _, b := range bs.owners {
		if b != nil && b.users > 0 {
			return
		}
	}
	bs.units, bs.memory, bs.owners = units, nil, [maxUnits]*band{}
}

// read fills the beginning of p with the bytes of g from off on, as far as
// there are bands or memory for them, and returns how much that is. What can't
// be read is left to the caller, who will meet the error.
func (bs *bands) read(g *gather, p []byte, off int64) (done int) {
	s, active := bs.follow(g, off, int64(len(p)))
	for done < len(p) {
		b, n := bs.acquire(g, off+int64(done), int64(len(p)-done), s, active)
		if b == nil {
			break
		}
		if !b.fill(g) {
			bs.release(b)
			break
		}
		copy(p[done:][:n], b.buf[off+int64(done)-b.off:])
		bs.release(b)
		done += int(n)
	}
	return done
}

func (bs *bands) release(b *band) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	if b.users--; b.users == 0 {
		bs.left.Broadcast()
	}
}

// fill gathers the band unless that has been done. All who want it take part.
func (b *band) fill(g *gather) bool {
	b.filling.Lock()
	defer b.filling.Unlock()
	if !b.full && b.busy == 0 {
		b.parts, b.failed = g.share(b.buf, b.off), false
	}
	for len(b.parts) > 0 {
		part := b.parts[0]
		b.parts = b.parts[1:]
		b.busy++
		b.filling.Unlock()
		w := g.bands.windows.Get().(*[window]byte)
		err := g.block(part, w[:])
		g.bands.windows.Put(w)
		b.filling.Lock()
		if b.busy--; err != nil {
			b.parts, b.failed = nil, true
		}
		if b.busy == 0 && len(b.parts) == 0 {
			b.parts, b.full = nil, !b.failed
			b.filled.Broadcast()
		}
	}
	for b.busy > 0 {
		b.filled.Wait()
	}
	return b.full
}

// acquire finds the band that holds the byte at off, or makes one, for a request
// of n bytes by stream s, and tells how many of them the band has.
func (bs *bands) acquire(g *gather, off, n int64, s *stream, active int) (*band, int64) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for {
		for _, b := range bs.owners {
			if b != nil && b.file == g.file && b.tensor == g.tensor && off >= b.off && off < b.off+int64(len(b.buf)) {
				return b, bs.use(b, off, n)
			}
		}
		share := max(1, bs.units/active)
		if s.bands == 0 { // there may be a second stream
			share = max(1, min(share, bs.units/2))
		}
		b, wait := bs.make(g, off, n, share)
		if b != nil {
			s.bands++
			return b, bs.use(b, off, n)
		}
		if !wait {
			return nil, 0
		}
		bs.left.Wait()
	}
}

// use notes a request for bytes of b.
func (bs *bands) use(b *band, off, n int64) int64 {
	n = min(n, b.off+int64(len(b.buf))-off)
	b.users++
	b.used = bs.clock
	b.unread -= n
	return n
}

// make makes a band of so many units, or less where less is free. It says
// whether it is worth to wait: for those who are just reading what is left of a
// band.
func (bs *bands) make(g *gather, off, n int64, units int) (b *band, wait bool) {
	for ; units > 0; units /= 2 {
		row := g.rows(int64(units * bandUnit))
		if row == 0 {
			return nil, false
		}
		begin := off / row * row
		size := min(int64(units*bandUnit)/row*row, g.size()-begin)
		if size <= n || size <= row { // no better than the request itself
			return nil, false
		}
		need := int((size + bandUnit - 1) / bandUnit)
		at, busy := bs.room(need)
		if at < 0 {
			if busy {
				return nil, true
			}
			continue
		}
		if bs.memory == nil {
			bs.memory = make([]byte, bs.units*bandUnit)
		}
		b = &band{file: g.file, tensor: g.tensor, off: begin, used: bs.clock}
		b.filled.L = &b.filling
		b.buf = bs.memory[at*bandUnit:][:size]
		b.unread = size - (off - begin)
		for i := range need {
			bs.owners[at+i] = b
		}
		return b, false
	}
	return nil, false
}

// follow takes note of a request. It returns the stream that it belongs to and
// counts the streams, at least one.
func (bs *bands) follow(g *gather, off, n int64) (s *stream, active int) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.clock++
	oldest := &bs.streams[0]
	for i := range bs.streams {
		t := &bs.streams[i]
		if t.file == g.file && t.tensor == g.tensor && off > t.next-astray && off < t.next+astray && (s == nil || t.used > s.used) {
			s = t
		}
		if t.used < oldest.used {
			oldest = t
		}
	}
	if s == nil {
		s = oldest
		*s = stream{file: g.file, tensor: g.tensor}
	}
	s.next, s.used = max(s.next, off+n), bs.clock
	if s.next == g.size() {
		s.file, s.tensor = nil, nil // it has come to its end
	}
	for i := range bs.streams {
		if t := &bs.streams[i]; t.tensor != nil && bs.clock-t.used <= idleAfter {
			active++
		}
	}
	return s, max(1, active)
}

// room finds units of memory that are free or can be freed. Without any, at is
// less than 0, and busy tells whether units would do that are just being read to
// their end.
func (bs *bands) room(units int) (at int, busy bool) {
search:
	for at := 0; at+units <= bs.units; at++ {
		leaving := false
		for i, b := range bs.owners[at : at+units] {
			switch {
			case b == nil:
			case b.unread > 0 && (b.users > 0 || bs.clock-b.used <= idleAfter):
				at += i
				continue search
			case b.users > 0:
				leaving = true
			}
		}
		if leaving {
			busy = true
			continue
		}
		for _, b := range bs.owners[at : at+units] {
			bs.drop(b)
		}
		return at, false
	}
	return -1, busy
}

func (bs *bands) drop(b *band) {
	for i := range bs.owners {
		if b != nil && bs.owners[i] == b {
			bs.owners[i] = nil
		}
	}
}
