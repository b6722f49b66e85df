package torchbin

import "slerpmerge/internal/tensor"

// A DType is an element type. It is safetensors.DType: the constants are there.
type DType = tensor.DType

// An Info is a tensor's Name, DType and Shape. It is safetensors.Info.
type Info = tensor.Info

// A Source gives the values of one tensor as row-major, little-endian bytes. It
// is safetensors.Source:
//
//	ReadAt(p []byte, off int64) error // fills p or fails
//	Prefetch(off, n int64)            // a hint that does not wait
type Source = tensor.Source
