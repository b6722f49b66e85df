//go:build unix && !linux

package cli

import "golang.org/x/sys/unix"

// beNice gives the process the lowest priority of the processor. Where that is
// not allowed it changes nothing.
func beNice() { unix.Setpriority(unix.PRIO_PROCESS, 0, 19) }
