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

// newGaps are the bytes of f that its Fixed segments leave open.
func newGaps(f File) (gaps, error) {
	g := gaps{}
	if f.Size > 0 {
		g = gaps{{0, f.Size}}
	}
	for _, s := range f.Fixed {
		if err := g.take(s.Off, s.Off+int64(len(s.Data))); err != nil {
			return nil, fmt.Errorf("the fixed bytes of %s: %w", f.Name, err)
		}
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
