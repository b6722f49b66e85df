//go:build linux

package main

import (
	"bytes"
	"fmt"
	"log"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A result is one run: seconds of the clock and of the processors, and the peak of
// resident bytes.
type result struct {
	wall, cpu float64
	rss       int64
}

func (r result) String() string {
	return fmt.Sprintf("%6.3f s  processor %.2f s  peak memory %d MiB", r.wall, r.cpu, r.rss>>20)
}

// time runs a candidate.
func (c candidate) time() result {
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	start := time.Now()
	if err := cmd.Run(); err != nil {
		log.Fatalf("%s: %v\n%s", c.name, err, errs.String())
	}
	r := result{wall: time.Since(start).Seconds()}
	r.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		r.rss = u.Maxrss << 10 // not less than ours, which it had before exec
	}
	if _, said, ok := strings.Cut(errs.String(), "peak memory "); ok {
		mib := 0.0
		if _, err := fmt.Sscan(said, &mib); err == nil {
			r.rss = int64(mib * (1 << 20))
		}
	}
	return r
}

// medians are those of each figure by itself.
func medians(list []result) result {
	median := func(of func(result) float64) float64 {
		var s []float64
		for _, r := range list {
			s = append(s, of(r))
		}
		slices.Sort(s)
		return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
	}
	return result{
		wall: median(func(r result) float64 { return r.wall }),
		cpu:  median(func(r result) float64 { return r.cpu }),
		rss:  int64(median(func(r result) float64 { return float64(r.rss) })),
	}
}

// walls lists the seconds in ascending order.
func walls(list []result) string {
	var s []float64
	for _, r := range list {
		s = append(s, r.wall)
	}
	slices.Sort(s)
	var b strings.Builder
	for _, w := range s {
		fmt.Fprintf(&b, " %.2f", w)
	}
	return b.String()[1:]
}
