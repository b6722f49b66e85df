package cli

import "golang.org/x/sys/windows"

// beNice gives the process the lowest priority of the processor. Where that is
// not allowed it changes nothing.
func beNice() { windows.SetPriorityClass(windows.CurrentProcess(), windows.IDLE_PRIORITY_CLASS) }
