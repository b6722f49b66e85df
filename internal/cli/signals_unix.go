//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// warnings are signals that batch systems send some time before they end a job:
// Slurm's --signal, Grid Engine's -notify.
var warnings = []os.Signal{syscall.SIGUSR1}

// quitAtOnce has SIGQUIT, which a terminal sends for Ctrl-\, end the process
// without the stacks that the runtime prints. Work recorded in a journal is
// kept.
func quitAtOnce() {
	if signal.Ignored(syscall.SIGQUIT) { // in the background of a script
		return
	}
	quit := make(chan os.Signal, 1)
	signal.Notify(quit, syscall.SIGQUIT)
	go func() {
		<-quit
		os.Stderr.WriteString("slerpmerge: error: ended at once by SIGQUIT\n")
		os.Exit(exitQuit)
	}()
}

func signalName(sig os.Signal) string {
	if sig == syscall.SIGUSR1 {
		return "SIGUSR1"
	}
	return sig.String()
}
