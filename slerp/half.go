package slerp

import (
	"math"
	"sync"

	"github.com/x448/float16"
)

// halfTable widens F16 by look-up, several times as fast as computing. It
// takes 256 KiB, so it is built when first used: never where the processor
// converts.
var halfTable = sync.OnceValue(func() *[1 << 16]float32 {
	t := new([1 << 16]float32)
	for i := range t {
		t[i] = float16.Frombits(uint16(i)).Float32()
	}
	return t
})

// halfBits rounds x to F16.
func halfBits(x float32) uint16 {
	if x != x {
		return nanHalf
	}
	return float16.Fromfloat32(x).Bits()
}

// bf16Bits rounds x to BF16, the upper half of a float32: adding just less
// than half a unit of the last place kept, and the last bit kept, carries
// where nearest-even rounds up, into the exponent and to infinity if need be.
func bf16Bits(x float32) uint16 {
	if x != x {
		return nanBF16
	}
	u := math.Float32bits(x)
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}
