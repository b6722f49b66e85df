package slerp

import (
	"fmt"
	"math"

	"slerpmerge/internal/tensor"
)

// Counts are the elements that an output type could not hold.
type Counts struct {
	// Overflow counts elements that are finite in the inputs and are not in
	// the output, or were saturated (F8_E4M3).
	Overflow int64
	// Underflow counts elements that became zero and were not. A Converter
	// counts them, a Blender does not.
	Underflow int64
	// NonFinite counts elements that are NaN or infinite in an input. A WeightedSum
	// counts them where its result is not finite; a Blender does not, as the Gram
	// matrix shows them.
	NonFinite int64
}

// Add adds d to c.
func (c *Counts) Add(d Counts) {
	c.Overflow += d.Overflow
	c.Underflow += d.Underflow
	c.NonFinite += d.NonFinite
}

// overflows reports whether y, finite or not, is beyond a type's limit.
func overflows(y, limit float64) bool { return !(math.Abs(y) < limit) }

// check panics for a type without arithmetic, a mistake of the caller's.
func check(types ...DType) {
	for _, d := range types {
		if !d.Blends() {
			panic(fmt.Sprintf("slerp: internal error: no arithmetic on %v", d))
		}
	}
}

// elems returns the number of elements in p. They must be whole.
func elems(d DType, p []byte) int {
	n := len(p) / d.Size()
	if n*d.Size() != len(p) {
		panic(fmt.Sprintf("slerp: internal error: %d bytes are not whole elements of %v", len(p), d))
	}
	return n
}

// mustMatch panics if operands differ in their number of elements.
func mustMatch(n, m int) {
	if n != m {
		panic(fmt.Sprintf("slerp: internal error: operands of %d and %d elements", n, m))
	}
}

func isWide(d DType) bool { return d == tensor.F32 || d == tensor.F64 }
