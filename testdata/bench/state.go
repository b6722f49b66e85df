//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stateNames are the states that the machine can be brought into before a run:
//
//	found     the inputs are in the page cache, the rest is left as it is
//	touched   and some memory was touched and freed: on a virtual machine, memory that was never touched is slow at first
//	dropped   the page cache was dropped and the inputs were read again, in large folios
//	returned  the inputs are there in single pages, and what memory is free has lain so until the host took it back
//	half      every other stretch of the inputs is in the page cache, in large folios
//	cold      nothing is in the page cache
var stateNames = []string{"found", "touched", "dropped", "returned", "half", "cold"}

const (
	touchGiB = 4
	// maxReturned bounds what is touched and freed, GiB: the machine may have other work.
	maxReturned = 6
	// lies is how long memory lies free until the host has taken it.
	lies = 5 * time.Second
	// evicted is the length of the stretches of half.
	evicted = 64 << 20
	// randomReaders read at random at a time: one alone waits for the disk.
	randomReaders = 8
)

// bring brings the machine into a state.
func bring(state string, files []string) {
	if state != "found" && state != "touched" {
		check(os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0))
	}
	if state != "cold" {
		for _, name := range files {
			read(name, state)
		}
	}
	switch state { // last: a host takes freed memory back within seconds
	case "touched", "half", "cold":
		touch(touchGiB)
	case "returned":
		touch(min(freeGiB()*3/4, maxReturned))
		time.Sleep(lies)
	}
}

// read brings a file to the page cache: in large folios, or in single pages, which
// Linux makes of what is read at random.
func read(name, state string) {
	f, err := os.Open(name)
	check(err)
	defer f.Close()
	st, err := f.Stat()
	check(err)
	readers := 1
	if state == "returned" {
		check(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
		readers = randomReaders
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range readers {
		all.Go(func() {
			buf := make([]byte, 1<<20)
			for {
				at := next.Add(int64(len(buf))) - int64(len(buf))
				if at >= st.Size() {
					return
				}
				if _, err := f.ReadAt(buf, at); err != io.EOF {
					check(err)
				}
			}
		})
	}
	all.Wait()
	for at := int64(0); state == "half" && at < st.Size(); at += 2 * evicted {
		check(unix.Fadvise(int(f.Fd()), at, evicted, unix.FADV_DONTNEED))
	}
}

// evict takes a file out of the page cache.
func evict(name string) {
	f, err := os.Open(name)
	check(err)
	defer f.Close()
	check(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}

// freeGiB is the memory that nothing uses.
func freeGiB() int {
	text, err := os.ReadFile("/proc/meminfo")
	check(err)
	_, text2, _ := strings.Cut(string(text), "MemFree:")
	kib := 0
	_, err = fmt.Sscan(text2, &kib)
	check(err)
	return kib >> 20
}

// touch maps, touches and frees memory in a process of its own.
func touch(gib int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), touchEnv+"="+strconv.Itoa(gib))
	check(cmd.Run())
}

const touchEnv = "BENCH_TOUCH"

func init() {
	n, err := strconv.Atoi(os.Getenv(touchEnv))
	if err != nil {
		return
	}
	for range n {
		b, err := unix.Mmap(-1, 0, 1<<30, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
		check(err)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
	}
	os.Exit(0)
}
