package cli

import (
	"bytes"
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

// maxPiece is the most bytes that are copied to be written at once.
const maxPiece = 64 << 10

// Write writes p piece by piece.
func (w *pausable) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		var m int
		m, err = w.piece(p[:min(len(p), maxPiece)])
		n, p = n+m, p[m:]
	}
	return n, err
}

// piece writes p in a goroutine of its own, which is left behind if it waits for
// the reader when the run ends.
func (w *pausable) piece(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	p = bytes.Clone(p) // the caller may use its own again
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
