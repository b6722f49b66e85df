package slerp

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// A fence is memory between two pages that nobody may touch.
type fence struct{ room []byte }

func newFence(t *testing.T, size int) fence {
	page := unix.Getpagesize()
	size = (size + page - 1) / page * page
	m, err := unix.Mmap(-1, 0, size+2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Munmap(m) })
	for _, p := range [][]byte{m[:page], m[page+size:]} {
		if err := unix.Mprotect(p, unix.PROT_NONE); err != nil {
			t.Fatal(err)
		}
	}
	return fence{m[page : page+size]}
}

// first and last are n bytes at either end of the room.
func (f fence) first(n int) []byte { return f.room[:n:n] }
func (f fence) last(n int) []byte  { return f.room[len(f.room)-n:] }

// TestFences would crash if anything were read or written beside its operands.
func TestFences(t *testing.T) {
	const most = 70
	a, b, d := newFence(t, 8*most), newFence(t, 8*most), newFence(t, 8*most)
	r := source(11)
	for _, da := range allTypes {
		for _, db := range allTypes {
			for n := range most {
				for _, side := range []func(fence, int) []byte{fence.first, fence.last} {
					x, y := side(a, n*da.Size()), side(b, n*db.Size())
					copy(x, random(r, da, n, weights))
					copy(y, random(r, db, n, weights))
					m := NewInnerProducts(da, db)
					m.Add(x, y)
					if got, want := m.Gram(), measured(da, db, x, y); got != want {
						t.Fatal(fmt.Sprint(da, db, n), got, want)
					}
					p := NewProducts([]DType{da, db, da}, n%3-1)
					p.Add([][]byte{x, y, x})
					if got, want := p.Grams(nil), productsOf(p.in, p.base, [][]byte{x, y, x}); !sameGrams(got, want) {
						t.Fatal(fmt.Sprint(da, db, n), got, want)
					}
					out := allTypes[(n+int(da))%len(allTypes)]
					if n%3 > 0 {
						out = da
					}
					NewBlender(out, da, db).Blend(side(d, n*out.Size()), x, y, 0.4, 0.7)
					NewWeightedSum(out, []DType{da, db}).Sum(side(d, n*out.Size()), [][]byte{x, y}, []float64{0.4, 0.7}, 3)
					NewConverter(db, da).Convert(side(d, n*db.Size()), x)
				}
			}
		}
	}
}
