package mmapio

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// rssFile returns the process's resident file pages in bytes.
func rssFile(t testing.TB) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(status), "RssFile:")
	line, _, _ := strings.Cut(rest, "kB")
	kb, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		t.Skip("no RssFile")
	}
	return kb << 10
}

// highest returns by how much RssFile rises at most while run is under way.
func highest(t testing.TB, run func()) int64 {
	before := rssFile(t)
	top := before
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			top = max(top, rssFile(t))
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	run()
	close(stop)
	<-stopped
	return top - before
}

// slack is for the program's own pages, which count too, and for the kernel's
// approximate counters.
const slack = 3 << 20

func TestResidentPagesAreBounded(t *testing.T) {
	const limit = 16 << 20
	dir := t.TempDir()
	sparse := filepath.Join(dir, "sparse")
	if err := os.WriteFile(sparse, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(sparse, 512<<20); err != nil {
		t.Fatal(err)
	}
	small, huge := filepath.Join(dir, "small"), filepath.Join(dir, "huge")
	fill(t, small, 96<<20, 64<<10)
	fill(t, huge, 96<<20, 8<<20) // the page cache keeps it in huge pages

	read := func(f *File, from, to int64, step int) {
		p := make([]byte, step)
		for off := from; off < to; off += int64(step) {
			if _, err := f.ReadAt(p[:min(int64(step), to-off)], off); err != nil {
				t.Error(err)
				return
			}
		}
	}
	tests := []struct {
		name    string
		paths   []string
		cursors int64 // in each file, at places of their own
		side    int   // goroutines for each cursor, which go side by side
		step    int
		least   int64 // the test must be able to fail
	}{
		{"one stream", []string{sparse}, 1, 1, 256 << 10, 8 << 20},
		{"one long read", []string{sparse}, 1, 1, 64 << 20, 8 << 20},
		{"two files, two cursors, two goroutines", []string{small, huge}, 2, 2, 128 << 10, 8 << 20},
		{"many cursors", []string{small, huge}, 16, 1, 100 << 10, 4 << 20},
		{"one byte here and there", []string{small, huge}, 1, 1, 0, 1 << 20},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pool := NewPool(limit)
			top := highest(t, func() {
				var wg sync.WaitGroup
				for _, path := range test.paths {
					f, err := pool.Open(path)
					if err != nil {
						t.Error(err)
						return
					}
					defer f.Close()
					for c := range test.cursors {
						from, to := f.Size()/test.cursors*c, f.Size()/test.cursors*(c+1)
						for range test.side {
							wg.Go(func() {
								if test.step > 0 {
									read(f, from, to, test.step)
									return
								}
								for off := range 20 * f.Size() / 100e3 {
									off = off * 100e3 % f.Size()
									read(f, off, off+1, 1)
								}
							})
						}
					}
				}
				wg.Wait()
			})
			t.Logf("at most %.1f MiB", float64(top)/(1<<20))
			if top > limit+slack {
				t.Errorf("%d bytes were resident, limit %d", top, limit)
			}
			if top < test.least {
				t.Errorf("no more than %d bytes were resident: is this being measured?", top)
			}
			settled(t, pool)
		})
	}
}

func TestManyFilesHoldFewDescriptorsAndMappings(t *testing.T) {
	count := func(path string) int {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Skip(err)
		}
		return strings.Count(string(data), "shard-")
	}
	opened := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(entries)
	}
	before := opened()
	pool := NewPool(0)
	dir := t.TempDir()
	var files []*File
	for i := range 200 {
		path := filepath.Join(dir, "shard-"+strconv.Itoa(i))
		fill(t, path, 5000, 5000)
		f, err := pool.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	for range 2 {
		for _, f := range files {
			if _, err := f.ReadAt(make([]byte, 5000), 0); err != nil {
				t.Fatal(err)
			}
			f.Prefetch(0, 5000)
		}
	}
	if n := opened() - before; n > maxDescriptors+3 {
		t.Errorf("%d descriptors are open", n)
	}
	if n := count("/proc/self/maps"); n > maxRegions || n == 0 {
		t.Errorf("%d files are mapped", n)
	}
	for _, f := range files {
		f.Close()
	}
	if n := opened() - before; n > 3 {
		t.Errorf("%d descriptors are left", n)
	}
	if n := count("/proc/self/maps"); n != 0 {
		t.Errorf("%d mappings are left", n)
	}
}
