//go:build !amd64 || noasm || !gc

package slerp

import "slerpmerge/internal/tensor"

// Without assembly the definition does all the work.

const useAsm = false

func widen32(d tensor.DType, dst []float32, src []byte) { decode32(d, dst, src) }

func measureStrip(l *lanes, a, b []float32) { measure32(l, a, b) }

func measureKernel(in tensor.DType) func(l *lanes, a, b []byte) { return nil }

func blendKernel(out, in tensor.DType) blendFunc { return nil }

func joinKernel(out tensor.DType, wide bool) joinFunc { return nil }

func convertKernel(out, in tensor.DType) convertFunc { return nil }

func narrowKernel(out tensor.DType) narrowFunc { return nil }
