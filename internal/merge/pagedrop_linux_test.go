package merge_test

import (
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"slerpmerge/internal/merge"
	"slerpmerge/internal/recipe"
)

// cachedPages is the share of a file that the page cache has.
func cachedPages(t *testing.T, path string) float64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	m, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(m)
	page := os.Getpagesize()
	vec := make([]byte, (len(m)+page-1)/page)
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&m[0])), uintptr(len(m)), uintptr(unsafe.Pointer(&vec[0]))); e != 0 {
		t.Fatal(e)
	}
	n := 0
	for _, v := range vec {
		n += int(v & 1)
	}
	return float64(n) / float64(len(vec))
}

// With DropPages neither parents nor output stay in the page cache, except what
// was read last; with KeepCached the output does.
func TestDropPages(t *testing.T) {
	dir := t.TempDir()
	var list []spec
	for _, s := range layers {
		for k := range 5 {
			list = append(list, spec{s.name + string(rune('0'+k)), s.dtype, s.elems})
		}
	}
	a := makeModel(t, dir+"/a", 1, 0, list)
	b := makeModel(t, dir+"/b", 2, 0, list)
	sync := func(path string) string {
		path = filepath.Join(path, "model.safetensors")
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Sync(); err != nil { // dirty pages stay
			t.Fatal(err)
		}
		return path
	}
	fileA, fileB := sync(a), sync(b)
	if cachedPages(t, fileA) < 0.9 {
		t.Skip("this file system has no page cache to speak of")
	}
	size := func(r *recipe.Request) { r.MaxMemory = 40 << 20 }
	_, out, err := tryMerge(t, a, b, size, merge.Options{KeepCached: true})
	if err != nil {
		t.Fatal(err)
	}
	if cachedPages(t, fileA) < 0.9 || cachedPages(t, filepath.Join(out, "model.safetensors")) < 0.9 {
		t.Skip("the system takes pages back by itself")
	}
	_, out, err = tryMerge(t, a, b, size, merge.Options{DropPages: true, KeepCached: true})
	if err != nil {
		t.Fatal(err)
	}
	if share := cachedPages(t, filepath.Join(out, "model.safetensors")); share < 0.9 {
		t.Errorf("%.2f of an output that is to be kept is in the page cache", share)
	}
	_, out, err = tryMerge(t, a, b, size, merge.Options{DropPages: true})
	if err != nil {
		t.Fatal(err)
	}
	// 64 of 190 MiB are behind by one and the other.
	for _, path := range []string{fileA, fileB} {
		if share := cachedPages(t, path); share > 0.5 {
			t.Errorf("%.2f of %s is in the page cache", share, path)
		}
	}
	if share := cachedPages(t, filepath.Join(out, "model.safetensors")); share > 0.1 {
		t.Errorf("%.2f of the output is in the page cache", share)
	}
}
