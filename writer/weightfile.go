package writer

import "strings"

// IsWeightFile reports whether programs that load models take a file for
// weights by its name: NAME.safetensors, or NAME.bin with pytorch_model in it.
func IsWeightFile(name string) bool {
	return strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".bin") && strings.Contains(name, "pytorch_model")
}

// IsWeightIndex reports the same of an index of weight files.
func IsWeightIndex(name string) bool {
	file, ok := strings.CutSuffix(name, ".index.json")
	return ok && IsWeightFile(file)
}
