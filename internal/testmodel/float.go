package testmodel

import (
	"encoding/binary"
	"math"

	"github.com/x448/float16"

	"slerpmerge/internal/tensor"
)

// AppendFloat appends the value of a floating type that is nearest to v. NaN
// stays NaN, except in the 8-bit types.
func AppendFloat(b []byte, d tensor.DType, v float64) []byte {
	switch d {
	case tensor.F64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	case tensor.F32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v)))
	case tensor.F16:
		return binary.LittleEndian.AppendUint16(b, float16.Fromfloat32(float32(v)).Bits())
	case tensor.BF16:
		bits := math.Float32bits(float32(v))
		if v == v {
			bits += 0x7fff + bits>>16&1
		}
		return binary.LittleEndian.AppendUint16(b, uint16(bits>>16))
	}
	best := byte(0)
	for c := range 256 {
		if w := float8(d, byte(c)); w == w && math.Abs(w-v) < math.Abs(float8(d, best)-v) {
			best = byte(c)
		}
	}
	return append(b, best)
}

// Float returns the first value of b; of a type without arithmetic, its first byte.
func Float(d tensor.DType, b []byte) float64 {
	switch d {
	case tensor.F64:
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	case tensor.F32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	case tensor.F16:
		return float64(float16.Frombits(binary.LittleEndian.Uint16(b)).Float32())
	case tensor.BF16:
		return float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16))
	case tensor.F8E4M3, tensor.F8E5M2:
		return float8(d, b[0])
	}
	return float64(b[0])
}

// float8 returns the value of an 8-bit code, by the OCP specification.
func float8(d tensor.DType, c byte) float64 {
	mant, bias := 3, 7
	if d == tensor.F8E5M2 {
		mant, bias = 2, 15
	}
	exp, frac := int(c&0x7f)>>mant, int(c)&(1<<mant-1)
	sign := 1.0
	if c&0x80 != 0 {
		sign = -1
	}
	switch {
	case d == tensor.F8E4M3 && c&0x7f == 0x7f:
		return math.NaN()
	case d == tensor.F8E5M2 && exp == 31 && frac == 0:
		return math.Inf(int(sign))
	case d == tensor.F8E5M2 && exp == 31:
		return math.NaN()
	case exp == 0:
		return sign * math.Ldexp(float64(frac), 1-bias-mant)
	}
	return sign * math.Ldexp(float64(frac|1<<mant), exp-bias-mant)
}
