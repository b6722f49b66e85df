package writer

import "testing"

func TestIsWeightFile(t *testing.T) {
	for name, want := range map[string]bool{
		"model.safetensors": true, "model-00001-of-00002.safetensors": true, "consolidated.safetensors": true,
		"pytorch_model.bin": true, "pytorch_model-00001-of-00002.bin": true, "diffusion_pytorch_model.fp16.bin": true,
		"training_args.bin": false, "model.bin": false, "pytorch_model.bin.index.json": false, "pytorch_model.pt": false, "safetensors": false, "": false,
	} {
		if got := IsWeightFile(name); got != want {
			t.Errorf("IsWeightFile(%q) = %v", name, got)
		}
	}
	for name, want := range map[string]bool{
		"model.safetensors.index.json": true, "diffusion_pytorch_model.bin.index.json": true,
		"model.safetensors": false, "tokenizer.index.json": false, "index.json": false,
	} {
		if got := IsWeightIndex(name); got != want {
			t.Errorf("IsWeightIndex(%q) = %v", name, got)
		}
	}
}
