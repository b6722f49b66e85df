package testmodel

import (
	"encoding/binary"
	"hash/fnv"
	"io"
	"math/rand/v2"

	"slerpmerge/internal/tensor"
)

// Values gives the values of a tensor. Each call of next fills the next bytes,
// which are whole elements; they are zero before.
type Values func(t tensor.Info) (next func(b []byte))

// List repeats a list of values.
func List(list ...float64) Values {
	return each(func(tensor.Info) func(i int64) float64 {
		return func(i int64) float64 { return list[i%int64(len(list))] }
	})
}

// Ramp gives 0, step, 2 step, ...
func Ramp(step float64) Values {
	return each(func(tensor.Info) func(i int64) float64 {
		return func(i int64) float64 { return step * float64(i) }
	})
}

// Normal gives normally distributed values, in another stream for every seed and name.
func Normal(seed uint64, deviation float64) Values {
	return each(func(t tensor.Info) func(i int64) float64 {
		r := stream(seed, t)
		return func(int64) float64 { return deviation * r.NormFloat64() }
	})
}

// First gives some bytes, then zeros.
func First(bytes ...byte) Values {
	return func(tensor.Info) func(b []byte) {
		rest := bytes
		return func(b []byte) { rest = rest[copy(b, rest):] }
	}
}

// Noise gives random bits with exponents of a few sizes only, which makes values of
// about 0.02 (in types of 8 bits, of about 1; of integers, small ones). It is
// faster than Normal.
func Noise(seed uint64) Values {
	return func(t tensor.Info) func(b []byte) {
		r := stream(seed, t)
		size := max(t.DType.Size(), 1)
		keep, set := byte(0x83), byte(0)
		switch t.DType {
		case tensor.BF16, tensor.F32:
			set = 0x3c
		case tensor.F16:
			set = 0x24
		case tensor.F64:
			set = 0x3f
		case tensor.F8E4M3:
			keep, set = 0x87, 0x30
		case tensor.F8E5M2:
			set = 0x38
		case tensor.BOOL:
			keep = 1
		}
		return func(b []byte) {
			i := 0
			for ; i+8 <= len(b); i += 8 {
				binary.LittleEndian.PutUint64(b[i:], r.Uint64())
			}
			if i < len(b) {
				copy(b[i:], binary.LittleEndian.AppendUint64(nil, r.Uint64()))
			}
			for i := size - 1; i < len(b); i += size {
				b[i] = b[i]&keep | set
			}
		}
	}
}

// stream returns the random numbers of a tensor.
func stream(seed uint64, t tensor.Info) *rand.Rand {
	h := fnv.New64a()
	io.WriteString(h, t.Name)
	return rand.New(rand.NewPCG(seed, h.Sum64()))
}

// each encodes numbers. Types without arithmetic get the whole part of a number
// for each byte.
func each(numbers func(tensor.Info) func(i int64) float64) Values {
	return func(t tensor.Info) func(b []byte) {
		at, i := numbers(t), int64(0)
		return func(b []byte) {
			if !t.DType.Blends() {
				for k := range b {
					b[k] = byte(int(at(i)))
					if t.DType == tensor.BOOL {
						b[k] &= 1
					}
					i++
				}
				return
			}
			for out := b[:0]; len(out) < len(b); i++ {
				out = AppendFloat(out, t.DType, at(i))
			}
		}
	}
}
