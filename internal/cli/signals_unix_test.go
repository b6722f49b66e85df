//go:build unix

package cli

import (
	"context"
	"os"
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
