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

	"golang.org/x/sys/unix"
)

// The tests here need file systems of their own, which only root may mount.
// They are skipped where that can't be, unless this is set.
const requireEnv = "SLERPMERGE_TEST_FAULTS"

func cannot(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv(requireEnv) != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// rare marks a fault that is tried only where the environment asks for all:
// each takes seconds.
func rare(t *testing.T) {
	t.Helper()
	t.Parallel()
	if os.Getenv(requireEnv) == "" {
		t.Skipf("%s is not set", requireEnv)
	}
}

// A disk is a file system in an image file.
type disk struct {
	t     *testing.T
	image string
	dir   string // where it is mounted
}

// newDisk makes and mounts a file system of kind ext3 (which can't reserve
// space for a file) or ext4. The image is a sparse file in a folder.
func newDisk(t *testing.T, kind, folder string, size int64) *disk {
	t.Helper()
	d := &disk{t: t, image: filepath.Join(folder, "image"), dir: filepath.Join(t.TempDir(), "disk")}
	if err := os.Mkdir(d.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(d.image)
	if err == nil {
		err = f.Truncate(size)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs."+kind, "-q", "-F", "-E", "lazy_itable_init=0", d.image).CombinedOutput(); err != nil {
		cannot(t, "mkfs.%s: %v %s", kind, err, out)
	}
	d.mount()
	t.Cleanup(func() { unix.Unmount(d.dir, unix.MNT_DETACH) })
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.dir).CombinedOutput(); err != nil {
		cannot(d.t, "mount: %v %s", err, out)
	}
}

func (d *disk) unmount() {
	d.t.Helper()
	for range 50 {
		if err := unix.Unmount(d.dir, 0); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	d.t.Fatal("the disk stays busy")
}

// powerCut stops the file system at once, as if the power had gone: what is in
// memory is lost when it is mounted again.
func (d *disk) powerCut() {
	d.t.Helper()
	const shutdown, noFlush = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	f, err := os.Open(d.dir)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, noFlush); err != nil {
		cannot(d.t, "this kernel can't stop a file system: %v", err)
	}
}

func newTmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tmpfs")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		cannot(t, "mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

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

func newTrial(t *testing.T, out string) *trial {
	t.Helper()
	x := &trial{t: t, dir: t.TempDir(), out: out}
	makeParent(t, filepath.Join(x.dir, "a"), 1, faultBytes)
	makeParent(t, filepath.Join(x.dir, "b"), 2, faultBytes)
	x.reference()
	return x
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
		case <-time.After(time.Millisecond):
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
// on from where it was, or to begin anew.
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
		x.t.Errorf("gone on at %d: %s", at, log)
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

func TestFaultsOfOutput(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		cannot(t, "only root may mount file systems")
	}
	t.Run("a disk that is too small", func(t *testing.T) {
		t.Parallel()
		x := newTrial(t, filepath.Join(newTmpfs(t, "32m"), "out"))
		c := x.command(x.out)
		said, _ := c.CombinedOutput()
		if c.ProcessState.ExitCode() != 3 || !bytes.Contains(said, []byte("not enough space")) {
			t.Errorf("exit code %d: %s", c.ProcessState.ExitCode(), said)
		}
		if entries, err := os.ReadDir(filepath.Dir(x.out)); err != nil || len(entries) > 0 {
			t.Errorf("%v is left, %v", entries, err)
		}
	})
	t.Run("a disk that becomes full", func(t *testing.T) {
		t.Parallel()
		d := newDisk(t, "ext3", t.TempDir(), 200<<20)
		x := newTrial(t, filepath.Join(d.dir, "out"))
		filler := filepath.Join(d.dir, "filler")
		x.meet(func() {
			f, err := os.Create(filler)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			for block := make([]byte, 1<<20); ; {
				if _, err := f.Write(block); err != nil {
					return
				}
			}
		}, 3, "no space left on device", "hint: ", "the same command goes on from there")
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		x.finish(true)
	})
	t.Run("a disk whose power is cut", func(t *testing.T) {
		t.Parallel()
		for _, format := range []string{"bin", "safetensors"} {
			if format == "safetensors" && os.Getenv(requireEnv) == "" {
				break // .bin has all that is difficult
			}
			d := newDisk(t, "ext4", t.TempDir(), 200<<20)
			x := newTrial(t, filepath.Join(d.dir, "out"))
			x.args = []string{"--format", format, "--shard-size", "20MB"}
			if err := os.RemoveAll(filepath.Join(x.dir, "whole")); err != nil {
				t.Fatal(err)
			}
			x.reference()
			// An I/O error, or a read-only file system, to which ext4 may turn first.
			x.meet(d.powerCut, 1, "slerpmerge: error: ")
			d.unmount()
			d.mount()
			x.finish(true)
		}
	})
	t.Run("a disk that promises too much", func(t *testing.T) {
		rare(t)
		// Its blocks can't be written, which shows long after the call that wrote them.
		backing := newTmpfs(t, "64m")
		d := newDisk(t, "ext4", backing, 200<<20)
		x := newTrial(t, filepath.Join(d.dir, "out"))
		x.meet(nil, exitDisk)
		if err := unix.Mount("", backing, "", unix.MS_REMOUNT, "size=300m"); err != nil {
			t.Fatal(err)
		}
		d.unmount()
		d.mount()
		x.finish(true)
	})
	t.Run("a folder that is removed", func(t *testing.T) {
		rare(t)
		x := newTrial(t, filepath.Join(t.TempDir(), "out"))
		x.meet(func() {
			if err := os.RemoveAll(x.partial()); err != nil {
				t.Fatal(err)
			}
		}, 1, ".out.partial was removed")
		x.finish(false)
	})
	t.Run("a folder above that is removed", func(t *testing.T) {
		rare(t)
		above := filepath.Join(t.TempDir(), "above")
		x := newTrial(t, filepath.Join(above, "out"))
		x.meet(func() {
			if err := os.Rename(above, above+".old"); err != nil {
				t.Fatal(err)
			}
		}, 1, ".out.partial was removed")
		if err := os.Rename(above+".old", above); err != nil {
			t.Fatal(err)
		}
		x.finish(true)
	})
	t.Run("a disk that may only be read", func(t *testing.T) {
		rare(t)
		d := newDisk(t, "ext4", t.TempDir(), 200<<20)
		x := newTrial(t, filepath.Join(d.dir, "out"))
		if err := unix.Mount("", d.dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			t.Fatal(err)
		}
		c := x.command(x.out)
		said, _ := c.CombinedOutput()
		if c.ProcessState.ExitCode() != 1 || !bytes.Contains(said, []byte("read-only file system")) {
			t.Errorf("exit code %d: %s", c.ProcessState.ExitCode(), said)
		}
		if err := unix.Mount("", d.dir, "", unix.MS_REMOUNT, ""); err != nil {
			t.Fatal(err)
		}
		x.finish(false)
	})
}

func TestFaultsOfParents(t *testing.T) {
	t.Parallel()
	weights := func(x *trial) string { return filepath.Join(x.dir, "b", "model.safetensors") }
	restore := func(t *testing.T, from, to string) {
		t.Helper()
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, b, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		fault   func(path string) error
		undo    func(t *testing.T, path, copy string)
		text    string
		resumes bool
	}{
		"truncated": {func(p string) error { return os.Truncate(p, 1<<20) }, func(t *testing.T, p, c string) { restore(t, c, p) }, "shrank from", false},
		"grown": {func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.Write([]byte{0})
				f.Close()
			}
			return err
		}, func(t *testing.T, p, c string) { restore(t, c, p) }, "grew from", false},
		"replaced": {func(p string) error {
			restore(t, p, p+".new")
			return os.Rename(p+".new", p)
		}, func(*testing.T, string, string) {}, "was replaced", false},
		"moved away": {func(p string) error { return os.Rename(p, p+".away") }, func(t *testing.T, p, _ string) {
			if err := os.Rename(p+".away", p); err != nil {
				t.Fatal(err)
			}
		}, "was removed", true},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "truncated" {
				t.Parallel()
			} else {
				rare(t)
			}
			x := newTrial(t, filepath.Join(t.TempDir(), "out"))
			spare := filepath.Join(t.TempDir(), "spare")
			restore(t, weights(x), spare)
			x.meet(func() {
				if err := c.fault(weights(x)); err != nil {
					t.Fatal(err)
				}
			}, 5, c.text, "b/model.safetensors", "hint: run the same command again")
			if _, err := os.Stat(x.partial()); (err == nil) != c.resumes {
				t.Errorf("%s: %v", x.partial(), err)
			}
			c.undo(t, weights(x), spare)
			x.finish(c.resumes)
		})
	}
	t.Run("on a disk that fails to read", func(t *testing.T) {
		rare(t)
		if os.Geteuid() != 0 {
			cannot(t, "only root may mount file systems")
		}
		d := newDisk(t, "ext4", t.TempDir(), 128<<20)
		x := newTrial(t, filepath.Join(t.TempDir(), "out"))
		if err := os.RemoveAll(filepath.Join(x.dir, "b")); err != nil {
			t.Fatal(err)
		}
		makeParent(t, filepath.Join(d.dir, "b"), 2, faultBytes)
		if err := os.Symlink(filepath.Join(d.dir, "b"), filepath.Join(x.dir, "b")); err != nil {
			t.Fatal(err)
		}
		d.unmount()
		d.mount() // with nothing of it in the page cache
		image, err := os.ReadFile(d.image)
		if err != nil {
			t.Fatal(err)
		}
		x.meet(func() {
			f, err := os.OpenFile(weights(x), os.O_RDONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) // what was read ahead
			f.Close()
			if err := os.Truncate(d.image, 1<<20); err != nil {
				t.Fatal(err)
			}
		}, 1, "b/model.safetensors", "input/output error")
		unix.Unmount(d.dir, unix.MNT_DETACH)
		if err := os.WriteFile(d.image, image, 0o666); err != nil {
			t.Fatal(err)
		}
		d.mount()
		x.finish(true)
	})
}

// A merge is content with little memory, page cache included, and with little
// address space.
func TestScarceMemory(t *testing.T) {
	t.Parallel()
	x := newTrial(t, filepath.Join(t.TempDir(), "out"))
	t.Run("ulimit -v", func(t *testing.T) {
		x := *x
		x.t, x.out = t, filepath.Join(t.TempDir(), "out")
		limited := exec.Command("sh", "-c", `ulimit -v 2000000 && exec "$@"`, "sh", "slerpmerge", "merge", "a", "b", "-o", x.out, "-q")
		limited.Dir = x.dir
		// A test may be linked with the C library, which the released program is
		// not. Each of its arenas takes 128 MiB of addresses.
		limited.Env = append(os.Environ(), "MALLOC_ARENA_MAX=1")
		if said, err := limited.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		got := folderSums(t, x.out)
		delete(got, "slerpmerge.json")
		if fmt.Sprint(got) != fmt.Sprint(x.want) {
			t.Errorf("other files: %v, want %v", got, x.want)
		}
	})
	t.Run("cgroup", func(t *testing.T) {
		group, limit := newGroup(t)
		if err := os.WriteFile(filepath.Join(group, limit), []byte("134217728"), 0o666); err != nil {
			cannot(t, "limiting a cgroup: %v", err)
		}
		dir := t.TempDir()
		makeParent(t, filepath.Join(dir, "a"), 1, 256<<20)
		makeParent(t, filepath.Join(dir, "b"), 2, 256<<20)
		c := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, group, "slerpmerge", "merge", "a", "b", "-o", "out", "-q")
		c.Dir = dir
		if said, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	})
}

// newGroup makes a cgroup for memory, and names the file of its limit.
func newGroup(t *testing.T) (dir, limit string) {
	t.Helper()
	for _, c := range []struct{ root, limit string }{{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}} {
		dir := filepath.Join(c.root, fmt.Sprintf("slerpmerge-test-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o777); err != nil {
			continue
		}
		t.Cleanup(func() { os.Remove(dir) })
		if _, err := os.Stat(filepath.Join(dir, c.limit)); err == nil {
			return dir, c.limit
		}
	}
	cannot(t, "no cgroup can be made")
	return "", ""
}
