package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestFaults lets disks and parents fail during merges of the same parents.
func TestFaults(t *testing.T) {
	t.Parallel()
	shared := newTrials(t)
	t.Run("output", shared.faultsOfOutput)
	t.Run("parents", shared.faultsOfParents)
	t.Run("memory", shared.scarceMemory)
}

func (shared *trials) faultsOfOutput(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		cannot(t, "only root may mount file systems")
	}
	t.Run("a disk that is too small", func(t *testing.T) {
		t.Parallel()
		x := shared.start(t, filepath.Join(newTmpfs(t, "32m"), "out"))
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
		x := shared.start(t, filepath.Join(d.dir, "out"))
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
		}, 3, "no space left on device", "hint: ", "the same command resumes there")
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
			x := shared.start(t, filepath.Join(d.dir, "out"))
			x.args = []string{"--format", format, "--shard-size", "20MB"}
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
		x := shared.start(t, filepath.Join(d.dir, "out"))
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
		x := shared.start(t, filepath.Join(t.TempDir(), "out"))
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
		x := shared.start(t, filepath.Join(above, "out"))
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
		x := shared.start(t, filepath.Join(d.dir, "out"))
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

func (shared *trials) faultsOfParents(t *testing.T) {
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
			x := shared.start(t, filepath.Join(t.TempDir(), "out"))
			x.own()
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
		x := shared.start(t, filepath.Join(t.TempDir(), "out"))
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
func (shared *trials) scarceMemory(t *testing.T) {
	t.Parallel()
	x := shared.start(t, "")
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
		if err := os.WriteFile(filepath.Join(group, limit), []byte("83886080"), 0o666); err != nil {
			cannot(t, "limiting a cgroup: %v", err)
		}
		c := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec "$@"`, group, "slerpmerge", "merge", "a", "b", "-o", filepath.Join(t.TempDir(), "out"), "-q")
		c.Dir = x.dir
		if said, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	})
}
