package model

import (
	"bytes"
	"encoding/binary"
)

// A kind is what the first bytes of a file say it is.
type kind int

const (
	kindUnknown kind = iota
	kindSafetensors
	kindTorchZip
	kindTorchLegacy
	kindTar
	kindGGUF
	kindLFS
	kindHDF5
	kindHTML
)

// sniffLen is how many bytes sniff wants: a tar names itself at byte 257.
const sniffLen = 264

// sniff tells the kind of a file from its first bytes, never from its name.
// What has no mark of its own counts as safetensors when its header length
// and first brace are plausible.
func sniff(b []byte) kind {
	switch {
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		return kindTorchZip
	case len(b) > 8 && b[0] == 0x80 && b[1] <= 5 && b[8] != '{': // another pickle: torchbin says what is wrong
		return kindTorchLegacy
	case bytes.HasPrefix(b, []byte("GGUF")):
		return kindGGUF
	case bytes.HasPrefix(b, []byte("version https://git-lfs")):
		return kindLFS
	case bytes.HasPrefix(b, []byte("\x89HDF")):
		return kindHDF5
	case len(b) >= 262 && string(b[257:262]) == "ustar":
		return kindTar
	}
	text := bytes.ToLower(bytes.TrimLeft(b, " \t\r\n"))
	if bytes.HasPrefix(text, []byte("<!doctype")) || bytes.HasPrefix(text, []byte("<html")) {
		return kindHTML
	}
	if len(b) > 8 && binary.LittleEndian.Uint64(b) <= 100_000_000 {
		if body := bytes.TrimLeft(b[8:], " \t\r\n"); len(body) == 0 || body[0] == '{' {
			return kindSafetensors
		}
	}
	return kindUnknown
}

// sentence says why a file of this kind is no weight file for this program.
func (k kind) sentence() string {
	switch k {
	case kindTar:
		return "is a tar archive, the PyTorch format of 2016"
	case kindGGUF:
		return "is a GGUF file, a llama.cpp format whose tensors are quantised or renamed"
	case kindLFS:
		return "is a Git LFS pointer, not the weights themselves"
	case kindHDF5:
		return "is an HDF5 file, the TensorFlow and Keras format"
	case kindHTML:
		return "is a web page, so the download went wrong"
	}
	return ""
}

// hint is what to do about it, "" when there is nothing to say.
func (k kind) hint() string {
	switch k {
	case kindHDF5:
		return "have transformers write the model anew as safetensors: save_pretrained(FOLDER, safe_serialization=True)"
	case kindGGUF:
		return "merge the original model folder and convert the result to GGUF afterwards"
	case kindLFS:
		return "fetch the weights with: git lfs pull"
	case kindHTML:
		return "download the file again, for example with: hf download ORG/NAME"
	}
	return ""
}
