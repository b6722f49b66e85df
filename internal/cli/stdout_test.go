package cli

import (
	"bytes"
	"context"
	"io"
	"syscall"
	"testing"
)

// A reader that pauses, such as a pager, keeps no run from ending.
func TestPausedReader(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	cause := func() error { return context.Cause(ctx) }

	var got bytes.Buffer
	w := &pausable{&got, ctx.Done(), cause}
	if n, err := w.Write([]byte("before")); n != 6 || err != nil || got.String() != "before" {
		t.Errorf("%d, %v, %q", n, err, &got)
	}

	var long bytes.Buffer
	text := bytes.Repeat([]byte("0123456789"), maxPiece/4)
	if n, err := (&pausable{&long, ctx.Done(), cause}).Write(text); n != len(text) || err != nil || !bytes.Equal(long.Bytes(), text) {
		t.Errorf("%d of %d, %v", n, len(text), err)
	}

	r, pipe := io.Pipe() // a write waits for a reader
	defer r.Close()
	cancel(Stopped{syscall.SIGTERM})
	_, err := (&pausable{pipe, ctx.Done(), cause}).Write([]byte("x"))
	code, hints := 0, []string(nil)
	if err != nil {
		c, h := classify(err)
		code, hints = c, hintTexts(h)
	}
	if code != exitStopped || len(hints) > 0 {
		t.Errorf("%v: exit code %d, hints %q", err, code, hints)
	}

	// What is written after the signal is written, if somebody reads it.
	if n, err := w.Write([]byte(", after")); n != 7 || err != nil || got.String() != "before, after" {
		t.Errorf("%d, %v, %q", n, err, &got)
	}
}
