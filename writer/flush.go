package writer

import (
	"os"
	"sync"
	"sync/atomic"

	"slerpmerge/internal/disk"
)

const (
	// writebackStep is how many bytes of a file gather before the disk is asked to begin with them.
	writebackStep = 16 << 20
	// writebackGap is how far apart two writes may be and still count as one run.
	writebackGap = 64 << 10
	// writebackQueue bounds the requests that wait, and with them the files that wait to be closed.
	writebackQueue = 8
	// writebackAhead is how many runs of a file may be on their way to the disk before the first of them is waited for.
	writebackAhead = 4
	// writebackMost is how long a run may grow while the queue is full; then the writer waits for the disk. So what is
	// written but not on the disk is bounded, and with it the time that a checkpoint or the end takes.
	writebackMost = 64 << 20
)

// A flusher takes written bytes to the disk behind the writer's back, one
// request after the other. Its first error is kept; after it, or once drop is set,
// it only closes files.
type flusher struct {
	sys      *system
	requests chan request
	done     chan struct{}
	once     sync.Once
	failure  atomic.Pointer[error]
	drop     atomic.Bool
	hurry    atomic.Bool          // no more write-back ahead of a flush
	marking  atomic.Bool          // a mark is on its way
	marked   atomic.Pointer[Mark] // the last one in the journal
	wrap     func(doing, path string, err error) error
	inPlace  func() error // whether the files still have their names

	able    bool   // to write back
	forget  bool   // pages that are on the disk
	underAt string // the file that under is of
	under   []span // on their way
	named   bool   // the names of the files are on the disk
}

// A request is a run of bytes to begin with, a file to flush and close, or a
// line for the journal that holds once f is on the disk.
type request struct {
	f       *os.File // of a mark: nil if no file is open
	run     span
	finish  bool
	mark    *markLine
	journal *os.File
	folders []*disk.Folder // of a mark: their names have to be on the disk too
}

func newFlusher(sys *system, wrap func(doing, path string, err error) error, inPlace func() error, forget bool) *flusher {
	fl := &flusher{
		sys:      sys,
		requests: make(chan request, writebackQueue),
		done:     make(chan struct{}),
		wrap:     wrap,
		inPlace:  inPlace,
		able:     true,
		forget:   forget,
	}
	go fl.work()
	return fl
}

func (fl *flusher) work() {
	defer close(fl.done)
	for r := range fl.requests {
		idle := fl.drop.Load() || fl.err() != nil
		switch {
		case r.finish:
			fl.under = nil
			if !idle {
				fl.sync(r.f)
				if fl.forget {
					dropPages(r.f, 0, 0)
				}
			}
			if err := r.f.Close(); err != nil && !idle {
				fl.fail(fl.wrap("closing", r.f.Name(), err))
			}
		case r.mark != nil:
			if !idle {
				fl.note(r)
			}
			fl.marking.Store(false)
		case fl.able && !idle && !fl.hurry.Load():
			fl.push(r)
		}
	}
}

// push has the disk begin with a run, and waits for an earlier one.
func (fl *flusher) push(r request) {
	err := fl.sys.writeBack(r.f, r.run.off, r.run.end-r.run.off)
	if r.f.Name() != fl.underAt {
		fl.underAt, fl.under = r.f.Name(), nil
	}
	if fl.under = append(fl.under, r.run); err == nil && len(fl.under) > writebackAhead {
		first := fl.under[0]
		fl.under = fl.under[1:]
		err = fl.sys.waitBack(r.f, first.off, first.end-first.off)
		if err == nil && fl.forget {
			dropPages(r.f, first.off, first.end-first.off)
		}
	}
	switch {
	case err == nil:
	case disk.Unsupported(err):
		fl.able = false
	default:
		fl.fail(fl.wrap("writing", r.f.Name(), err))
	}
}

func (fl *flusher) sync(f *os.File) {
	if err := disk.Retry(func() error { return fl.sys.syncFile(f) }); err != nil && !disk.Unsupported(err) {
		fl.fail(fl.wrap("flushing", f.Name(), err))
	}
}

// note flushes the bytes before a mark, and then writes the mark to the journal.
func (fl *flusher) note(r request) {
	if !fl.named {
		for _, dir := range r.folders {
			if err := disk.Retry(func() error { return fl.sys.syncDir(dir) }); err != nil && !disk.Unsupported(err) {
				fl.fail(fl.wrap("flushing", dir.Path(""), err))
				return
			}
		}
		fl.named = true
	}
	if r.f != nil {
		fl.sync(r.f)
	}
	if err := fl.inPlace(); err != nil {
		fl.fail(err)
	}
	if fl.err() != nil {
		return
	}
	line, err := r.mark.text()
	if err == nil {
		_, err = r.journal.Write(line)
	}
	if err != nil {
		fl.fail(fl.wrap("writing", r.journal.Name(), err))
		return
	}
	if fl.sync(r.journal); fl.err() == nil {
		fl.marked.Store(&r.mark.Mark)
	}
}

// begin asks for write-back of a run. It reports false, doing nothing, when
// the disk is behind and the run can still grow.
func (fl *flusher) begin(f *os.File, run span) bool {
	if run.end-run.off >= writebackMost {
		fl.requests <- request{f: f, run: run}
		return true
	}
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
