package batch

import (
	"os"
	"path/filepath"
	"testing"
)

// A file that was presized, but not written, takes nothing that would come free.
func TestSparseFilesHoldNothing(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".out.partial", "out"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(dir, name, "model.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(1 << 30); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(make([]byte, 64<<10), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(f.Name()); err != nil || fi.Size() != 1<<30 {
			t.Skip("no sparse files here")
		}
	}
	var room volumes
	room.add(&Job{Name: "a", out: filepath.Join(dir, "out")}, 1<<30)
	if k := room.order[0]; k.peak < 1<<30-1<<20 || k.used < 1<<30-1<<20 {
		t.Errorf("the job takes %d bytes at most and %d in the end, want about %d", k.peak, k.used, 1<<30)
	}
}
