package model

import "slerpmerge/internal/tensor"

// foreign says of the kinds of files that hold no weights for this program why
// that is, and what to do about it.
var foreign = map[tensor.FileKind]struct{ sentence, hint string }{
	tensor.TarFile: {sentence: "is a tar archive, the PyTorch format of 2016"},
	tensor.GGUFFile: {
		"is a GGUF file, a llama.cpp format whose tensors are quantised or renamed",
		"merge the original model folder and convert the result to GGUF afterwards",
	},
	tensor.LFSPointer: {
		"is a Git LFS pointer, not the weights themselves",
		"fetch the weights with: git lfs pull",
	},
	tensor.HDF5File: {
		"is an HDF5 file, the TensorFlow and Keras format",
		"have transformers rewrite the model as safetensors: save_pretrained(FOLDER, safe_serialization=True)",
	},
	tensor.WebPage: {
		"is a web page, so the download went wrong",
		"download the file again, for example with: hf download ORG/NAME",
	},
}
