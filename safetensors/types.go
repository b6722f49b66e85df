package safetensors

import "slerpmerge/internal/tensor"

// A DType is an element type, such as [BF16]. Its String method gives the name
// that the format has for it, Bits and Size the size of an element, and Blends
// reports whether package slerp can compute with it.
type DType = tensor.DType

// An Info is a tensor's Name, DType and Shape, outermost dimension first. Its
// methods Elems, Bytes and ByteLen compute sizes, the last one with checks.
type Info = tensor.Info

// A Source gives the values of one tensor as row-major, little-endian bytes:
//
//	ReadAt(p []byte, off int64) error // fills p or fails
//	Prefetch(off, n int64)            // a hint that does not wait
type Source = tensor.Source

// An Arena keeps the names and shapes of many tensors in few pieces of memory.
// The zero value is ready for use.
type Arena = tensor.Arena

// The element types of the format, from the lowest to the highest rank: a file
// has the tensors of a higher rank first.
const (
	BOOL       = tensor.BOOL
	F4         = tensor.F4
	F6E2M3     = tensor.F6E2M3
	F6E3M2     = tensor.F6E3M2
	U8         = tensor.U8
	I8         = tensor.I8
	F8E5M2     = tensor.F8E5M2
	F8E4M3     = tensor.F8E4M3
	F8E8M0     = tensor.F8E8M0
	F8E4M3FNUZ = tensor.F8E4M3FNUZ
	F8E5M2FNUZ = tensor.F8E5M2FNUZ
	I16        = tensor.I16
	U16        = tensor.U16
	F16        = tensor.F16
	BF16       = tensor.BF16
	I32        = tensor.I32
	U32        = tensor.U32
	F32        = tensor.F32
	C64        = tensor.C64
	F64        = tensor.F64
	I64        = tensor.I64
	U64        = tensor.U64
)

// Errors of Info.ByteLen.
var (
	ErrOverflow   = tensor.ErrOverflow
	ErrMisaligned = tensor.ErrMisaligned
)

// ParseDType finds the element type that has the given name in the format, such
// as "BF16". Case matters.
func ParseDType(name string) (DType, bool) { return tensor.ParseDType(name) }
