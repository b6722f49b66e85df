package tensor

import (
	"errors"
	"math"
	"testing"
)

func TestByteLen(t *testing.T) {
	const max = math.MaxUint64
	for _, c := range []struct {
		d     DType
		shape []uint64
		want  uint64
		err   error
	}{
		{F32, nil, 4, nil},
		{BF16, []uint64{3, 5}, 30, nil},
		{F4, []uint64{3}, 0, ErrMisaligned},
		{F4, []uint64{4}, 2, nil},
		{F6E2M3, []uint64{4}, 3, nil},
		{F64, []uint64{0, max}, 0, nil},
		{F64, []uint64{max, 2, 0}, 0, ErrOverflow},
		{U8, []uint64{max / 8}, max / 8, nil},
		{U8, []uint64{max/8 + 1}, 0, ErrOverflow},
	} {
		got, err := ByteLen(c.d, c.shape)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("ByteLen(%v, %v) = %d, %v; want %d, %v", c.d, c.shape, got, err, c.want, c.err)
		}
		if err == nil && c.want < math.MaxInt64/8 {
			if b := (Info{DType: c.d, Shape: c.shape}).Bytes(); b != int64(c.want) {
				t.Errorf("Info{%v, %v}.Bytes() = %d, want %d", c.d, c.shape, b, c.want)
			}
		}
	}
}

func TestDTypeNames(t *testing.T) {
	for d := range numDTypes {
		if got, ok := ParseDType(d.String()); !ok || got != d {
			t.Errorf("ParseDType(%q) = %v, %v", d.String(), got, ok)
		}
	}
	for _, s := range []string{"", "f32", "F128", "C128", "F8_E4M3FN", "BFLOAT16", "invalid dtype"} {
		if _, ok := ParseDType(s); ok {
			t.Errorf("ParseDType(%q) accepted", s)
		}
	}
}
