package verify

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/text"
	"slerpmerge/slerp"
)

// A Place says in what kind of bytes a Difference lies.
type Place string

const (
	InTensor   Place = "tensor"   // values
	InHeader   Place = "header"   // of a safetensors file
	InZip      Place = "zip"      // headers, padding, pickle and directory of a .bin file
	InCRC      Place = "crc32"    // of a tensor's values, in a .bin file
	InFile     Place = "file"     // not a weight file
	InSize     Place = "size"     // a weight file has another length
	IsMissing  Place = "missing"  // there is no such file
	IsStray    Place = "stray"    // weights or an index that do not belong to the model
	InChecksum Place = "checksum" // a file has not the SHA-256 that SHA256SUMS says, or SHA256SUMS can't be read
	InRecord   Place = "record"   // the record of the merge is not about this model; not found by Verify
)

// A Difference is the first place in which a tensor, or a stretch of bytes
// between tensors, or a file differs as a whole.
type Difference struct {
	File   string
	Place  Place
	Tensor string // the one it lies in, whose checksum it is, or that follows; "" for none
	// Offset is the place in the file, TensorOffset that in the tensor, in
	// bytes. Index is the element's place in the tensor's shape.
	Offset       int64
	TensorOffset int64
	Index        []uint64
	// Expected and Found are the values there, for people; their bits are in
	// ExpectedHex and FoundHex, most significant digit first. For InSize they
	// are lengths, for InChecksum digests. Where there is nothing to expect,
	// Found is a sentence.
	Expected, Found       string
	ExpectedHex, FoundHex string
	Count                 int64 // of elements that differ, in a tensor; else of bytes

	file int // its index, for the order
}

// String returns the difference in one line.
func (d Difference) String() string {
	file := text.Quote(d.File)
	switch d.Place {
	case IsMissing:
		return file + ": missing"
	case IsStray:
		return file + ": does not belong to this model, but programs that load it may take it"
	case InSize:
		msg := fmt.Sprintf("%s: %s bytes long, expected %s", file, d.Found, d.Expected)
		if d.Tensor != "" {
			msg += ", cut off in or before tensor " + text.Quote(d.Tensor)
		}
		return msg
	case InRecord:
		return file + ": " + d.Found
	case InChecksum:
		if d.Expected == "" {
			return file + ": " + d.Found
		}
		return fmt.Sprintf("%s: SHA-256 is %s, SHA256SUMS says %s", file, d.Found, d.Expected)
	case InTensor:
		values := fmt.Sprintf("expected %s, found %s", d.ExpectedHex, d.FoundHex)
		if d.Expected != "" { // a type whose values have names
			values = fmt.Sprintf("expected %s (%s), found %s (%s)", d.Expected, d.ExpectedHex, d.Found, d.FoundHex)
		}
		return fmt.Sprintf("%s: tensor %s, element %s (byte %d of the tensor, %d of the file): %s; %s", file, text.Quote(d.Tensor),
			strings.ReplaceAll(fmt.Sprint(d.Index), " ", ", "), d.TensorOffset, d.Offset, values, differs(d.Count, "element"))
	}
	where := map[Place]string{InHeader: "header, ", InZip: "behind the last tensor, ", InCRC: "CRC-32 of tensor " + text.Quote(d.Tensor) + ", "}[d.Place]
	if d.Place == InZip && d.Tensor != "" {
		where = "ZIP bytes before tensor " + text.Quote(d.Tensor) + ", "
	}
	with := func(hex, excerpt string) string { return strings.TrimSuffix(hex+" "+excerpt, " ") }
	return fmt.Sprintf("%s: %sbyte %d: expected %s, found %s; %s", file, where, d.Offset, with(d.ExpectedHex, d.Expected), with(d.FoundHex, d.Found), differs(d.Count, "byte"))
}

func differs(n int64, noun string) string {
	return text.Count(n, noun) + " " + text.Verb(n, "differs", "differ")
}

// unequal finds the first unit of size bytes (1, 2, 4 or 8) that differs
// between two texts of one length, -1 if none does, and counts all.
func unequal(a, b []byte, size int) (first int, n int64) {
	first = -1
	count := func(at int, same bool) {
		if same {
			return
		}
		if n == 0 {
			first = at
		}
		n++
	}
	switch size {
	case 2:
		for i := 0; i+2 <= len(a); i += 2 {
			count(i, binary.LittleEndian.Uint16(a[i:]) == binary.LittleEndian.Uint16(b[i:]))
		}
	case 4:
		for i := 0; i+4 <= len(a); i += 4 {
			count(i, binary.LittleEndian.Uint32(a[i:]) == binary.LittleEndian.Uint32(b[i:]))
		}
	case 8:
		for i := 0; i+8 <= len(a); i += 8 {
			count(i, binary.LittleEndian.Uint64(a[i:]) == binary.LittleEndian.Uint64(b[i:]))
		}
	default:
		for i := range a {
			count(i, a[i] == b[i])
		}
	}
	return first, n
}

// bits writes little-endian bytes as one number.
func bits(b []byte) string {
	s := "0x"
	for i := len(b) - 1; i >= 0; i-- {
		s += fmt.Sprintf("%02x", b[i])
	}
	return s
}

// decode writes one element, "" where its bits say all that there is to say.
func decode(d tensor.DType, b []byte) string {
	if d.Blends() {
		var wide [8]byte
		slerp.NewConverter(tensor.F64, d).Convert(wide[:], b)
		v, precision := math.Float64frombits(binary.LittleEndian.Uint64(wide[:])), 32
		if d == tensor.F64 {
			precision = 64
		}
		return strconv.FormatFloat(v, 'g', -1, precision)
	}
	var word [8]byte
	copy(word[:], b)
	u := binary.LittleEndian.Uint64(word[:])
	switch d {
	case tensor.I8:
		return strconv.Itoa(int(int8(u)))
	case tensor.I16:
		return strconv.Itoa(int(int16(u)))
	case tensor.I32:
		return strconv.Itoa(int(int32(u)))
	case tensor.I64:
		return strconv.FormatInt(int64(u), 10)
	case tensor.U8, tensor.U16, tensor.U32, tensor.U64, tensor.BOOL:
		return strconv.FormatUint(u, 10)
	case tensor.C64:
		re, im := math.Float32frombits(uint32(u)), math.Float32frombits(uint32(u>>32))
		return strconv.FormatComplex(complex(float64(re), float64(im)), 'g', -1, 64)
	}
	return ""
}

// indexOf returns the place in a shape of element n, in row-major order.
func indexOf(n uint64, shape []uint64) []uint64 {
	index := make([]uint64, len(shape))
	for k := len(shape) - 1; k >= 0; k-- {
		index[k], n = n%shape[k], n/shape[k]
	}
	return index
}
