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

// newGaps are the extents of f. They and the Fixed segments must tile it.
func newGaps(f File) (gaps, error) {
	var g gaps
	at, fixed := int64(0), f.Fixed
	for _, x := range append(slices.Clip(f.Extents), Extent{Off: f.Size}) {
		for len(fixed) > 0 && fixed[0].Off == at && at < x.Off {
			at += int64(len(fixed[0].Data))
			fixed = fixed[1:]
		}
		if x.Off != at {
			return nil, fmt.Errorf("the layout of %s has a hole or an overlap at byte %d", f.Name, at)
		}
		at += x.Len
		if n := len(g); n > 0 && g[n-1].end == x.Off {
			g[n-1].end = at
		} else if x.Len > 0 {
			g = append(g, span{x.Off, at})
		}
	}
	if len(fixed) > 0 {
		return nil, fmt.Errorf("the layout of %s goes on behind its end", f.Name)
	}
	return g, nil
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

// bytes is how much is missing.
func (g gaps) bytes() int64 {
	var n int64
	for _, s := range g {
		n += s.end - s.off
	}
	return n
}
