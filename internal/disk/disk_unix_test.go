//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// his is ownerOf, but files whose names begin with "his" are somebody else's.
func his(fi fs.FileInfo) (uint32, bool) {
	uid, ok := ownerOf(fi)
	if strings.HasPrefix(fi.Name(), "his") {
		uid++
	}
	return uid, ok
}

// make makes the things that a stranger could leave.
func things(t *testing.T, dir string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"file", "his file", "open file", "linked file"} {
		must(t, os.WriteFile(in(name), nil, 0o600))
	}
	must(t, os.Chmod(in("open file"), 0o620))
	must(t, os.Link(in("linked file"), in("other name")))
	for _, name := range []string{"folder", "his folder", "open folder"} {
		must(t, os.Mkdir(in(name), 0o700))
	}
	must(t, os.Chmod(in("open folder"), 0o777))
	must(t, os.Symlink("file", in("link")))
	must(t, os.Symlink("file", in("his link")))
	must(t, syscall.Mkfifo(in("pipe"), 0o600))
}

func TestVet(t *testing.T) {
	_, dir := folder(t)
	must(t, os.Chmod(dir, 0o755)) // modes count
	d, err := OpenFolder(dir)
	must(t, err)
	defer d.Close()
	d.owners = his
	things(t, dir)
	for _, c := range []struct {
		name, reason string
		owner        bool // is named
		goes         bool // may be removed all the same
	}{
		{"file", "", false, true},
		{"his file", "belongs to", true, false},
		{"open file", "can be written to by other users", false, true},
		{"linked file", "has 2 links", false, false},
		{"folder", "", false, true},
		{"his folder", "belongs to", true, false},
		{"open folder", "can be written to by other users", false, true},
		{"link", "is a symbolic link", false, false},
		{"his link", "is a symbolic link that belongs to", true, false},
		{"pipe", "is a named pipe", false, false},
	} {
		fi, err := d.Lstat(c.name)
		must(t, err)
		err = d.Vet(c.name, fi)
		var foreign *ForeignError
		switch {
		case c.reason == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.reason != "" && (!errors.As(err, &foreign) || !strings.HasPrefix(foreign.Reason, c.reason) || (foreign.Owner != "") != c.owner || foreign.Path != filepath.Join(dir, c.name)):
			t.Errorf("%s: %+v, want %q", c.name, err, c.reason)
		}
		if err := d.VetOwner(c.name, fi); (err == nil) != c.goes {
			t.Errorf("%s, to be removed: %v", c.name, err)
		}
	}
}

// Where a file that we make is somebody else's, or open to all, that says
// nothing of others.
func TestTrust(t *testing.T) {
	d, dir := folder(t)
	must(t, os.Chmod(dir, 0o755))
	d.owners = func(fi fs.FileInfo) (uint32, bool) { return effectiveUser() + 1, true }
	things(t, dir)
	for name, ok := range map[string]bool{"file": true, "open folder": true, "link": false, "linked file": false, "pipe": false} {
		fi, err := d.Lstat(name)
		must(t, err)
		if err := d.Vet(name, fi); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !d.Strange() {
		t.Error("it is not known to be strange")
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if strings.Contains(e.Name(), "probe") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// No open waits, and none is through a link.
func TestOpen(t *testing.T) {
	d, dir := folder(t)
	things(t, dir)
	must(t, os.Symlink("pipe", filepath.Join(dir, "link to the pipe")))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for name, ok := range map[string]bool{"file": true, "link": false, "pipe": false, "folder": false, "link to the pipe": false, "nothing": false} {
			f, err := d.Open(name, os.O_RDWR)
			if (err == nil) != ok {
				t.Errorf("Folder.Open of %s: %v", name, err)
			}
			if err == nil {
				f.Close()
			}
		}
		for name, ok := range map[string]bool{"file": true, "link": true, "pipe": false, "folder": false, "link to the pipe": false} {
			f, err := OpenRegular(filepath.Join(dir, name))
			if (err == nil) != ok || !ok && !errors.As(err, new(*KindError)) {
				t.Errorf("OpenRegular of %s: %v", name, err)
			}
			if err == nil {
				f.Close()
			}
		}
		if _, err := OpenRegular("/dev/null"); !errors.As(err, new(*KindError)) {
			t.Errorf("a device: %v", err)
		}
		if _, err := OpenPipe(filepath.Join(dir, "pipe")); !errors.Is(err, syscall.ENXIO) {
			t.Errorf("a pipe without a reader: %v", err)
		}
		for _, name := range []string{"file", "link", "pipe", "folder"} {
			if _, err := d.Create(name, 0o666); !errors.Is(err, fs.ErrExist) {
				t.Errorf("Create of %s: %v", name, err)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits")
	}
	for name, ok := range map[string]bool{"folder": true, "file": false, "link": false} {
		s, err := d.Sub(name)
		if (err == nil) != ok {
			t.Errorf("Sub of %s: %v", name, err)
		}
		if err == nil {
			s.Close()
		}
	}
	must(t, os.Symlink("folder", filepath.Join(dir, "link to a folder")))
	if _, err := d.Sub("link to a folder"); err == nil {
		t.Error("a link to a folder was opened")
	}
}

func TestTemp(t *testing.T) {
	_, dir := folder(t)
	path, temp := filepath.Join(dir, "state"), filepath.Join(dir, ".tmp")
	precious := filepath.Join(dir, "precious")
	must(t, os.WriteFile(precious, []byte("precious"), 0o600))
	write := func() error {
		f, err := NewTemp(path, ".tmp")
		if err != nil {
			return err
		}
		if _, err := f.WriteString("new"); err != nil {
			return err
		}
		return f.Commit()
	}
	for _, c := range []struct {
		name string
		left func() error
		ok   bool
	}{
		{"nothing", func() error { return nil }, true},
		{"a file of a dead process", func() error { return os.WriteFile(temp, []byte("half"), 0o666) }, true},
		{"a link", func() error { return os.Symlink("precious", temp) }, false},
		{"a link to nothing", func() error { return os.Symlink("made", temp) }, false},
		{"a second name", func() error { return os.Link(precious, temp) }, false},
		{"a pipe", func() error { return syscall.Mkfifo(temp, 0o666) }, false},
		{"a folder", func() error { return os.Mkdir(temp, 0o777) }, false},
	} {
		must(t, c.left())
		err := write()
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if got, _ := os.ReadFile(path); c.ok && string(got) != "new" {
			t.Errorf("%s: the file holds %q", c.name, got)
		}
		os.Remove(temp)
		os.Remove(path)
	}
	if got, _ := os.ReadFile(precious); string(got) != "precious" {
		t.Errorf("another file holds %q", got)
	}
	if _, err := os.Lstat(filepath.Join(dir, "made")); err == nil {
		t.Error("a file was made through a link")
	}

	f, err := NewTemp(path, ".tmp")
	must(t, err)
	f.Abandon()
	f, err = NewTemp(path, ".tmp")
	must(t, err)
	must(t, os.Rename(temp, temp+".away")) // by somebody else
	must(t, os.WriteFile(temp, []byte("poison"), 0o666))
	if err := f.Commit(); err == nil {
		t.Error("another file was put in place")
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the file is there")
	}
}

// Links that a stranger has put where all can write are not followed.
func TestPlantedLinks(t *testing.T) {
	_, dir := folder(t)
	for _, name := range []string{"shared", "mine", "target"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	must(t, os.Chmod(filepath.Join(dir, "shared"), 0o777|fs.ModeSticky))
	for _, at := range []string{"shared/his", "shared/ours", "mine/his"} {
		must(t, os.Symlink(filepath.Join(dir, "target"), filepath.Join(dir, at)))
	}
	must(t, os.Symlink(filepath.Join("..", "shared", "his"), filepath.Join(dir, "mine", "chain")))
	for path, ok := range map[string]bool{
		"shared/ours": true, "shared/ours/new": true, "mine/his": true, "shared/new": true, "shared/his": false, "shared/his/new": false, "mine/chain/x": false,
	} {
		real, err := owners(his).resolve(filepath.Join(dir, path))
		if (err == nil) != ok || !ok && !errors.As(err, new(*ForeignError)) {
			t.Errorf("%s: %q, %v", path, real, err)
		}
	}
}

// A folder is emptied without leaving it, and the last files go last.
func TestClear(t *testing.T) {
	d, dir := folder(t)
	must(t, os.Mkdir(filepath.Join(dir, "victim"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "victim", "x"), nil, 0o644))
	work, err := d.Mkdir("work", 0o700)
	must(t, err)
	defer work.Close()
	for _, name := range []string{"a", "z", "mark"} {
		f, err := work.Create(name, 0o666)
		must(t, err)
		f.Close()
	}
	must(t, os.Symlink(filepath.Join(dir, "victim"), filepath.Join(dir, "work", "link")))
	must(t, os.MkdirAll(filepath.Join(dir, "work", "deep", "er"), 0o700))
	must(t, os.Symlink("../../../victim", filepath.Join(dir, "work", "deep", "er", "link")))
	must(t, work.Clear("mark"))
	if there, err := work.ReadDir(); err != nil || len(there) > 0 {
		t.Errorf("%v, %v", there, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "victim", "x")); err != nil {
		t.Error(err)
	}
}

// A child that has forked and not yet executed its program holds a copy of each
// descriptor. A lock that was released is free all the same.
func TestReleaseWithCopies(t *testing.T) {
	d, _ := folder(t)
	l, err := d.Lock("x.lock", Calls())
	must(t, err)
	dup, err := syscall.Dup(int(l.file.Fd()))
	must(t, err)
	defer syscall.Close(dup)
	l.Keep = true
	must(t, l.Release())
	l, err = d.Lock("x.lock", Calls())
	must(t, err)
	must(t, l.Release())
}
