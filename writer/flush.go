package writer

import (
	"os"
	"sync"
	"sync/atomic"
)

const (
	// writebackStep is how many bytes of a file gather before the disk is asked to begin with them.
	writebackStep = 16 << 20
	// writebackGap is how far apart two writes may be and still count as one run.
	writebackGap = 64 << 10
	// writebackQueue bounds the requests that wait, and with them the files that wait to be closed.
	writebackQueue = 32
)

// Overridden by tests.
var (
	syncFile  = flushFile
	writeBack = startWriteback
)

// A flusher takes written bytes to the disk behind the writer's back, one
// request after the other. Its first error is kept; after it, or when told to
// drop, it only closes files.
type flusher struct {
	requests chan request
	done     chan struct{}
	once     sync.Once
	failure  atomic.Pointer[error]
	drop     atomic.Bool
	wrap     func(doing, path string, err error) error
}

// A request is a run of bytes to begin with, or a file to flush and close.
type request struct {
	f      *os.File
	run    span
	finish bool
}

func newFlusher(wrap func(doing, path string, err error) error) *flusher {
	fl := &flusher{
		requests: make(chan request, writebackQueue),
		done:     make(chan struct{}),
		wrap:     wrap,
	}
	go fl.work()
	return fl
}

func (fl *flusher) work() {
	defer close(fl.done)
	able := true
	for r := range fl.requests {
		idle := fl.drop.Load() || fl.err() != nil
		switch {
		case r.finish:
			if !idle {
				if err := retry(func() error { return syncFile(r.f) }); err != nil && !unsupported(err) {
					fl.fail(fl.wrap("flushing", r.f.Name(), err))
				}
			}
			if err := r.f.Close(); err != nil && !idle {
				fl.fail(fl.wrap("closing", r.f.Name(), err))
			}
		case able && !idle:
			err := writeBack(r.f, r.run.off, r.run.end-r.run.off)
			switch {
			case err == nil:
			case unsupported(err):
				able = false
			default:
				fl.fail(fl.wrap("writing", r.f.Name(), err))
			}
		}
	}
}

// begin asks for write-back of a run, and reports false, doing nothing, when
// the disk is far behind: the writer does not wait for a favour.
func (fl *flusher) begin(f *os.File, run span) bool {
	select {
	case fl.requests <- request{f: f, run: run}:
		return true
	default:
		return false
	}
}

// finish flushes f and closes it, some time later.
func (fl *flusher) finish(f *os.File) { fl.requests <- request{f: f, finish: true} }

// stop waits for everything asked for. Nothing may be asked for afterwards.
func (fl *flusher) stop() error {
	fl.once.Do(func() { close(fl.requests) })
	<-fl.done
	return fl.err()
}

// fail keeps the first error for all later calls.
func (fl *flusher) fail(err error) { fl.failure.CompareAndSwap(nil, &err) }

func (fl *flusher) err() error {
	if p := fl.failure.Load(); p != nil {
		return *p
	}
	return nil
}
