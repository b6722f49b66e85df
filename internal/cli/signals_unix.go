//go:build unix

package cli

import (
	"os"
	"syscall"
)

// warnings are signals that batch systems send some time before they end a job:
// Slurm's --signal, Grid Engine's -notify.
var warnings = []os.Signal{syscall.SIGUSR1}

func signalName(sig os.Signal) string {
	if sig == syscall.SIGUSR1 {
		return "SIGUSR1"
	}
	return sig.String()
}
