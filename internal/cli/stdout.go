package cli

import (
	"io"
	"time"

	"slerpmerge/internal/fault"
)

// patience is how long a reader of standard output may take for what is written
// after a signal.
const patience = time.Second

// A pausable is standard output whose reader may have stopped reading, as a pager
// does: once the run is to end, a write waits for it no longer than patience.
type pausable struct {
	out   io.Writer
	ended <-chan struct{}
	cause func() error // why, when ended is closed
}

// Write writes p in a goroutine of its own, which is left behind if it waits
// for the reader when the run ends.
func (w *pausable) Write(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	p = append([]byte(nil), p...) // the caller may use its own again
	go func() {
		n, err := w.out.Write(p)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-w.ended:
	}
	select {
	case r := <-done:
		return r.n, r.err
	case <-time.After(patience):
		return 0, &unreadError{w.cause()}
	}
}

// An unreadError says that a run was stopped while nobody read its results.
type unreadError struct{ cause error }

func (e *unreadError) Error() string { return e.cause.Error() + " while nobody read its output" }

// Class returns the class of what stopped it.
func (e *unreadError) Class() fault.Class {
	class, _ := classOf(e.cause)
	return class
}

// Hints returns none: the work may be done.
func (e *unreadError) Hints() []fault.Hint { return nil }
