package slerp

import "slerpmerge/internal/tensor"

// A DType is an element type. It is safetensors.DType: the constants are there.
type DType = tensor.DType
