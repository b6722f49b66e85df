package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// A progress shows how far a merge is: on a terminal as a bar, else as a line
// every tenth or every half minute, whichever is later, so that a short run
// says nothing.
type progress struct {
	total  int64
	log    *logger
	silent bool

	pool *mpb.Progress
	bar  *mpb.Bar

	mu       sync.Mutex // guards the fields below
	done     int64
	before   int64 // of done: by an earlier run
	start    time.Time
	lastLine time.Time
	lastPart int64
}

// progressEvery is the least time between two progress lines.
const progressEvery = 30 * time.Second

func (a *app) progress(total int64) *progress {
	now := time.Now()
	p := &progress{total: total, log: a.log, start: now, lastLine: now,
		silent: a.globs.Quiet || a.globs.NoProgress || total == 0}
	if p.silent || !isTerminal(a.stderr) || a.globs.LogFormat == "json" {
		return p
	}
	p.pool = mpb.New(mpb.WithOutput(a.stderr), mpb.WithWidth(40), mpb.WithAutoRefresh())
	p.bar = p.pool.New(total, mpb.BarStyle(),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Name(a.log.label()), decor.CountersKiloByte("% .1f / % .1f")),
		mpb.AppendDecorators(
			decor.EwmaSpeed(decor.SizeB1000(0), "% .0f", 30), decor.Name("  "),
			decor.OnComplete(decor.EwmaETA(decor.ET_STYLE_GO, 30), ""),
		))
	a.log.through(p.pool)
	return p
}

// isTerminal reports whether a writer is a terminal that can redraw a line.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// skip counts n bytes that an earlier run has written.
func (p *progress) skip(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.before = p.done+n, p.before+n
	if p.bar != nil {
		p.bar.SetCurrent(p.done)
	}
}

// add counts n more bytes written.
func (p *progress) add(n int64) {
	if p.silent {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	now := time.Now()
	if p.bar != nil {
		p.bar.EwmaIncrInt64(n, now.Sub(p.lastLine))
		p.lastLine = now
		return
	}
	part := p.done * 10 / p.total
	if now.Sub(p.lastLine) < progressEvery || part == p.lastPart && now.Sub(p.lastLine) < 10*progressEvery {
		return
	}
	p.lastLine, p.lastPart = now, part
	rate := float64(p.done-p.before) / now.Sub(p.start).Seconds()
	left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second)).Round(time.Second)
	p.log.info("progress", fmt.Sprintf("%d %%, %s of %s, %s/s, %v left", p.done*100/p.total, size(p.done), size(p.total), size(int64(rate)), left),
		"bytes", p.done, "total", p.total, "bytes_per_second", rate, "seconds_left", left.Seconds())
}

// close removes the bar.
func (p *progress) close() {
	if p.pool == nil {
		return
	}
	p.bar.Abort(true)
	p.pool.Wait()
	p.log.through(nil)
}
