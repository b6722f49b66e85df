package slerp_test

import (
	"encoding/binary"
	"fmt"
	"math"

	"slerpmerge/safetensors"
	"slerpmerge/slerp"
)

// bytesOf are the little-endian bytes of F32 elements.
func bytesOf(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func floats(b []byte) []float32 {
	v := make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}

// Half-way between two vectors at a right angle: measure, interpolate, blend.
// Tensors of more than BlockElems elements are measured block by block, and the
// Gram matrices of the blocks added.
func Example() {
	a, b := bytesOf(1, 0), bytesOf(0, 1)

	products := slerp.NewInnerProducts(safetensors.F32, safetensors.F32)
	products.Add(a, b)
	c := slerp.Interpolate(products.Gram(), 0.5)
	fmt.Printf("%s, angle %.4f, %.4f*a + %.4f*b\n", c.Branch, c.Theta, c.S0, c.S1)

	dst := make([]byte, len(a))
	slerp.NewBlender(safetensors.F32, safetensors.F32, safetensors.F32).Blend(dst, a, b, c.S0, c.S1)
	fmt.Println(floats(dst))
	// Output:
	// slerp, angle 1.5708, 0.7071*a + 0.7071*b
	// [0.70710677 0.70710677]
}

func ExampleWeightedSum() {
	types := []slerp.DType{safetensors.F32, safetensors.F32, safetensors.F32}
	x := [][]byte{bytesOf(1, 2), bytesOf(3, 4), bytesOf(5, 9)}
	dst := make([]byte, 8)
	slerp.NewWeightedSum(safetensors.F32, types).Sum(dst, x, []float64{1, 1, 2}, 4)
	fmt.Println(floats(dst))
	// Output: [3.5 6]
}

func ExampleDistance() {
	d := slerp.NewDistance(safetensors.F32, safetensors.F32)
	d.Add(bytesOf(1, 2, 3), bytesOf(1, 0, 4))
	fmt.Println(d.Squared().Float64())
	// Output: 5
}

// Values that the output type cannot hold are counted.
func ExampleConverter() {
	dst := make([]byte, 3)
	counts := slerp.NewConverter(safetensors.F8E4M3, safetensors.F32).Convert(dst, bytesOf(1, 1000, 1e-9))
	fmt.Printf("% x, %d overflow, %d underflow\n", dst, counts.Overflow, counts.Underflow)
	// Output: 38 7e 00, 1 overflow, 1 underflow
}
