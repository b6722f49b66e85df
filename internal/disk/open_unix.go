//go:build unix

package disk

import "syscall"

// openFlags keep an open from following a last link, and from waiting for the
// other end of a pipe.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// noWait keeps an open from waiting for the other end of a pipe.
const noWait = syscall.O_NONBLOCK
