//go:build linux || darwin

package mmapio

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A change of links, mode or owner moves the change time too, and is no change
// of the contents; one behind it is found all the same.
func TestExplainedChanges(t *testing.T) {
	pool := NewPool(0)
	path := filepath.Join(t.TempDir(), "weights")
	fill(t, path, 10000, 10000)
	age(t, path)
	f, _ := open(t, pool, path)
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"linked", func() error { return os.Link(path, path+".link") }},
		{"unlinked", func() error { return os.Remove(path + ".link") }},
		{"chmod", func() error { return os.Chmod(path, 0o640) }},
		{"chmod back", func() error { return os.Chmod(path, 0o600) }},
		{"chown", func() error {
			if os.Geteuid() != 0 {
				return nil
			}
			return os.Chown(path, 65534, 65534)
		}},
		{"read", func() error { _, err := os.ReadFile(path); return err }},
	} {
		time.Sleep(20 * time.Millisecond) // longer than the clock of the file system takes for a step
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if err := f.Check(); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	time.Sleep(20 * time.Millisecond)
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, 10000), 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, st.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := f.Check(); !errors.As(err, new(*ChangedError)) {
		t.Errorf("overwritten with its time put back: %v", err)
	}
}
