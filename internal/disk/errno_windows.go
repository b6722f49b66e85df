package disk

import "golang.org/x/sys/windows"

// fullErrors are the errors of a file system without room.
var fullErrors = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED}
