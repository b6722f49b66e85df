//go:build !amd64 || noasm || !gc

package slerp

// Without assembly the definition does all the work.

const useAsm = false

func widen32(d DType, dst []float32, src []byte) { decode32(d, dst, src) }

func measureStrip(l *lanes, a, b []float32) { measure32(l, a, b) }

func measureKernel(in DType) func(l *lanes, a, b []byte) { return nil }

func blendKernel(out, in DType) blendFunc { return nil }

func joinKernel(out DType, wide bool) joinFunc { return nil }

func convertKernel(out, in DType) convertFunc { return nil }

func narrowKernel(out DType) narrowFunc { return nil }
