package torchbin

import (
	"encoding/binary"
	"slices"
)

// forWrites orders the dimensions of a window for scatter: the one with the
// narrowest step in the result comes last, before it the one with the narrowest
// step in the window.
func forWrites(dims []dim) []dim {
	dims = slices.Clone(dims)
	narrow := func(dims []dim, step func(dim) int64) {
		last := len(dims) - 1
		for i := range dims {
			if step(dims[i]) < step(dims[last]) {
				dims[i], dims[last] = dims[last], dims[i]
			}
		}
	}
	if len(dims) > 1 {
		narrow(dims, func(d dim) int64 { return d.out })
		narrow(dims[:len(dims)-1], func(d dim) int64 { return d.in })
	}
	return dims
}

// line is the size of a cache line.
const line = 64

// scatter puts the elements of a window in their places. A matrix is done in
// strips, so that every line of the result is written at once and the lines of
// the window that a strip needs stay in the cache.
func scatter(out, w []byte, dims []dim, item int64) {
	switch len(dims) {
	case 0:
		copy(out[:item], w)
	case 1:
		spread(out, w, dims[0], item)
	case 2:
		rows, cols := dims[0], dims[1]
		strip := cols
		for j := int64(0); j < cols.n; j += strip.n {
			strip.n = min(line/item, cols.n-j)
			if cols.in == item { // a row is a copy
				strip.n = cols.n
			}
			done := int64(0)
			if item == 2 && rows.in == 2 && cols.out == 2 && strip.n%4 == 0 {
				done = squares(out[j*2:], w[j*cols.in:], rows, strip)
			}
			for i := done; i < rows.n; i++ {
				spread(out[i*rows.out+j*cols.out:], w[i*rows.in+j*cols.in:], strip, item)
			}
		}
	default:
		for i := range dims[0].n {
			scatter(out[i*dims[0].out:], w[i*dims[0].in:], dims[1:], item)
		}
	}
}

// spread is scatter for one dimension.
func spread(out, w []byte, d dim, item int64) {
	if d.out != item {
		for i := range d.n {
			copy(out[i*d.out:][:item], w[i*d.in:])
		}
		return
	}
	out = out[:d.n*item]
	if d.in == item {
		copy(out, w)
		return
	}
	switch item {
	case 1:
		for i := range out {
			out[i] = w[int64(i)*d.in]
		}
	case 2:
		for at := int64(0); len(out) >= 2; at += d.in {
			binary.LittleEndian.PutUint16(out, binary.LittleEndian.Uint16(w[at:]))
			out = out[2:]
		}
	case 4:
		for at := int64(0); len(out) >= 4; at += d.in {
			binary.LittleEndian.PutUint32(out, binary.LittleEndian.Uint32(w[at:]))
			out = out[4:]
		}
	default:
		for at := int64(0); len(out) >= 8; at += d.in {
			binary.LittleEndian.PutUint64(out, binary.LittleEndian.Uint64(w[at:]))
			out = out[8:]
		}
	}
}

// squares does 4 x 4 elements of 2 bytes at a time, in registers. It leaves
// rows over that make up no square, and returns how many it has done.
func squares(out, w []byte, rows, cols dim) int64 {
	const low = 0xffff
	i := int64(0)
	for ; i+4 <= rows.n; i += 4 {
		row := out[i*rows.out:]
		for j := int64(0); j < cols.n; j += 4 {
			from := w[i*2+j*cols.in:]
			a := binary.LittleEndian.Uint64(from)
			b := binary.LittleEndian.Uint64(from[cols.in:])
			c := binary.LittleEndian.Uint64(from[2*cols.in:])
			d := binary.LittleEndian.Uint64(from[3*cols.in:])
			to := row[j*2:]
			binary.LittleEndian.PutUint64(to, a&low|b&low<<16|c&low<<32|d<<48)
			binary.LittleEndian.PutUint64(to[rows.out:], a>>16&low|b&(low<<16)|c<<16&(low<<32)|d<<32&(low<<48))
			binary.LittleEndian.PutUint64(to[2*rows.out:], a>>32&low|b>>16&(low<<16)|c&(low<<32)|d<<16&(low<<48))
			binary.LittleEndian.PutUint64(to[3*rows.out:], a>>48|b>>32&(low<<16)|c>>16&(low<<32)|d&(low<<48))
		}
	}
	return i
}
