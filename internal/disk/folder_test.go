package disk

import (
	"path/filepath"
	"testing"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// folder is an open temporary folder.
func folder(t *testing.T) (*Folder, string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	d, err := OpenFolder(dir)
	must(t, err)
	t.Cleanup(d.Close)
	return d, dir
}
