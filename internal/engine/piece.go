package engine

import (
	"slerpmerge/internal/plan"
	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
	"slerpmerge/writer"
)

// A piece is a contiguous range of one output file: what one worker fills and
// the writer writes at once. Between its spans may lie bytes of the format,
// such as ZIP headers, which the writer puts in.
type piece struct {
	seq  int
	file int
	off  int64 // in the file
	len  int64
	fill               // of the first output
	more []fill        // of the others
	from tensor.Copier // the system copies it from there, instead of buf; nil as a rule
}

// A fill is the content of a piece for one output.
type fill struct {
	spans []span
	crcs  []uint32 // CRC-32 of the spans, or of buf where the format has none; may be nil then
	buf   []byte
	room  []byte // that buf is in
}

// of returns the content for one output.
func (p *piece) of(output int) *fill {
	if output == 0 {
		return &p.fill
	}
	return &p.more[output-1]
}

// values counts the bytes of tensors in a piece.
func (p *piece) values() int64 {
	var n int64
	for _, s := range p.spans {
		n += s.len
	}
	return n
}

// A span is a part of one tensor within a piece. off and len count bytes
// of the tensor's output values.
type span struct {
	tensor   int
	off, len int64
	at       int64 // where it stands in the piece
	mix      mix   // of a large tensor
	counts   slerp.Counts
}

// maxSpans keeps the list of a piece of tiny tensors small, and the note that
// follows it.
const maxSpans = maxNoted

// A cutter cuts a layout into pieces, in the order of the files' bytes. A
// tensor that a worker can hold whole is never cut, so that it need not be read twice;
// the others are cut where the file's offset is a multiple of the piece size,
// so that pages are written once.
type cutter struct {
	tensors []plan.Tensor
	files   []writer.File
	size    int64
	whole   func(tensor int) bool
	last    func(tensor int) bool // a piece ends with it: what was measured of it takes memory
	file    int
	ext     int
	done    int64 // bytes of the current extent that are cut
	seq     int
	spare   [][]span // of pieces that are written, to be used again
}

// next returns nil after the last piece.
func (c *cutter) next() *piece {
	p := &piece{seq: c.seq}
	if n := len(c.spare); n > 0 {
		p.spans, c.spare = c.spare[n-1][:0], c.spare[:n-1]
	}
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
		}
		between := x.Off + c.done - p.off - p.len
		room := c.size - p.len - between
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
		p.len += between
		p.spans = append(p.spans, span{tensor: x.Tensor, off: c.done, len: take, at: p.len})
		p.len += take
		c.done += take
		if c.done == x.Len {
			c.ext, c.done = c.ext+1, 0
		}
		if p.len == c.size || take < left || len(p.spans) == maxSpans || c.last(x.Tensor) {
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
