package writer

import (
	"errors"
	"hash/crc32"
	"slices"
	"sort"
)

// A stretch is values of a weight file that follow each other and came to the disk
// between two marks. The stretches of a journal say what an unfinished run wrote, so
// that the next one finds out whether its files still have it.
type stretch struct {
	File   int    `json:"file"`             // index into the Files of the layout
	Off    int64  `json:"off"`              // of the first value
	End    int64  `json:"end"`              // of the value behind the last one, or the size of the file
	CRC    uint32 `json:"crc,omitempty"`    // CRC-32 of the values, without what lies between extents
	Copied bool   `json:"copied,omitempty"` // by the system: nobody has seen the values, and there is no CRC
	bytes  int64  // of values
}

// shortValues is the length from which on the CRC-32 of two texts costs less by
// combine than by reading the second.
const shortValues = 32 << 10

// addStretch adds s to the stretches of one file, which are in order of offset.
func addStretch(all []stretch, s stretch) []stretch {
	i := sort.Search(len(all), func(i int) bool { return all[i].Off >= s.Off })
	if i > 0 && all[i-1].joins(s) {
		i--
		all[i].join(s)
	} else {
		all = slices.Insert(all, i, s)
	}
	if i+1 < len(all) && all[i].joins(all[i+1]) {
		all[i].join(all[i+1])
		all = slices.Delete(all, i+1, i+2)
	}
	return all
}

func (s *stretch) joins(next stretch) bool { return s.End == next.Off && s.Copied == next.Copied }

func (s *stretch) join(next stretch) {
	if !s.Copied {
		s.CRC = CombineCRC32(s.CRC, next.CRC, next.bytes)
	}
	s.End, s.bytes = next.End, s.bytes+next.bytes
}

// extend adds values to the CRC of a stretch. known is their CRC if the caller has it.
func (s *stretch) extend(p []byte, known *uint32) {
	switch {
	case known != nil && s.bytes == 0:
		s.CRC = *known
	case known != nil && len(p) >= shortValues:
		s.CRC = CombineCRC32(s.CRC, *known, int64(len(p)))
	default:
		s.CRC = crc32.Update(s.CRC, crc32.IEEETable, p)
	}
	s.bytes += int64(len(p))
}

// value returns the place of the first value at or after off; the size of the file
// if there is none.
func (f *File) value(off int64) int64 {
	k := sort.Search(len(f.Extents), func(i int) bool { return f.Extents[i].Off+f.Extents[i].Len > off })
	for ; k < len(f.Extents); k++ {
		if x := &f.Extents[k]; x.Len > 0 {
			return max(off, x.Off)
		}
	}
	return f.Size
}

// takeStretches returns the stretches before a mark that no mark has yet.
func (o *Output) takeStretches(m Mark) []stretch {
	var all []stretch
	for ; o.marked < len(o.files) && o.marked <= m.File; o.marked++ {
		w := o.files[o.marked]
		if o.marked == m.File {
			n := sort.Search(len(w.stretches), func(i int) bool { return w.stretches[i].Off >= m.Off })
			all = append(all, w.stretches[:n]...)
			w.stretches = slices.Delete(w.stretches, 0, n)
			break
		}
		all = append(all, w.stretches...)
		w.stretches = nil
	}
	return all
}

// checkCovered makes sure that stretches are all values before a mark, in order.
func checkCovered(l *Layout, at Mark, all []stretch) error {
	file, off := 0, int64(0)
	next := func() { // value
		for ; file < len(l.Files); file, off = file+1, 0 {
			if off = l.Files[file].value(off); off < l.Files[file].Size {
				return
			}
		}
	}
	next()
	for _, s := range all {
		if s.File != file || file == len(l.Files) || s.Off != off || s.End <= off || s.End != l.Files[file].value(s.End) {
			return errors.New("its journal does not say all that was written")
		}
		off = s.End
		next()
	}
	if at.File != file || at.Off != off && file < len(l.Files) {
		return errors.New("its journal does not say all that was written")
	}
	return nil
}
