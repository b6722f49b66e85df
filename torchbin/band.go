package torchbin

import (
	"math/bits"
	"sync"
)

// GatherMemory is the most memory in bytes that all sources of all checkpoints
// keep between reads, for tensors that lie in another order in the file. Every
// read that is under way takes 256 KiB beside it.
const GatherMemory = 16 << 20

const (
	// bandUnit is the least size of a band. It is doubled while there is
	// memory for as many bands of that size as there are streams.
	bandUnit  = 1 << 20
	bandUnits = GatherMemory / bandUnit

	// maxBand leaves room for a second stream.
	maxBand = GatherMemory / 2

	// idleAfter is the number of requests after which a band or a stream
	// that none of them belonged to is taken to be left behind.
	idleAfter = 128
)

// A band is some rows of a strided tensor that have been gathered together,
// for the sake of the requests that follow. Without it every request would
// read the same pages of the file again, for a few elements in each.
type band struct {
	file   File
	tensor *Tensor
	off    int64 // in the tensor's bytes
	buf    []byte
	unread int64 // bytes that have not been asked for
	users  int   // while there are any, the band stays
	used   int64 // the clock at the last request

	filling sync.Mutex
	full    bool
}

// A stream is a reader that goes through a tensor.
type stream struct {
	file   File
	tensor *Tensor
	next   int64 // where its next request begins
	used   int64
}

// bands keep the bands that readers are moving through. A band goes when all
// of it has been read, or when it seems to be left behind. While no memory is
// free, readers do without.
type bands struct {
	mu      sync.Mutex
	clock   int64
	memory  []byte           // of all bands, once there is one
	owners  [bandUnits]*band // of the units of memory
	streams [bandUnits]stream
}

// kept is one for the whole program, so that its memory does not grow with the
// number of files.
var kept bands

// read fills the beginning of p with the bytes of g from off on, as far as
// there are bands or memory for them, and returns how much that is. What can't
// be read is left to the caller, who will meet the error.
func (bs *bands) read(g *gather, p []byte, off int64) (done int) {
	active := bs.follow(g, off, int64(len(p)))
	for done < len(p) {
		b := bs.acquire(g, off+int64(done), int64(len(p)-done), active)
		if b == nil {
			break
		}
		n := 0
		if b.fill(g) {
			n = copy(p[done:], b.buf[off+int64(done)-b.off:])
		}
		bs.release(b, n)
		if n == 0 {
			break
		}
		done += n
	}
	return done
}

func (bs *bands) release(b *band, n int) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	b.users--
	b.unread -= int64(n)
}

// fill gathers the band unless that has been done.
func (b *band) fill(g *gather) bool {
	b.filling.Lock()
	defer b.filling.Unlock()
	if !b.full {
		b.full = g.direct(b.buf, b.off) == nil
	}
	return b.full
}

// acquire finds the band that holds the byte at off, or makes one for a
// request of n bytes.
func (bs *bands) acquire(g *gather, off, n int64, active int) *band {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	for _, b := range bs.owners {
		if b != nil && b.file == g.file && b.tensor == g.tensor && off >= b.off && off < b.off+int64(len(b.buf)) {
			b.users++
			b.used = bs.clock
			return b
		}
	}
	units := bandUnits >> bits.Len(uint(active-1))
	for units = min(max(units, 1), maxBand/bandUnit); units > 0; units /= 2 {
		size := min(int64(units*bandUnit)/g.row*g.row, g.size()-off/g.row*g.row)
		if size <= n || size <= g.row { // no better than the request itself
			return nil
		}
		if at, ok := bs.room(units); ok {
			if bs.memory == nil {
				bs.memory = make([]byte, GatherMemory)
			}
			b := &band{file: g.file, tensor: g.tensor, off: off / g.row * g.row, users: 1, used: bs.clock}
			b.buf = bs.memory[at*bandUnit:][:size]
			b.unread = b.off + size - off
			for i := range units {
				bs.owners[at+i] = b
			}
			return b
		}
	}
	return nil
}

// follow takes note of a request and counts the streams, at least one.
func (bs *bands) follow(g *gather, off, n int64) (active int) {
	bs.mu.Lock()
	defer bs.mu.Unlock()
	bs.clock++
	at := -1
	for i := range bs.streams {
		s := &bs.streams[i]
		if s.file == g.file && s.tensor == g.tensor && s.next == off {
			at = i
			break
		}
		if at < 0 || s.used < bs.streams[at].used {
			at = i
		}
	}
	bs.streams[at] = stream{g.file, g.tensor, off + n, bs.clock}
	if off+n == g.size() {
		bs.streams[at] = stream{} // it has come to its end
	}
	for _, s := range bs.streams {
		if s.tensor != nil && bs.clock-s.used <= idleAfter {
			active++
		}
	}
	return max(1, active)
}

// room finds units of memory that are free or can be freed.
func (bs *bands) room(units int) (at int, ok bool) {
search:
	for at := 0; at+units <= bandUnits; at += units {
		for _, b := range bs.owners[at : at+units] {
			if b != nil && (b.users > 0 || b.unread > 0 && bs.clock-b.used <= idleAfter) {
				continue search
			}
		}
		for _, b := range bs.owners[at : at+units] {
			bs.drop(b)
		}
		return at, true
	}
	return 0, false
}

func (bs *bands) drop(b *band) {
	for i := range bs.owners {
		if b != nil && bs.owners[i] == b {
			bs.owners[i] = nil
		}
	}
}
