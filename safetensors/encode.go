package safetensors

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"slerpmerge/internal/tensor"
)

// A Layout is a file before its data: everything follows from the names,
// types and shapes of the tensors.
type Layout struct {
	// Header is the beginning of the file: the length, the JSON and the spaces
	// that pad it to a multiple of 8.
	Header []byte

	// Offsets holds for each tensor, in the order given to Encode, where its
	// data begin, in bytes from the start of the file.
	Offsets []int64

	// Order lists the tensors, as indices into the argument of Encode, in the
	// order of their data.
	Order []int32

	// Size is the size of the whole file in bytes.
	Size int64
}

// Encode lays out a file as the reference library does, byte for byte: the
// tensors by descending rank of their type, then by name, without gaps; the
// header compact, the metadata first. The reference writes metadata in random
// order, Encode sorted by key. Nil metadata is left out, empty metadata is not;
// where there are no tensors either, the reference up to 0.8.0 writes broken
// JSON for it, and Encode does not.
//
// It is an error if a name occurs twice, is "__metadata__" or, as any text of
// the metadata, not UTF-8; if a size is not whole bytes or the file would
// exceed 2^63-1 bytes; and if the header would be longer than MaxHeader.
func Encode(tensors []Info, metadata map[string]string) (*Layout, error) {
	return EncodeTable(list(tensors), metadata)
}

// A Table gives tensors one by one.
type Table interface {
	Len() int
	Info(i int) Info
}

type list []Info

func (t list) Len() int        { return len(t) }
func (t list) Info(i int) Info { return t[i] }

// EncodeTable is Encode of tensors that are in no list of their own.
func EncodeTable(tensors Table, metadata map[string]string) (*Layout, error) {
	n := tensors.Len()
	l := &Layout{Offsets: make([]int64, n), Order: make([]int32, n)}
	for i := range l.Order {
		l.Order[i] = int32(i)
	}
	slices.SortFunc(l.Order, func(i, j int32) int {
		a, b := tensors.Info(int(i)), tensors.Info(int(j))
		return cmp.Or(cmp.Compare(b.DType, a.DType), cmp.Compare(a.Name, b.Name))
	})
	if err := checkNames(tensors); err != nil {
		return nil, err
	}

	h := append(make([]byte, lengthSize, headerRoom(tensors)), '{')
	if metadata != nil {
		h = append(appendText(h, metadataName), ':', '{')
		for i, k := range slices.Sorted(maps.Keys(metadata)) {
			if !utf8.ValidString(k) || !utf8.ValidString(metadata[k]) {
				return nil, fmt.Errorf("the metadata %s is not UTF-8", quote(k))
			}
			if i > 0 {
				h = append(h, ',')
			}
			h = append(appendText(h, k), ':')
			h = appendText(h, metadata[k])
		}
		h = append(h, '}')
	}
	var place uint64
	for n, i := range l.Order {
		t := tensors.Info(int(i))
		size, err := t.ByteLen()
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %s %s: %w", quote(t.Name), t.DType, shapeText(t.Shape), err)
		}
		if size > math.MaxInt64-MaxHeader-lengthSize-place {
			return nil, fmt.Errorf("tensor %s: the file would exceed 2^63-1 bytes", quote(t.Name))
		}
		if n > 0 || metadata != nil {
			h = append(h, ',')
		}
		h = append(appendText(h, t.Name), `:{"dtype":"`...)
		h = append(append(h, t.DType.String()...), `","shape":[`...)
		for k, d := range t.Shape {
			if k > 0 {
				h = append(h, ',')
			}
			h = strconv.AppendUint(h, d, 10)
		}
		h = append(h, `],"data_offsets":[`...)
		h = append(strconv.AppendUint(h, place, 10), ',')
		l.Offsets[i] = int64(place)
		place += size
		h = append(strconv.AppendUint(h, place, 10), "]}"...)
		if len(h) > MaxHeader {
			break
		}
	}
	h = append(h, '}')
	for len(h)%lengthSize != 0 {
		h = append(h, ' ')
	}
	length := len(h) - lengthSize
	if length > MaxHeader {
		return nil, fmt.Errorf("the header of %d tensors would be longer than %d bytes", n, MaxHeader)
	}
	binary.LittleEndian.PutUint64(h, uint64(length))
	for i := range l.Offsets {
		l.Offsets[i] += int64(len(h))
	}
	l.Header, l.Size = h, int64(len(h))+int64(place)
	return l, nil
}

// headerRoom estimates the length of a header, rather too long than too short.
func headerRoom(tensors Table) int {
	n := 1 << 10
	for i := range tensors.Len() {
		t := tensors.Info(i)
		n += 48 + 2*14 + len(t.Name) + 8*len(t.Shape)
	}
	return min(n, MaxHeader)
}

// checkNames refuses what a header cannot say.
func checkNames(tensors Table) error {
	for i := range tensors.Len() {
		name := tensors.Info(i).Name
		if name == metadataName {
			return fmt.Errorf("a tensor cannot have the name %s", metadataName)
		}
		if !utf8.ValidString(name) {
			return fmt.Errorf("the tensor name %s is not UTF-8", quote(name))
		}
	}
	if name, twice := tensor.Repeated(tensors.Len(), func(i int) string { return tensors.Info(i).Name }); twice {
		return fmt.Errorf("the tensor %s occurs twice", quote(name))
	}
	return nil
}

// appendText appends a JSON string with the escapes of the reference library:
// quotes, backslashes and characters below U+0020 only.
func appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for s != "" {
		n := 0
		for n < len(s) && s[n] >= ' ' && s[n] != '"' && s[n] != '\\' {
			n++
		}
		dst = append(dst, s[:n]...)
		if s = s[n:]; s != "" {
			dst = appendEscaped(dst, s[0])
			s = s[1:]
		}
	}
	return append(dst, '"')
}

func appendEscaped(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	if c < ' ' {
		return appendUnicode(dst, uint16(c))
	}
	return append(dst, c)
}

// appendUnicode appends \u and four digits.
func appendUnicode(dst []byte, unit uint16) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[unit>>12], hex[unit>>8&15], hex[unit>>4&15], hex[unit&15])
}
