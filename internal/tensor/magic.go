package tensor

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// A FileKind is the kind of a file by its first bytes.
type FileKind uint8

const (
	UnknownFile FileKind = iota
	ZipFile              // a PyTorch checkpoint, or any other archive
	PickleFile           // a PyTorch checkpoint of before 1.6, or any other pickle
	GGUFFile
	LFSPointer
	HDF5File
	TarFile
	WebPage
	SafetensorsFile // a plausible header length and an opening brace, as the format has no magic number
	XMLFile
	GzipFile
	NumPyFile
	JSONFile
	TextFile
	numFileKinds
)

// SniffLen is the number of bytes that Sniff looks at, for a file that has as
// many: a tar archive is marked at byte 257.
const SniffLen = 264

// maxSafetensorsHeader is safetensors.MaxHeader.
const maxSafetensorsHeader = 100_000_000

var fileKinds = [numFileKinds]struct {
	name  string // completes "the file looks like"
	off   int
	magic string // "" where Match has a rule
}{
	UnknownFile:     {name: "an unknown file"},
	ZipFile:         {"a zip archive, as PyTorch writes", 0, "PK\x03\x04"},
	PickleFile:      {name: "a pickle, as PyTorch writes"},
	GGUFFile:        {"a GGUF file", 0, "GGUF"},
	LFSPointer:      {"a Git LFS pointer: the weights themselves have not been downloaded", 0, "version https://git-lfs"},
	HDF5File:        {"an HDF5 file", 0, "\x89HDF"},
	TarFile:         {"a tar archive", 257, "ustar"},
	WebPage:         {name: "a web page"},
	SafetensorsFile: {name: "a safetensors file"},
	XMLFile:         {"an XML document", 0, "<?xml"},
	GzipFile:        {"a gzip archive", 0, "\x1f\x8b"},
	NumPyFile:       {"a NumPy array", 0, "\x93NUMPY"},
	JSONFile:        {"JSON without the length before it", 0, "{"},
	TextFile:        {name: "text"},
}

// String describes the kind, such as "a web page".
func (k FileKind) String() string { return fileKinds[k].name }

// Sniff finds the kind of a file from its first bytes.
func Sniff(head []byte) FileKind {
	for k := UnknownFile + 1; k < numFileKinds; k++ {
		if k.Match(head) {
			return k
		}
	}
	return UnknownFile
}

// Match reports whether a file that begins with head can be of this kind. More
// than one kind may match; Sniff gives the first.
func (k FileKind) Match(head []byte) bool {
	switch k {
	case UnknownFile:
		return false
	case PickleFile: // a safetensors header of 640 bytes begins with \x80\x02, too
		return len(head) > 8 && head[0] == 0x80 && head[1] <= 5 && head[8] != '{'
	case WebPage:
		text := strings.ToLower(string(bytes.TrimLeft(head[:min(len(head), SniffLen)], whiteSpace)))
		return strings.HasPrefix(text, "<!doctype") || strings.HasPrefix(text, "<html")
	case SafetensorsFile:
		if len(head) <= 8 || binary.LittleEndian.Uint64(head) > maxSafetensorsHeader {
			return false
		}
		body := bytes.TrimLeft(head[8:], whiteSpace)
		return len(body) == 0 || body[0] == '{'
	case TextFile:
		for _, c := range head {
			if c < ' ' && !strings.ContainsRune(whiteSpace, rune(c)) || c > '~' {
				return false
			}
		}
		return len(head) > 0
	}
	m := &fileKinds[k]
	return len(head) >= m.off && bytes.HasPrefix(head[m.off:], []byte(m.magic))
}

const whiteSpace = " \t\r\n"
