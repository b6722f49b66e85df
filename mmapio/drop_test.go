package mmapio

import (
	"os"
	"path/filepath"
	"testing"
)

// Readers that go through a file leave stretches behind. Those beside each other
// are dropped by one call, and one that is still used is not among them.
func TestDropTogether(t *testing.T) {
	const stretches, chunk = 64, 128 << 10
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, stretches*grain); err != nil {
		t.Fatal(err)
	}
	p := NewPool(8 * grain)
	f, err := p.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	calls := 0
	p.dropPages = func([]byte) error { calls++; return nil }
	scratch := make([]byte, chunk)
	look := func(off int64) {
		t.Helper()
		if err := f.View(scratch, off, func([]byte) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for off := int64(0); off < stretches*grain; off += chunk {
		look(0) // as another reader would
		look(off)
		if p.total > p.limit {
			t.Fatalf("%d bytes are resident, of %d", p.total, p.limit)
		}
	}
	if f.region.stretches[0] == nil {
		t.Error("a stretch was dropped that is in use")
	}
	if calls == 0 || calls > stretches/2 {
		t.Errorf("%d calls for %d stretches", calls, stretches)
	}
}
