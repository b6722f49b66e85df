//go:build linux

package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// How often TestCut spoils a parent, if the environment does not say so.
const (
	cutsEnv  = "SLERPMERGE_TEST_CUTS"
	cutBytes = 24 << 20
)

// A parent that is spoiled at any moment, under any work, ends the run with exit
// code 5 and one error, unless the work is already done and right. A file that is
// of another length when it is opened is corrupt. No signal ends the process.
func TestCut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeParent(t, filepath.Join(dir, "a"), 1, cutBytes)
	makeParent(t, filepath.Join(dir, "b"), 2, cutBytes)
	program := func(args ...string) *exec.Cmd {
		c := exec.Command("slerpmerge", args...)
		c.Dir = dir
		return c
	}
	for _, args := range [][]string{
		{"merge", "a", "b", "-o", "done", "-q"},
		{"convert", "b", "-o", "bin", "--format", "bin", "-q"},
	} {
		if said, err := program(args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	works := []struct {
		args   []string
		victim string
		took   time.Duration
		want   string
	}{
		{args: []string{"merge", "a", "b", "-q", "-o", "out"}, victim: "b/model.safetensors"},
		{args: []string{"merge", "a", "b", "-q", "-o", "out", "--max-memory", "20MiB"}, victim: "a/model.safetensors"},
		{args: []string{"merge", "a", "bin", "-q", "-o", "out", "--format", "bin", "--dtype", "float16"}, victim: "bin/pytorch_model.bin"},
		{args: []string{"merge", "a", "b", "-q", "-o", "out", "--t", "1"}, victim: "b/model.safetensors"},
		{args: []string{"convert", "b", "-q", "-o", "out", "--dtype", "float32"}, victim: "b/model.safetensors"},
		{args: []string{"compare", "a", "bin"}, victim: "bin/pytorch_model.bin"},
		{args: []string{"verify", "done", "-q"}, victim: "b/model.safetensors"},
		{args: []string{"verify", "done", "-q"}, victim: "done/model.safetensors"},
		{args: []string{"inspect", "b", "--digest"}, victim: "b/model.safetensors"},
	}
	result := func() string {
		if _, err := os.Stat(filepath.Join(dir, "out")); err != nil {
			return ""
		}
		sums := folderSums(t, filepath.Join(dir, "out"))
		delete(sums, "slerpmerge.json")
		delete(sums, "README.md")
		return fmt.Sprint(sums)
	}
	for i := range works {
		w := &works[i]
		start := time.Now()
		if said, err := program(w.args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", w.args, err, said)
		}
		w.took = time.Since(start)
		w.want = result()
		if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	codes := map[int]int{}
	for k := range setNumber(t, cutsEnv, 20) {
		w := works[k%len(works)]
		victim := filepath.Join(dir, w.victim)
		sound := victim + ".sound"
		if err := os.Rename(victim, sound); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(sound)
		if err == nil {
			err = os.WriteFile(victim, content, 0o666)
		}
		if err == nil { // verify knows its parents by it
			st, _ := os.Stat(sound)
			err = os.Chtimes(victim, time.Time{}, st.ModTime())
		}
		if err != nil {
			t.Fatal(err)
		}
		fault, what := rng.IntN(4), ""
		c := program(w.args...)
		var stderr bytes.Buffer
		c.Stderr = &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		after := time.Duration(rng.Int64N(int64(w.took)))
		if k%4 > 0 {
			awaitMapped(c, victim)
			after /= 2
		}
		time.Sleep(after)
		switch size := int64(len(content)); fault {
		case 0, 1:
			to := rng.Int64N(size)
			what, err = fmt.Sprintf("cut to %d bytes", to), os.Truncate(victim, to)
		case 2:
			what, err = "grown", os.Truncate(victim, size+1)
		case 3:
			what, err = "replaced", os.WriteFile(victim+".new", content, 0o666)
			if err == nil {
				err = os.Rename(victim+".new", victim)
			}
		}
		if err != nil {
			t.Error(err)
		}
		c.Wait()
		code := c.ProcessState.ExitCode()
		codes[code]++
		said := stderr.String()
		fail := func(format string, args ...any) {
			t.Errorf("seed %d, try %d: %s, %s %s after %v: exit code %d, %s: %s",
				seed, k, strings.Join(w.args, " "), w.victim, what, after, code, fmt.Sprintf(format, args...), said)
		}
		switch {
		case strings.Contains(said, "goroutine ") || strings.Contains(said, "internal error") || code < 0:
			fail("a crash")
		case code == 0:
			if got := result(); got != w.want {
				fail("another result: %s, want %s", got, w.want)
			}
		case code == 5 || code == 4 && fault != 3:
			if !strings.Contains(said, filepath.Base(w.victim)) && !strings.Contains(said, "is not what its parents give") {
				fail("it does not name the file")
			}
		default:
			fail("want 5")
		}
		for _, name := range []string{"out", ".out.partial", ".out.lock"} {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(sound, victim); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("exit codes %v", codes)
	if codes[5] == 0 {
		t.Error("nothing was noticed")
	}
}

// awaitMapped waits until a program has mapped a file, or has ended.
func awaitMapped(c *exec.Cmd, path string) {
	for {
		maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", c.Process.Pid))
		if err != nil || bytes.Contains(maps, []byte(path)) {
			return
		}
		if stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid)); bytes.Contains(stat, []byte(") Z ")) {
			return
		}
	}
}
