package slerp

// Kernels names the implementation that is used on this machine: "avx2", the assembly
// for AVX2, FMA and F16C, or "go". The results are the same to the last bit.
func Kernels() string {
	if useAsm {
		return "avx2"
	}
	return "go"
}
