package slerp

// A kernelSet says which kernels a Blender, a Converter, InnerProducts or a
// Distance uses. The exported constructors take those of this machine; tests
// compare them with the definition.
type kernelSet uint8

const (
	noKernels kernelSet = iota // the definition alone, in Go
	avx2                       // AVX2, FMA and F16C
	avx512                     // these, and AVX-512 F
)

// Kernels names the implementation that is used on this machine: "avx2", the assembly
// for AVX2, FMA and F16C, "avx512", which has more of it for three tensors and more, or
// "go". The results are the same to the last bit.
func Kernels() string { return [...]string{"go", "avx2", "avx512"}[detected] }
