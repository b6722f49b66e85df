//go:build linux

// Bench times whole merges against what no program can avoid doing with such
// files: reading both parents and writing one of them.
//
//	go run ./testdata/bench -shape 1b                # the ratio, warm cache
//	go run ./testdata/bench -shape 1b -cold          # cold cache (as root)
//	go run ./testdata/bench -shape 1b -formats       # from and to PyTorch .bin, against safetensors
//	go run ./testdata/bench -shape 1b -python PYTHON # convert a .bin, against torch.load and save_file
//	go run ./testdata/bench -shape 3b -pair-only     # only make the pair
//	go run ./testdata/bench -shape 405b -sparse -pair-only
//
// The candidates run in turn, in random order, and medians are compared.
// Before every run the last output is deleted and some memory touched and
// freed: on a virtual machine, memory that was never touched is slow at first.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"slerpmerge/writer"
)

// shardSize cuts the pairs of 1B shape in three files.
const shardSize = 1_000_000_000

func main() {
	log.SetFlags(0)
	dir := flag.String("dir", filepath.Join(os.TempDir(), "slerpmerge-bench"), "folder for the pair and the outputs")
	name := flag.String("shape", "1b", "1b, 3b, 13b, 70b or 405b: the shapes of Llama models")
	layers := flag.Int("layers", 0, "cut the model to so many layers")
	sparse := flag.Bool("sparse", false, "holes for weights, except a few elements in every tensor")
	pairOnly := flag.Bool("pair-only", false, "make the pair and stop")
	formats := flag.Bool("formats", false, "time each way from safetensors or .bin to safetensors or .bin")
	python := flag.String("python", "", "convert one .bin to safetensors, against this Python with torch and safetensors")
	rounds := flag.Int("rounds", 7, "runs of each candidate")
	cold := flag.Bool("cold", false, "drop the page cache before every run (needs root)")
	warm := flag.Int("touch", 4, "GiB of memory to touch and free before every run")
	binary := flag.String("binary", "", "slerpmerge to be timed; built when empty")
	other := flag.String("other", "", "a second slerpmerge to be timed beside it")
	args := flag.String("args", "", "more arguments for merge")
	flag.Parse()

	sh, ok := shapes[*name]
	if !ok {
		log.Fatalf("no shape %q", *name)
	}
	if *layers > 0 {
		sh.layers = *layers
	}
	check(os.MkdirAll(*dir, 0o777))
	a, b := filepath.Join(*dir, *name+"-a"), filepath.Join(*dir, *name+"-b")
	binA, binB, oneBin := a+"-bin", b+"-bin", a+"-one-bin"
	if *python != "" {
		makeModel(oneBin, sh, 1, *sparse, writer.Bin, math.MaxInt64)
	} else {
		makeModel(a, sh, 1, *sparse, writer.Safetensors, shardSize)
		makeModel(b, sh, 2, *sparse, writer.Safetensors, shardSize)
	}
	if *formats {
		makeModel(binA, sh, 1, *sparse, writer.Bin, shardSize)
		makeModel(binB, sh, 2, *sparse, writer.Bin, shardSize)
	}
	if *pairOnly {
		fmt.Println(a)
		fmt.Println(b)
		return
	}
	if *binary == "" {
		*binary = filepath.Join(*dir, "slerpmerge")
		run("go", "build", "-o", *binary, ".")
	}
	out := filepath.Join(*dir, "out")
	cat := func(a, b string) string { return fmt.Sprintf("cat %s/model* %s/model* >/dev/null", a, b) }
	catBin := fmt.Sprintf("cat %s/pytorch_model* %s/pytorch_model* >/dev/null", binA, binB)
	merge := func(binary, a, b string, more ...string) []string {
		return slices.Concat([]string{binary, "merge", a, b, "-o", out, "-t", "0.3"}, more, strings.Fields(*args))
	}
	var candidates []candidate
	if *python != "" {
		file := filepath.Join(oneBin, "pytorch_model.bin")
		candidates = append(candidates, candidate{"torch", []string{*python, "testdata/bench/convert.py", file, out}, "cat " + file + " >/dev/null"},
			candidate{"slerpmerge", []string{*binary, "convert", file, "-o", out}, "cat " + file + " >/dev/null"})
	} else if *formats {
		for _, to := range []string{"safetensors", "bin"} {
			candidates = append(candidates,
				candidate{"safetensors to " + to, merge(*binary, a, b, "--format", to), cat(a, b)},
				candidate{"bin to " + to, merge(*binary, binA, binB, "--format", to), catBin})
		}
	} else {
		floor := fmt.Sprintf("%s; cp -r %s %s; sync", cat(a, b), a, out)
		candidates = append(candidates, candidate{"cat+cp+sync", []string{"sh", "-c", floor}, cat(a, b)},
			candidate{"slerpmerge", merge(*binary, a, b), cat(a, b)})
		if *other != "" {
			candidates = append(candidates, candidate{"other", merge(*other, a, b), cat(a, b)})
		}
	}
	times := make([][]float64, len(candidates))
	for round := range *rounds + 1 { // the first is not counted
		for _, i := range rand.Perm(len(candidates)) {
			check(os.RemoveAll(out))
			run("sync")
			if *cold {
				check(os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0))
			} else {
				run("sh", "-c", candidates[i].warm)
			}
			touch(*warm) // last: a host takes freed memory back within seconds
			seconds, note := candidates[i].time()
			fmt.Printf("round %d  %-26s %6.3f s  %s\n", round, candidates[i].name, seconds, note)
			if round > 0 {
				times[i] = append(times[i], seconds)
			}
		}
	}
	check(os.RemoveAll(out))
	for i, c := range candidates {
		slices.Sort(times[i])
		m := median(times[i])
		fmt.Printf("%-26s median %.3f s (%.3f to %.3f), %.2f times %s\n", c.name, m, times[i][0], times[i][len(times[i])-1], m/median(times[0]), candidates[0].name)
	}
}

type candidate struct {
	name string
	argv []string
	warm string // brings its inputs to the page cache
}

func (c candidate) time() (seconds float64, note string) {
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	start := time.Now()
	if err := cmd.Run(); err != nil {
		log.Fatalf("%s: %v\n%s", c.name, err, errs.String())
	}
	seconds = time.Since(start).Seconds()
	if i := strings.Index(errs.String(), "peak memory"); i >= 0 {
		note, _, _ = strings.Cut(errs.String()[i:], ";")
	} else if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		note = fmt.Sprintf("peak memory %d MiB", u.Maxrss>>10)
	}
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return seconds, fmt.Sprintf("cpu %.2f s  %s", cpu.Seconds(), note)
}

// touch maps, touches and frees memory in a process of its own.
func touch(gib int) {
	if gib == 0 {
		return
	}
	if os.Getenv("BENCH_TOUCH") == "" {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "BENCH_TOUCH="+strconv.Itoa(gib))
		check(cmd.Run())
	}
}

func init() {
	if n, err := strconv.Atoi(os.Getenv("BENCH_TOUCH")); err == nil {
		for range n {
			b := make([]byte, 1<<30)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			hold = append(hold, b)
		}
		os.Exit(0)
	}
}

var hold [][]byte

func median(s []float64) float64 { return (s[(len(s)-1)/2] + s[len(s)/2]) / 2 }

func run(name string, args ...string) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	check(cmd.Run())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
