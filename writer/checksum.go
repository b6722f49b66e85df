package writer

import (
	"hash/crc32"
	"slices"
	"sort"
)

// A checksum accumulates the CRC-32 of bytes that are written in any order: one
// for each contiguous run so far, in order of offset.
type checksum []summed

type summed struct {
	span
	crc uint32
}

// add adds n bytes at off whose CRC is crc.
func (c *checksum) add(off, n int64, crc uint32) {
	end := off + n
	i := sort.Search(len(*c), func(i int) bool { return (*c)[i].off >= off })
	if i > 0 && (*c)[i-1].end == off {
		i--
		s := &(*c)[i]
		s.crc, s.end = CombineCRC32(s.crc, crc, n), end
	} else {
		*c = slices.Insert(*c, i, summed{span{off, end}, crc})
	}
	if i+1 < len(*c) && (*c)[i+1].off == end {
		s, next := &(*c)[i], (*c)[i+1]
		s.crc, s.end = CombineCRC32(s.crc, next.crc, next.end-next.off), next.end
		*c = slices.Delete(*c, i+1, i+2)
	}
}

// of returns the CRC of [off, end) if exactly those bytes were added.
func (c checksum) of(off, end int64) (crc uint32, ok bool) {
	if len(c) != 1 || c[0].span != (span{off, end}) {
		return 0, false
	}
	return c[0].crc, true
}

// CombineCRC32 returns the CRC-32 of two texts one after the other, given that of each
// and the length of the second: n bytes after the first text multiply its
// polynomial by x^(8n).
func CombineCRC32(first, second uint32, n int64) uint32 {
	const one, x8 = 1 << 31, 1 << 23 // bit 31 is x^0
	power := uint32(one)
	for square := uint32(x8); n > 0; n >>= 1 {
		if n&1 != 0 {
			power = multiply(power, square)
		}
		square = multiply(square, square)
	}
	return multiply(power, first) ^ second
}

// multiply multiplies polynomials modulo that of CRC-32.
func multiply(a, b uint32) uint32 {
	var p uint32
	for bit := uint32(1) << 31; bit != 0; bit >>= 1 {
		if a&bit != 0 {
			p ^= b
		}
		b = b>>1 ^ crc32.IEEE&-(b&1)
	}
	return p
}
