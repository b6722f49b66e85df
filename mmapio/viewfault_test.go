//go:build linux || darwin

package mmapio

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash/crc32"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/exp/mmap"
)

// touches are ways to read all of p, in Go and in assembly.
var touches = map[string]func(p []byte){
	"loop": func(p []byte) {
		sum := byte(0)
		for _, b := range p {
			sum += b
		}
		runtime.KeepAlive(sum)
	},
	"copy":     func(p []byte) { copy(make([]byte, len(p)), p) },
	"equal":    func(p []byte) { bytes.Equal(p, bytes.Clone(p)) },
	"index":    func(p []byte) { bytes.Count(p, []byte{7}) },
	"checksum": func(p []byte) { crc32.ChecksumIEEE(p) },
	"digest":   func(p []byte) { sha256.Sum256(p) },
}

// A page that can't be had ends a view with the error that ReadAt has, whatever
// code meets it.
func TestFaultInView(t *testing.T) {
	const bad = 100<<10 + 4096 // for readFile
	for name, touch := range touches {
		t.Run(name, func(t *testing.T) {
			pool := NewPool(0)
			f, _ := create(t, pool, grain)
			pool.mapFile = broken(t, grain) // from 8192 on
			pool.readFile = func(f *os.File, p []byte, off int64) (int, error) {
				if off+int64(len(p)) > bad {
					return int(max(0, bad-off)), syscall.EIO
				}
				return f.ReadAt(p, off)
			}
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					scratch := make([]byte, 200<<10)
					use := func(p []byte) error {
						if isScratch(p, scratch) {
							t.Error("it is no view")
						}
						touch(p)
						return nil
					}
					for range 10 {
						if err := f.View(scratch[:8192], 0, use); err != nil {
							t.Errorf("intact pages: %v", err)
						}
						err := f.View(scratch, 5000, use)
						var fault *FaultError
						if !errors.As(err, &fault) || fault.Off != bad || !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "at byte 106496: ") {
							t.Errorf("got %v", err)
						}
					}
				})
			}
			all.Wait()
			settled(t, pool)
		})
	}
}

// Of nested views each has the faults of its own pages. Others pass through both,
// and other panics too.
func TestFaultsOfNestedViews(t *testing.T) {
	whole, torn := NewPool(0), NewPool(0)
	good, _ := create(t, whole, 100<<10)
	bad, _ := create(t, torn, 100<<10)
	torn.mapFile = broken(t, 100<<10)
	buf := [2][]byte{make([]byte, 50<<10), make([]byte, 50<<10)}
	for _, order := range [][2]*File{{good, bad}, {bad, good}} {
		entered := 0
		err := order[0].View(buf[0], 0, func(p []byte) error {
			entered++
			err := order[1].View(buf[1], 0, func(q []byte) error {
				entered++
				for i := range p {
					if p[i]^q[i] == p[0]^q[0]+1 {
						entered++
					}
				}
				t.Error("no fault")
				return nil
			})
			if order[1] == good {
				t.Errorf("the inner view returned %v", err)
			}
			return err
		})
		var fault *FaultError
		if !errors.As(err, &fault) || fault.Path != bad.Name() || entered < 2 {
			t.Errorf("got %v", err)
		}
	}

	// a fault that is nobody's
	m, err := broken(t, 100<<10)("")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	other := mappedBytes(m.(*mmap.ReaderAt), 100<<10)
	for name, do := range map[string]func(){
		"a bug":   func() { panic("a bug") },
		"a fault": func() { touches["loop"](other) },
	} {
		func() {
			defer func() {
				r := recover()
				if fault, ok := r.(interface{ Addr() uintptr }); r != name && !(ok && name == "a fault" && fault.Addr() != 0) {
					t.Errorf("%s: recovered %v", name, r)
				}
			}()
			err := good.View(buf[0], 0, func([]byte) error {
				return good.View(buf[1], 10, func([]byte) error { do(); return nil })
			})
			t.Errorf("%s became %v", name, err)
		}()
	}
	settled(t, whole)
	settled(t, torn)
	good.Close() // would wait if one of them had not ended
	bad.Close()
}
