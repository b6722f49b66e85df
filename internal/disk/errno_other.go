//go:build !windows

package disk

import "syscall"

// fullErrors are the errors of a file system without room.
var fullErrors = []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}
