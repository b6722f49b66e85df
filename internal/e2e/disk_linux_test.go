package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
