package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sameStop is the time within which a repeated signal, other than Ctrl-C, belongs
// to the first one: supervisors send several, or one to the process and one to its
// group.
const sameStop = time.Second

// notifyStop gives a context that the first SIGINT, SIGTERM, SIGHUP or SIGUSR1
// cancels, with a Stopped as its cause. A second Ctrl-C ends the process at once,
// and so does any other second signal that comes later than sameStop.
func notifyStop(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	signal.Notify(signals, warnings...)
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	quitAtOnce()
	// A reader of our output that goes away must not end a merge.
	signal.Ignore(syscall.SIGPIPE)
	go func() {
		first := <-signals
		at := time.Now()
		cancel(Stopped{Signal: first})
		for sig := range signals {
			if kills(sig, time.Since(at)) {
				die(sig)
			}
		}
	}()
	return ctx, func() { cancel(nil) }
}

// kills reports whether a signal that follows the first one after some time
// ends the process at once.
func kills(sig os.Signal, after time.Duration) bool {
	return sig == os.Interrupt || after > sameStop
}

// die ends the process as sig does when nobody handles it, so that whoever
// waits for it sees the signal. Windows can't send one.
func die(sig os.Signal) {
	signal.Reset(sig)
	if self, err := os.FindProcess(os.Getpid()); err == nil && self.Signal(sig) == nil {
		time.Sleep(time.Second) // until it arrives
	}
	os.Exit(exitInterrupted)
}
