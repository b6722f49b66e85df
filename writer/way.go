package writer

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"slerpmerge/internal/disk"
)

// Alignment is that of memory, places and lengths of writes past the page cache.
// A piece that lies in memory as it lies in the file, seen from the last multiple
// of Alignment, is written so without a copy.
const Alignment = 4 << 10

// A way is how the bytes of a piece come to the disk.
type way int

const (
	// buffered writes fill the page cache, and the flusher has the disk begin with
	// them. They are fastest where new pages are cheap.
	buffered way = iota
	// uncached writes (RWF_DONTCACHE, from Linux 6.14 on) go through a few pages,
	// which the system drops once they are on the disk. On a quiet machine a merge
	// with them was as fast as one with buffered writes, within the noise.
	uncached
	// direct writes (O_DIRECT) go past the page cache. They take the least processor
	// time, and wait for the disk: a merge with them took 1.4 times as long.
	direct
	numWays
)

const (
	// minChosen is how large an output is of which pieces are written in other ways
	// than buffered.
	minChosen = 64 << 20
	// minTimed is the length of the least piece that is not just buffered.
	minTimed = 256 << 10
	// settleBytes and roundBytes are how much is written in one way before the time is
	// taken, and after.
	settleBytes = 16 << 20
	roundBytes  = 32 << 20
	// firstWait is how many rounds pass before the way that lost is tried again; every
	// further time that it loses doubles them, up to maxWait.
	firstWait, maxWait = 4, 16
	// leanBonus is by how much buffered writes have to be faster.
	leanBonus = 1.15
	// uncachedCall bounds one uncached write.
	uncachedCall = 1 << 20
	// directParts and minPart are how a direct write is divided into writes at the
	// same time, which keep the disk busy.
	directParts = 4
	minPart     = 512 << 10
)

// A chooser decides how pieces are written.
//
// Which way is fastest depends on the state of the machine. Where the pages of
// the page cache are cheap, buffered writes are; on a virtual machine whose host
// has taken free memory back, new pages are dear; and beside twenty busy threads on two processors, a merge with buffered writes
// took twice as long as one with direct writes. So rounds of some tens of MiB are
// written buffered and in the way that spares the page cache, and their whole time
// is compared, whatever it was spent on. The way that loses is tried again from
// time to time.
type chooser struct {
	rule    rule
	refused [numWays]bool

	how     way // of this round
	started bool
	bytes   int64     // written in this round
	from    time.Time // it began then,
	settled time.Time // and is timed from here on
	counted int64     // bytes before settled
	rates   [numWays]float64
	trial   bool // of the way that lost
	wait    int  // rounds until the next trial
	next    int  // wait after it, if it is lost
}

// A rule narrows a choice.
type rule int

const (
	cheapest rule = iota
	alwaysBuffered
	neverBuffered
)

// lean is the way that spares the page cache; aligned tells of the piece's memory.
func (c *chooser) lean(aligned bool) way {
	switch {
	case !c.refused[uncached]:
		return uncached
	case aligned && !c.refused[direct]:
		return direct
	}
	return buffered
}

// choose returns the way of the next piece, of n bytes, which comes at the time now.
func (c *chooser) choose(aligned bool, n int, now time.Time) way {
	lean := c.lean(aligned)
	switch {
	case lean == buffered || c.rule == alwaysBuffered:
		return buffered
	case c.rule == neverBuffered:
		return lean
	}
	if c.how != buffered && c.how != lean { // refused, or not for this memory
		c.how, c.started = lean, false
	}
	switch {
	case !c.started:
		c.started, c.next = true, firstWait
		c.begin(lean, now)
	case c.bytes < settleBytes:
	case c.settled.IsZero():
		c.settled, c.counted = now, c.bytes
	case c.bytes-c.counted >= roundBytes:
		c.end(lean, now)
	}
	if c.trial && c.lost(lean, now) {
		c.end(lean, now)
	}
	c.bytes += int64(n)
	return c.how
}

func (c *chooser) begin(how way, now time.Time) {
	c.how, c.from, c.bytes, c.settled, c.counted = how, now, 0, time.Time{}, 0
}

// other is the way that this round does not take.
func (c *chooser) other(lean way) way {
	if c.how == buffered {
		return lean
	}
	return buffered
}

// lost reports whether a trial has taken longer already than a whole round in the
// other way.
func (c *chooser) lost(lean way, now time.Time) bool {
	return now.Sub(c.from).Seconds()*c.rates[c.other(lean)] > settleBytes+roundBytes
}

// end ends a round and decides about the next one.
func (c *chooser) end(lean way, now time.Time) {
	from, bytes := c.settled, c.bytes-c.counted
	if bytes < roundBytes { // it was broken off
		from, bytes = c.from, c.bytes
	}
	rate := float64(bytes) / max(now.Sub(from).Seconds(), 1e-9)
	if old := c.rates[c.how]; old > 0 && !c.trial {
		rate = (old + rate) / 2
	}
	c.rates[c.how] = rate
	best := lean
	if c.rates[buffered] > leanBonus*c.rates[lean] {
		best = buffered
	}
	switch other := c.other(lean); {
	case c.rates[other] == 0:
		best, c.trial = other, true
	case c.trial:
		if c.trial = false; best == c.how {
			c.next = firstWait
		} else {
			c.next = min(2*c.next, maxWait)
		}
		c.wait = c.next
	case best == c.how:
		if c.wait--; c.wait <= 0 {
			best, c.trial = other, true
		}
	}
	c.begin(best, now)
}

// refuses reports whether err, of a way other than buffered, means that the
// system or the file system does not have it, and remembers that. What is a
// fault of the disk shows again when the same bytes are buffered; EPERM is what
// filters of system calls return.
func (c *chooser) refuses(w way, err error) bool {
	no := disk.Unsupported(err) || errors.Is(err, syscall.EPERM)
	c.refused[w] = c.refused[w] || no
	return no
}

// inMemory reports whether p lies in memory as direct writes need it.
func inMemory(p []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))%Alignment == 0
}

// writePiece writes p in the way that is best now. What does not fill a unit of
// Alignment is buffered, at both ends: so no page is both in the cache and written
// past it, except between a piece and the next one.
func (o *Output) writePiece(w *openFile, p []byte, off int64) error {
	end := off + int64(len(p))
	from, to := (off+Alignment-1)/Alignment*Alignment, end/Alignment*Alignment
	if o.ways.rule == alwaysBuffered || to-from < minTimed {
		return o.write(w.f, p, off)
	}
	if err := o.write(w.f, p[:from-off], off); err != nil {
		return err
	}
	mid := p[from-off : to-off]
	how := o.ways.choose(inMemory(mid), len(p), time.Now())
	if err := o.writeBy(how, w, mid, from); err != nil {
		return err
	}
	return o.write(w.f, p[to-off:], to)
}

// writeBy writes p, which is aligned in the file, in one way; where that is refused,
// buffered.
func (o *Output) writeBy(how way, w *openFile, p []byte, off int64) error {
	switch how {
	case direct:
		return o.writeDirect(w, p, off)
	case uncached:
		n, err := writeAll(o.sys.writeUncached, w.f, p, off, uncachedCall)
		return o.finish(uncached, w, p, off, n, err)
	}
	return o.write(w.f, p, off)
}

// writeDirect writes p, which is aligned in memory too, past the page cache.
func (o *Output) writeDirect(w *openFile, p []byte, off int64) error {
	if w.direct == nil {
		f, err := o.sys.openDirect(o.work, w.Name)
		if err == nil && !sameFile(f, w.f) {
			f.Close()
			err = errors.ErrUnsupported
		}
		if err != nil { // the file is open already, so this is about the way
			o.ways.refused[direct] = true
			return o.write(w.f, p, off)
		}
		w.direct = f
	}
	step := max(len(p)/directParts, minPart)
	step = (step + Alignment - 1) / Alignment * Alignment
	type part struct {
		at, done int
		err      error
	}
	var parts []part
	for at := 0; at < len(p); at += step {
		parts = append(parts, part{at: at})
	}
	var all sync.WaitGroup
	for i := range parts {
		t := &parts[i]
		all.Go(func() {
			q := p[t.at:min(t.at+step, len(p))]
			t.done, t.err = writeAll(o.sys.writeDirect, w.direct, q, off+int64(t.at), len(q))
		})
	}
	all.Wait()
	for _, t := range parts {
		q := p[t.at:min(t.at+step, len(p))]
		if err := o.finish(direct, w, q, off+int64(t.at), t.done, t.err); err != nil {
			return err
		}
	}
	return nil
}

// finish buffers what is left of p after n bytes if the way was refused; else err
// is an error of the disk. A short direct write can end between two units of
// Alignment; then the next call is refused.
func (o *Output) finish(how way, w *openFile, p []byte, off int64, n int, err error) error {
	if err == nil {
		return nil
	}
	if o.ways.refuses(how, err) {
		return o.write(w.f, p[n:], off+int64(n))
	}
	return o.wrap("writing", w.f.Name(), err)
}

// closeDirect closes the descriptor of direct writes.
func (w *openFile) closeDirect() error {
	if w.direct == nil {
		return nil
	}
	f := w.direct
	w.direct = nil
	return f.Close()
}

// sameFile reports whether two descriptors are of one file.
func sameFile(a, b *os.File) bool {
	fa, err := a.Stat()
	if err != nil {
		return false
	}
	fb, err := b.Stat()
	return err == nil && os.SameFile(fa, fb)
}
