//go:build unix

package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Batch systems warn a job by SIGUSR1 some time before they end it.
func TestWarningSignal(t *testing.T) {
	ctx, cancel := notifyStop(context.Background())
	defer cancel()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("SIGUSR1 does not cancel")
	}
	cause := context.Cause(ctx)
	if code, _ := classify(cause); code != exitStopped {
		t.Errorf("exit code %d, want %d", code, exitStopped)
	}
	if got, want := cause.Error(), "stopped by SIGUSR1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A page that goes into a pipe whose reader pauses keeps no run from ending.
func TestPausedPipe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s, err := newSaved("--html", path, "<!doctype html>")
	if err != nil {
		t.Fatal(err)
	}
	defer s.drop()
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(Stopped{syscall.SIGTERM})
	err = s.write(ctx, func(w io.Writer) error {
		_, err := w.Write(make([]byte, 4<<20)) // more than a pipe holds
		return err
	})
	if code, _ := classify(err); code != exitStopped || !errors.As(err, new(*unreadError)) {
		t.Errorf("%v: exit code %d", err, code)
	}
}
