//go:build !unix

package cli

import "os"

var warnings []os.Signal

func signalName(sig os.Signal) string { return sig.String() }
