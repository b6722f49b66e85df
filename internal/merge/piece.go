package merge

import (
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/writer"
)

// A piece is a contiguous range of one output file: what one worker fills and
// the writer writes at once.
type piece struct {
	seq  int
	file int
	off  int64 // in the file
	len  int64
	segs []segment
	buf  []byte
}

// A segment is a part of one tensor within a piece. off and len count bytes
// of the tensor's output values.
type segment struct {
	tensor   int
	off, len int64
	at       int64 // where it stands in the piece
}

// A cutter cuts a layout into pieces, in the order of the files' bytes. A
// tensor that a worker can hold whole is never cut, so that it is read once;
// the others are cut where the file's offset is a multiple of the piece size,
// so that pages are written once.
type cutter struct {
	tensors []plan.Tensor
	files   []writer.File
	size    int64
	whole   func(tensor int) bool
	file    int
	ext     int
	done    int64 // bytes of the current extent that are cut
	seq     int
}

// next returns nil after the last piece.
func (c *cutter) next() *piece {
	p := &piece{seq: c.seq}
	for c.file < len(c.files) {
		exts := c.files[c.file].Extents
		if c.ext == len(exts) {
			if p.len > 0 {
				break // a piece lies in one file
			}
			c.file, c.ext = c.file+1, 0
			continue
		}
		x := exts[c.ext]
		if x.Len == 0 {
			c.ext++
			continue
		}
		if p.len == 0 {
			p.file, p.off = c.file, x.Off+c.done
		} else if p.off+p.len != x.Off {
			break // fixed bytes stand between
		}
		room := c.size - p.len
		left := x.Len - c.done
		take := left
		if !c.whole(x.Tensor) {
			take = min(take, room)
			if take < left {
				take = c.align(x, take)
			}
		} else if left > room {
			take = 0
		}
		if take <= 0 {
			break
		}
		p.segs = append(p.segs, segment{tensor: x.Tensor, off: c.done, len: take, at: p.len})
		p.len += take
		c.done += take
		if c.done == x.Len {
			c.ext, c.done = c.ext+1, 0
		}
		if p.len == c.size || take < left {
			break
		}
	}
	if p.len == 0 {
		return nil
	}
	c.seq++
	return p
}

// align shortens a cut so that it ends on a multiple of the piece size in the
// file, as near as whole elements allow.
func (c *cutter) align(x writer.Extent, take int64) int64 {
	end := x.Off + c.done + take
	cut := end - end%c.size - x.Off - c.done
	if cut <= 0 {
		cut = take
	}
	if unit := int64(c.tensors[x.Tensor].DType.Size()); unit > 1 {
		cut -= (c.done + cut) % unit
	}
	return cut
}

// pairBytes are the sizes of a tensor's operands in their own types.
func pairBytes(t *plan.Tensor) (a, b int64) {
	switch {
	case t.ZeroA:
		b = t.B.Tensor().Bytes()
		return b, b
	case t.ZeroB:
		a = t.A.Tensor().Bytes()
		return a, a
	}
	if !t.A.None() {
		a = t.A.Tensor().Bytes()
	}
	if !t.B.None() {
		b = t.B.Tensor().Bytes()
	}
	return a, b
}

// pairTypes are the element types of a Slerp tensor's operands; zeros take
// the type of the other side.
func pairTypes(t *plan.Tensor) (a, b tensor.DType) {
	switch {
	case t.ZeroA:
		b = t.B.Tensor().DType
		return b, b
	case t.ZeroB:
		a = t.A.Tensor().DType
		return a, a
	}
	return t.A.Tensor().DType, t.B.Tensor().DType
}
