//go:build !unix

package cli

import "os"

var warnings []os.Signal

func quitAtOnce() {}

func signalName(sig os.Signal) string { return sig.String() }
