package writer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"slerpmerge/internal/disk"
)

// mount mounts a tmpfs of 8 MiB.
func mount(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		t.Skip("a full disk takes a file system of our own, and only root may mount one: ", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

func TestFullDisk(t *testing.T) {
	base := mount(t)
	const size = 6 << 20
	l := &Layout{Files: []File{
		{Name: "a", Size: size, Extents: []Extent{{Len: size}}},
		{Name: "b", Size: size, Extents: []Extent{{Tensor: 1, Len: size}}},
	}}
	free, err := disk.FreeSpace(base)
	must(t, err)
	if free <= size || free > 8<<20 {
		t.Fatalf("%d bytes free on 8 MiB", free)
	}
	out := filepath.Join(base, "out")
	wantFull := func(err error, cause error) {
		t.Helper()
		var space *NoSpaceError
		if !errors.As(err, &space) || space.Need != 2*size || space.Free >= 2*size || space.Err != cause {
			t.Errorf("error %v (%+v), want cause %v", err, space, cause)
		}
	}

	o := create(t, out, Options{})
	wantFull(o.Presize(t.Context(), l), nil)
	wantList(t, filepath.Join(o.above, o.partial))
	must(t, o.Abort())

	// Where the check sees nothing, reserving does.
	sys := realSystem()
	sys.freeBytes = func(string) (int64, error) { return 1 << 40, nil }
	o = create(t, out, Options{sys: sys})
	wantFull(o.Presize(t.Context(), l), unix.ENOSPC)
	must(t, o.Abort())

	// Where nothing can be reserved, writing does.
	sys.reserve = func(*os.File, int64) error { return errors.ErrUnsupported }
	o = create(t, out, Options{sys: sys})
	must(t, o.Presize(t.Context(), l))
	must(t, o.Write(0, make([]byte, size), 0, nil))
	wantFull(o.Write(1, make([]byte, size), 0, nil), unix.ENOSPC)
	must(t, o.Abort())
	wantList(t, base)
	if after, err := disk.FreeSpace(base); err != nil || after != free {
		t.Errorf("%d bytes free after Abort, %d before; %v", after, free, err)
	}
}

func TestMountPoint(t *testing.T) {
	base := mount(t)
	if _, err := Create(base, Options{}); !errors.As(err, new(*UnsafeError)) {
		t.Errorf("Create at a mount point: %v", err)
	}
	wantList(t, base)
	o := create(t, filepath.Join(base, "out"), Options{})
	must(t, o.Publish())
	wantList(t, base, "out")
}

func TestModes(t *testing.T) {
	for _, umask := range []int{0o022, 0o077, 0o002, 0} {
		base := t.TempDir()
		out := filepath.Join(base, "above", "out")
		old := unix.Umask(umask)
		err := func() error {
			l, data := sample(t)
			o := create(t, out, Options{})
			must(t, o.Presize(t.Context(), l))
			fill(t, o, l, data, 100)
			must(t, o.Put("config.json", nil))
			must(t, o.Put("additional_chat_templates/x.jinja", nil))
			return o.Publish()
		}()
		unix.Umask(old)
		must(t, err)
		folder, file := os.FileMode(0o777&^umask), os.FileMode(0o666&^umask)
		for name, want := range map[string]os.FileMode{
			"":                                  folder,
			"..":                                folder,
			"additional_chat_templates":         folder,
			"additional_chat_templates/x.jinja": file,
			"config.json":                       file,
			"model-00001-of-00003.safetensors":  file,
			"model.safetensors.index.json":      file,
		} {
			fi, err := os.Stat(filepath.Join(out, name))
			must(t, err)
			if got := fi.Mode().Perm(); got != want {
				t.Errorf("umask %o: %q has %o, want %o", umask, name, got, want)
			}
		}
	}
}

// A folder has two paths where it is mounted twice.
func TestBindMount(t *testing.T) {
	base := mount(t)
	alpha, twin := filepath.Join(base, "alpha"), filepath.Join(base, "twin")
	model(t, alpha)
	must(t, os.Mkdir(twin, 0o777))
	must(t, unix.Mount(alpha, twin, "", unix.MS_BIND, ""))
	defer unix.Unmount(twin, unix.MNT_DETACH)
	if _, err := Create(filepath.Join(twin, "merged"), Options{Inputs: []string{alpha}}); !errors.As(err, new(*UnsafeError)) {
		t.Errorf("inside an input by its other path: %v", err)
	}
	wantList(t, alpha, "config.json")
}
