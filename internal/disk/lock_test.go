package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// A lock names its holder, keeps others out, and goes with its release.
func TestHold(t *testing.T) {
	_, dir := folder(t)
	path := filepath.Join(dir, ".work.lock")
	release, err := Hold(path)
	must(t, err)
	_, err = Hold(path)
	var locked *LockedError
	if !errors.As(err, &locked) || locked.Path != path {
		t.Fatalf("a second hold: %v", err)
	}
	if host, _ := os.Hostname(); runtime.GOOS != "windows" && (locked.PID != os.Getpid() || locked.Host != host) {
		t.Errorf("held by %d on %s", locked.PID, locked.Host)
	}
	must(t, release())
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the release: %v", err)
	}
	release, err = Hold(path)
	must(t, err)
	must(t, release())
}

func TestHoldFile(t *testing.T) {
	_, dir := folder(t)
	path := filepath.Join(dir, "jobs.yaml")
	if _, err := HoldFile(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	must(t, os.WriteFile(path, []byte("jobs: []"), 0o444))
	release, err := HoldFile(path)
	must(t, err)
	if _, err := HoldFile(path); !errors.As(err, new(*LockedError)) {
		t.Errorf("a second hold: %v", err)
	}
	must(t, release())
	release, err = HoldFile(path)
	must(t, err)
	must(t, release())
	if got, err := os.ReadFile(path); err != nil || string(got) != "jobs: []" {
		t.Errorf("%q, %v", got, err)
	}
}

// A released lock that keeps its file leaves it, with the folders it identifies.
func TestLockKeeps(t *testing.T) {
	d, _ := folder(t)
	l, err := d.Lock("x.lock", Calls())
	must(t, err)
	sub, err := d.Mkdir("sub", 0o700)
	must(t, err)
	defer sub.Close()
	must(t, l.Note(sub.Info(), true))
	l.Keep = true
	must(t, l.Release())
	l, err = d.Lock("x.lock", Calls())
	must(t, err)
	if id := Identity(sub.Info()); id != "" && (!l.Keep || !l.Knows(sub.Info())) || l.Knows(d.Info()) {
		t.Errorf("%v, %q", l.Keep, l.own)
	}
	l.Keep = false
	must(t, l.Release())
	if _, err := d.Lstat("x.lock"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the release: %v", err)
	}
}

// A run that ends removes the file between another's opening and locking it.
func TestLockUnlinked(t *testing.T) {
	up, base := folder(t)
	path := filepath.Join(base, ".out.lock")
	calls, tries := Calls(), 0
	calls.Try = func(f *os.File) (bool, error) {
		ok, err := lockFile(f)
		if tries++; tries == 1 {
			must(t, os.Remove(path))
		}
		return ok, err
	}
	l, err := up.Lock(".out.lock", calls)
	must(t, err)
	if tries != 2 {
		t.Errorf("%d tries, want 2", tries)
	}
	if _, err := up.Lock(".out.lock", calls); !errors.As(err, new(*LockedError)) {
		t.Errorf("a second run: %v", err)
	}

	// The reverse: a lock file that is not ours any more stays.
	must(t, os.Remove(path))
	must(t, os.WriteFile(path, nil, 0o666))
	must(t, l.Release())
	if _, err := os.Stat(path); err != nil {
		t.Errorf("another's lock file: %v", err)
	}
}
