package writer

import (
	"fmt"
	"slices"
	"sort"
)

// A span is the bytes [off, end) of a file.
type span struct{ off, end int64 }

// gaps are the spans of a file that were not written yet, in order. Written
// front to back, a safetensors file never has more than one.
type gaps []span

// newGaps returns the extents of f.
func newGaps(f *File) gaps {
	n, end := 0, int64(-1) // there may be one a tensor, or one in all
	for i := range f.Extents {
		if x := &f.Extents[i]; x.Len > 0 {
			if x.Off != end {
				n++
			}
			end = x.Off + x.Len
		}
	}
	g := make(gaps, 0, n)
	for i := range f.Extents {
		x := &f.Extents[i]
		switch k := len(g); {
		case x.Len == 0:
		case k > 0 && g[k-1].end == x.Off:
			g[k-1].end += x.Len
		default:
			g = append(g, span{x.Off, x.Off + x.Len})
		}
	}
	return g
}

// checkTiles refuses a layout whose extents and literals don't tile the file.
func checkTiles(f *File) error {
	at, fixed := int64(0), f.Literals
	for i := 0; i <= len(f.Extents); i++ {
		x := Extent{Off: f.Size}
		if i < len(f.Extents) {
			x = f.Extents[i]
		}
		for len(fixed) > 0 && fixed[0].Off == at && at < x.Off {
			at += int64(len(fixed[0].Data))
			fixed = fixed[1:]
		}
		if x.Off != at {
			return fmt.Errorf("the layout of %s has a hole or an overlap at byte %d", f.Name, at)
		}
		at += x.Len
	}
	if len(fixed) > 0 {
		return fmt.Errorf("the layout of %s goes on behind its end", f.Name)
	}
	return nil
}

// take marks [off, end) as written. All of it must be open.
func (g *gaps) take(off, end int64) error {
	if off == end {
		return nil
	}
	i := sort.Search(len(*g), func(i int) bool { return (*g)[i].end > off })
	if off > end || i == len(*g) || off < (*g)[i].off || end > (*g)[i].end {
		return fmt.Errorf("bytes %d to %d were written before or lie outside the file", off, end)
	}
	s := &(*g)[i]
	switch before, after := (span{s.off, off}), (span{end, s.end}); {
	case before.off < before.end && after.off < after.end:
		*s = before
		*g = slices.Insert(*g, i+1, after)
	case before.off < before.end:
		*s = before
	case after.off < after.end:
		*s = after
	case i == 0: // front to back, there may be many behind it
		*g = (*g)[1:]
	default:
		*g = slices.Delete(*g, i, i+1)
	}
	return nil
}

// bytes returns the number of bytes that are missing.
func (g gaps) bytes() int64 {
	var n int64
	for _, s := range g {
		n += s.end - s.off
	}
	return n
}
