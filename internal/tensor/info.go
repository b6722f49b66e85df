package tensor

import (
	"errors"
	"math/bits"
	"slices"
)

// Errors of Info.ByteLen and of ByteLen.
var (
	ErrOverflow   = errors.New("the size does not fit 64 bits")
	ErrMisaligned = errors.New("the elements do not fill whole bytes")
)

// An Info is the name, type and shape of a tensor. Shape counts elements per
// dimension, outermost first; a scalar has none.
type Info struct {
	Name  string
	DType DType
	Shape []uint64
}

// Elems returns the number of elements; only for an Info whose ByteLen gave no
// error.
func (t Info) Elems() int64 {
	n := uint64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return int64(n)
}

// Bytes returns the size of the tensor's values; only for an Info whose ByteLen
// gave no error.
func (t Info) Bytes() int64 {
	return t.Elems()/8*int64(t.DType.Bits()) + t.Elems()%8*int64(t.DType.Bits())/8
}

// ByteLen is ByteLen of the tensor's type and shape.
func (t Info) ByteLen() (uint64, error) { return ByteLen(t.DType, t.Shape) }

// SameShape reports whether the shapes are equal in every dimension.
func (t Info) SameShape(u Info) bool { return slices.Equal(t.Shape, u.Shape) }

// ByteLen returns the size in bytes of a tensor of the given type and shape. The
// dimensions are multiplied from left to right and then by the bits of one
// element; any step beyond 64 bits is ErrOverflow, so that [0, 2^64-1] passes
// and [2^64-1, 2, 0] does not, as in the reference safetensors library.
func ByteLen(d DType, shape []uint64) (uint64, error) {
	n := uint64(1)
	for _, dim := range shape {
		hi, lo := bits.Mul64(n, dim)
		if hi != 0 {
			return 0, ErrOverflow
		}
		n = lo
	}
	hi, lo := bits.Mul64(n, uint64(d.Bits()))
	if hi != 0 {
		return 0, ErrOverflow
	}
	if lo%8 != 0 {
		return 0, ErrMisaligned
	}
	return lo / 8, nil
}
