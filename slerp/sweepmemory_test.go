package slerp

import (
	"fmt"
	"testing"
)

// lentBytes is what a Scratch has lent.
func lentBytes(s *Scratch) (n int64) {
	for _, p := range s.floats {
		n += 8 * int64(cap(p))
	}
	for _, p := range s.counts {
		n += 4 * int64(cap(p))
	}
	for _, p := range s.bytes {
		n += int64(cap(p))
	}
	return n
}

// A goroutine borrows what Memory says, and not much less. How many counts arcee_fusion takes depends on
// the quartiles.
func TestSweepScratch(t *testing.T) {
	r := source(170)
	for _, shape := range [][]uint64{{}, {3, 2000}, {40, 64}, {longRow + 1}, {3, 50, 7}} {
		for _, n := range []int{3, 9} {
			s := newSample(r, shape, n, 0, weights)
			two := newSample(r, shape, 2, 0, weights)
			three := newSample(r, shape, 3, 0, weights)
			for _, c := range []struct {
				name string
				w    Sweep
				s    *sample
			}{
				{"nearswap", NewNearswap(two.Operands, 0, 0.1), two}, {"ram", Ram{R: 1, Alpha: 1}.Sweep(s.Operands), s},
				{"rows", NuslerpAxes{T: 0.5}.Sweep(three.Operands), three}, {"columns", NuslerpAxes{T: 0.5, Columns: true}.Sweep(three.Operands), three},
				{"filter_wise", FilterWise{}.Sweep(s.Operands), s}, {"sce", SCE{TopK: 0.5}.Sweep(s.Operands), s}, {"sce of all", SCE{TopK: 1}.Sweep(s.Operands), s},
				{"arcee_fusion", ArceeFusion{}.Sweep(two.Operands), two},
			} {
				_, scratch := c.w.Memory()
				used := new(Scratch)
				chunk := func(k int, from, n int64) []byte {
					size := int64(c.s.In[k].Size())
					return c.s.x[k][from*size:][:n*size]
				}
				chunks := make([][]byte, len(c.s.In))
				for blocks := c.w.Pass(); blocks > 0; blocks = c.w.Pass() {
					for b := range blocks {
						m, g := c.w.Meter(used, b), c.w.Region(b)
						for i := range g.Count {
							for k := range chunks {
								chunks[k] = chunk(k, g.From+i*g.Stride, g.Len)
							}
							m.Add(chunks, g.From+i*g.Stride)
						}
						c.w.Take(b, m)
					}
				}
				for k := range chunks {
					chunks[k] = c.s.x[k]
				}
				c.w.Mixer(used).Mix(make([]byte, c.s.Elems()*int64(c.s.Out.Size())), chunks, 0)
				if lent := lentBytes(used); lent > scratch || lent < scratch-scratch/10-9<<10 && c.name != "arcee_fusion" {
					t.Errorf("%s: %d bytes lent, %d announced", fmt.Sprint(c.name, shape, c.s.In), lent, scratch)
				}
			}
		}
	}
}
