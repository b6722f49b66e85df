package cli

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// beNice gives the process the lowest priority of processor and disk. Where
// that is not allowed it changes nothing.
func beNice() {
	const (
		ioprioWhoProcess = 1
		ioprioIdle       = 3 << 13 // class 3, which the disk serves when it has nothing else to do
	)
	// Linux has priorities of threads; those to come take over their maker's.
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, t := range tasks {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			unix.Setpriority(unix.PRIO_PROCESS, id, 19)
			unix.Syscall(unix.SYS_IOPRIO_SET, ioprioWhoProcess, uintptr(id), ioprioIdle)
		}
	}
}
