package writer

import "testing"

// Buffers do not overlap, are aligned as pieces want them, and can be written to
// the end, with huge pages and without.
func TestBuffers(t *testing.T) {
	for _, n := range []int64{1 << 10, 256 << 10, 3<<20 + 4096} {
		for _, huge := range []bool{false, true} {
			b := NewBuffers(4, n, huge)
			list := b.List()
			if len(list) != 4 {
				t.Fatalf("%d buffers", len(list))
			}
			for k, p := range list {
				if int64(len(p)) != n+Alignment || n >= 256<<10 && !inMemory(p) {
					t.Errorf("a buffer of %d bytes for %d, aligned %v", len(p), n, inMemory(p))
				}
				for i := range p {
					p[i] = byte(k)
				}
			}
			for k, p := range list {
				if p[0] != byte(k) || p[len(p)-1] != byte(k) {
					t.Errorf("buffer %d was overwritten", k)
				}
			}
			if b.huge != nil && (!huge || !inMemory(b.huge)) {
				t.Error("huge pages that nobody asked for, or not aligned")
			}
			b.Release()
			if b.List() != nil {
				t.Error("it is still there")
			}
		}
	}
}
