// Package tensor holds the words every other package speaks: a tensor's
// element type (DType), its name and shape (Info), and where its bytes come
// from (Source). It imports nothing of this project.
package tensor

// A DType is an element type, named as safetensors names it. The order of the
// constants is the rank by which the reference safetensors writer sorts
// tensors (higher first): safetensors/src/tensor.rs, enum Dtype.
type DType uint8

const (
	BOOL DType = iota
	F4
	F6E2M3
	F6E3M2
	U8
	I8
	F8E5M2
	F8E4M3
	F8E8M0
	F8E4M3FNUZ
	F8E5M2FNUZ
	I16
	U16
	F16
	BF16
	I32
	U32
	F32
	C64
	F64
	I64
	U64
	numDTypes
)

var dtypes = [numDTypes]struct {
	name  string
	bits  uint8
	blend bool
}{
	BOOL:       {"BOOL", 8, false},
	F4:         {"F4", 4, false},
	F6E2M3:     {"F6_E2M3", 6, false},
	F6E3M2:     {"F6_E3M2", 6, false},
	U8:         {"U8", 8, false},
	I8:         {"I8", 8, false},
	F8E5M2:     {"F8_E5M2", 8, true},
	F8E4M3:     {"F8_E4M3", 8, true},
	F8E8M0:     {"F8_E8M0", 8, false},
	F8E4M3FNUZ: {"F8_E4M3FNUZ", 8, false},
	F8E5M2FNUZ: {"F8_E5M2FNUZ", 8, false},
	I16:        {"I16", 16, false},
	U16:        {"U16", 16, false},
	F16:        {"F16", 16, true},
	BF16:       {"BF16", 16, true},
	I32:        {"I32", 32, false},
	U32:        {"U32", 32, false},
	F32:        {"F32", 32, true},
	C64:        {"C64", 64, false},
	F64:        {"F64", 64, true},
	I64:        {"I64", 64, false},
	U64:        {"U64", 64, false},
}

var byName = func() map[string]DType {
	m := make(map[string]DType, numDTypes)
	for d := range numDTypes {
		m[dtypes[d].name] = d
	}
	return m
}()

// ParseDType finds the element type with the given safetensors name. Case
// matters, as in the format.
func ParseDType(name string) (DType, bool) {
	d, ok := byName[name]
	return d, ok
}

// ParseDTypeBytes is ParseDType without allocating for the name.
func ParseDTypeBytes(name []byte) (DType, bool) {
	d, ok := byName[string(name)]
	return d, ok
}

// String returns the safetensors name, such as "BF16".
func (d DType) String() string {
	if d >= numDTypes {
		return "invalid dtype"
	}
	return dtypes[d].name
}

// Bits returns the size of one element in bits: 4 and 6 occur besides whole bytes.
func (d DType) Bits() int { return int(dtypes[d].bits) }

// Size returns the size of one element in bytes, 0 for types below one byte.
func (d DType) Size() int { return int(dtypes[d].bits) / 8 }

// Blends reports whether tensors of this type can be merged by arithmetic:
// F64, F32, F16, BF16, F8_E4M3 and F8_E5M2. All others are copied.
func (d DType) Blends() bool { return dtypes[d].blend }
