package cli

import (
	"os"
	"syscall"
	"testing"
	"time"
)

func TestSecondSignal(t *testing.T) {
	for _, c := range []struct {
		sig   os.Signal
		after time.Duration
		kills bool
	}{
		{syscall.SIGTERM, 0, false},
		{syscall.SIGTERM, 999 * time.Millisecond, false},
		{syscall.SIGTERM, 1001 * time.Millisecond, true},
		{syscall.SIGHUP, 10 * time.Millisecond, false},
		{syscall.SIGHUP, time.Minute, true},
		{os.Interrupt, 0, true},
		{os.Interrupt, time.Minute, true},
	} {
		if got := kills(c.sig, c.after); got != c.kills {
			t.Errorf("%v after %v: kills is %v, want %v", c.sig, c.after, got, c.kills)
		}
	}
}
