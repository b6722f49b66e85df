//go:build !amd64 || noasm || !gc

package slerp

// Without assembly the definition does all the work.

const detected = noKernels

func (kernelSet) widen32(d DType, dst []float32, src []byte) { decode32(d, dst, src) }

func (kernelSet) measureStrip(l *lanes, a, b []float32) { measure32(l, a, b) }

func (kernelSet) measureKernel(in DType) func(l *lanes, a, b []byte) { return nil }

func (kernelSet) blendKernel(out, in DType) blendFunc { return nil }

func (kernelSet) joinKernel(out DType, wide bool) joinFunc { return nil }

func (kernelSet) convertKernel(out, in DType) convertFunc { return nil }

func (kernelSet) narrowKernel(out DType) narrowFunc { return nil }

func (kernelSet) widen64(d DType, dst []float64, src []byte, base []float64) bool { return false }

func (kernelSet) narrow64(d DType, dst []byte, src []float64) bool { return false }

func (k *WeightedSum) mix(dst []byte, x [][]byte, at int, w []float64, divisor float64) bool {
	return false
}

func (k *WeightedSum) add(d DType, y []float64, x [][]byte, at int, w []float64, divisor float64) bool {
	return false
}

type gramPart struct{}

type tile struct{}

func (kernelSet) gramParts(d DType, n int, based bool) []gramPart { return nil }

func (kernelSet) tiles(n int, exact bool) []tile { return nil }

func (p *Products) addParts(chunks [][]byte, n int) bool { return false }

func (p *Products) addTiles(m int) bool { return false }
