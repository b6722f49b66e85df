package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A trial is a merge that meets a fault.
type trial struct {
	t    *testing.T
	dir  string // holds the parents a and b
	out  string
	want map[string]string
	args []string
}

// exitDisk stands for 1 or 3.
const exitDisk = -1

const faultBytes = 64 << 20

// trials makes the parents of trials, which share them, and what comes of them.
type trials struct {
	dir  string
	want map[string]string
}

func newTrials(t *testing.T) *trials {
	t.Helper()
	x := &trial{t: t, dir: t.TempDir()}
	makeParent(t, filepath.Join(x.dir, "a"), 1, faultBytes)
	makeParent(t, filepath.Join(x.dir, "b"), 2, faultBytes)
	x.reference()
	return &trials{x.dir, x.want}
}

func (shared *trials) start(t *testing.T, out string) *trial {
	t.Helper()
	x := &trial{t: t, dir: t.TempDir(), out: out, want: shared.want}
	for _, name := range []string{"a", "b"} {
		if err := os.Symlink(filepath.Join(shared.dir, name), filepath.Join(x.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// own gives the trial a parent b that it may change.
func (x *trial) own() {
	x.t.Helper()
	b := filepath.Join(x.dir, "b")
	shared, err := os.Readlink(b)
	if err == nil {
		err = os.Remove(b)
	}
	if err == nil {
		err = os.CopyFS(b, os.DirFS(shared))
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// reference makes what must come out in the end.
func (x *trial) reference() {
	x.t.Helper()
	if err := x.command("whole").Run(); err != nil {
		x.t.Fatal(err)
	}
	x.want = folderSums(x.t, filepath.Join(x.dir, "whole"))
	delete(x.want, "slerpmerge.json") // a replaced parent has another inode
}

func (x *trial) command(out string) *exec.Cmd {
	c := exec.Command("slerpmerge", append([]string{"merge", "a", "b", "-o", out, "-q"}, x.args...)...)
	c.Dir = x.dir
	return c
}

// meet starts a merge, lets the fault happen once some of it is in the journal
// (nil happens by itself), and wants it to end with an exit code and texts on standard error.
func (x *trial) meet(fault func(), code int, texts ...string) {
	x.t.Helper()
	x.args = append(x.args, "--io-limit", "60MB/s")
	c := x.command(x.out)
	x.args = x.args[:len(x.args)-2]
	stderr := new(bytes.Buffer)
	c.Stderr = stderr
	if err := c.Start(); err != nil {
		x.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for fault != nil {
		// With the second mark the first one is on the disk.
		if b, _ := os.ReadFile(filepath.Join(x.partial(), ".slerpmerge.journal")); bytes.Count(b, []byte("\n")) > 2 {
			break
		}
		select {
		case <-ended:
			x.t.Fatalf("it ended before anything could happen: %s", stderr)
		case <-time.After(5 * time.Millisecond):
		}
	}
	if fault != nil {
		c.Process.Signal(syscall.SIGSTOP)
		fault()
		c.Process.Signal(syscall.SIGCONT)
	}
	<-ended
	x.t.Logf("%s", stderr)
	got := c.ProcessState.ExitCode()
	if code == exitDisk { // kernels differ in which of the two they report
		if code = 1; strings.Contains(stderr.String(), "no space left on device") {
			code = 3
		}
	}
	if got != code {
		x.t.Fatalf("exit code %d, want %d: %s", got, code, stderr)
	}
	for _, text := range texts {
		if !strings.Contains(stderr.String(), text) {
			x.t.Errorf("it does not say %q: %s", text, stderr)
		}
	}
	if strings.Count(stderr.String(), "slerpmerge: error: ") != 1 || strings.Contains(stderr.String(), "goroutine ") {
		x.t.Errorf("not one error: %s", stderr)
	}
	if _, err := os.Stat(x.out); err == nil {
		x.t.Errorf("%s exists", x.out)
	}
}

func (x *trial) partial() string {
	return filepath.Join(filepath.Dir(x.out), "."+filepath.Base(x.out)+".partial")
}

// finish runs the merge again, now that the cause is gone, and wants it to go
// on from where it was, or to start over.
func (x *trial) finish(resumes bool) {
	x.t.Helper()
	c := x.command(x.out)
	c.Args = append(c.Args, "--log-format", "json")
	c.Args[len(c.Args)-3-len(x.args)] = "--no-progress" // in the place of -q
	log, err := c.CombinedOutput()
	if err != nil {
		x.t.Fatalf("the second run: %v: %s", err, log)
	}
	if at := resumedAt(log); at > 0 != resumes {
		x.t.Errorf("resumed at %d: %s", at, log)
	}
	got := folderSums(x.t, x.out)
	delete(got, "slerpmerge.json")
	if fmt.Sprint(got) != fmt.Sprint(x.want) {
		x.t.Errorf("other files: %v, want %v", got, x.want)
	}
	for _, name := range []string{x.partial(), strings.TrimSuffix(x.partial(), "partial") + "lock"} {
		if _, err := os.Lstat(name); err == nil {
			x.t.Errorf("%s is left", name)
		}
	}
}
