package safetensors

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"slerpmerge/internal/tensor"
)

const (
	// MaxIndex is the greatest size of an index in bytes.
	MaxIndex = 100_000_000

	// MaxEntries is the greatest number of tensors in an index; models have
	// some hundred thousand at most.
	MaxEntries = 1 << 20

	// MaxShards is the greatest number of files in an index; their usual names
	// have five digits for it.
	MaxShards = 1 << 17

	// maxFileName is the longest name in bytes that usual file systems allow.
	maxFileName = 255
)

// An Entry of an index says which shard holds a tensor.
type Entry struct {
	Name string
	File string // a plain file name
}

// An Index is the list of a sharded model, sorted by the tensors' names, no
// name twice. Folders of .bin shards have one of the same form.
type Index []Entry

// File returns the shard that holds the tensor of that name.
func (x Index) File(name string) (file string, ok bool) {
	i, ok := slices.BinarySearchFunc(x, name, func(e Entry, name string) int { return strings.Compare(e.Name, name) })
	if !ok {
		return "", false
	}
	return x[i].File, true
}

// Files lists the shards, sorted, each once.
func (x Index) Files() []string {
	var files []string
	seen := make(map[string]bool)
	for i := range x {
		if f := x[i].File; !seen[f] {
			seen[f] = true
			files = append(files, f)
		}
	}
	slices.Sort(files)
	return files
}

// ReadIndex reads and checks an index of size bytes: one JSON object, by the
// rules for headers, with a member "weight_map" that is an object of texts and
// not empty. Other members are ignored, "metadata" among them, which is often
// wrong; but no member may occur twice.
//
// A shard has a plain file name that ends in ext, such as ".safetensors".
// Folders are refused, even below the model's, and so is whatever any system
// could take for a path, a drive or a device.
//
// An error in the content is a *FormatError. Errors of r are wrapped,
// and so is [io.ErrUnexpectedEOF] if r ends before size.
func ReadIndex(r io.ReaderAt, size int64, ext string) (Index, error) {
	if size > MaxIndex {
		return nil, malformed("an index of %d bytes is longer than %d", size, MaxIndex)
	}
	p := &indexParser{
		scanner: newScanner(r, "index", 0, max(0, size)),
		ext:     ext,
		files:   make(map[string]string),
		members: make(map[string]bool),
	}
	if err := p.object(p.member); err != nil {
		return nil, err
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	if !p.members["weight_map"] {
		return nil, malformed("the index has no weight_map")
	}
	if len(p.index) == 0 {
		return nil, malformed("the weight_map of the index is empty")
	}
	byName := func(a, b Entry) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(p.index, byName)
	for i := 1; i < len(p.index); i++ {
		if p.index[i].Name == p.index[i-1].Name {
			return nil, malformed("weight_map: the tensor %s occurs twice", quote(p.index[i].Name))
		}
	}
	return p.index, nil
}

type indexParser struct {
	*scanner
	ext     string
	index   Index
	names   tensor.Arena
	files   map[string]string // the shards' names, so that entries share them
	members map[string]bool   // at the top
}

func (p *indexParser) member(name []byte) error {
	const most = 1 << 10 // members at the top; two are usual
	key := string(name)
	if p.members[key] {
		return p.fail("%s occurs twice,", quote(key))
	}
	if len(p.members) == most {
		return p.fail("more than %d members", most)
	}
	p.members[key] = true
	if key == "weight_map" {
		return within(key, p.object(p.entry))
	}
	return p.skip()
}

func (p *indexParser) entry(name []byte) error {
	if len(p.index) == MaxEntries {
		return p.fail("more than %d tensors", MaxEntries)
	}
	e := Entry{Name: p.names.Text(name)}
	file, err := p.text()
	if err != nil {
		return within("tensor "+quote(e.Name), err)
	}
	shard, known := p.files[string(file)]
	if !known {
		if err := checkShardName(file, p.ext); err != nil {
			return within("tensor "+quote(e.Name), err)
		}
		if len(p.files) == MaxShards {
			return p.fail("more than %d shards", MaxShards)
		}
		shard = string(file)
		p.files[shard] = shard
	}
	e.File = shard
	p.index = append(p.index, e)
	return nil
}

// checkShardName refuses everything but one plain file name.
func checkShardName(file []byte, ext string) error {
	name := string(file[:min(len(file), maxFileName+1)])
	why := ""
	switch {
	case name == "":
		why = "is empty"
	case len(name) > maxFileName:
		why = "is too long"
	case strings.ContainsAny(name, `/\`):
		why = "is in another folder; shards lie beside their index"
	case strings.Contains(name, "..") || strings.Contains(name, ":"):
		why = "is not a plain file name"
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		why = "holds a control character"
	case !strings.HasSuffix(name, ext):
		why = "does not end in " + ext
	case !filepath.IsLocal(name): // devices such as NUL on Windows
		why = "is not a plain file name"
	default:
		return nil
	}
	return malformed("the shard name %s %s", quote(file), why)
}

// Encode writes the index as transformers does: indented by two spaces, sorted
// by name, ASCII, with a newline at the end. totalSize is the sum of the
// tensors' sizes in bytes, totalParameters that of their elements; that is
// left out if 0, as huggingface_hub does.
//
// It is an error if a name is not UTF-8 or occurs twice. The index need not be
// sorted.
func (x Index) Encode(totalSize, totalParameters int64) ([]byte, error) {
	out := bytes.NewBuffer(make([]byte, 0, 1<<10+100*len(x)))
	err := WriteIndex(out, len(x), func(i int) Entry { return x[i] }, totalSize, totalParameters)
	return out.Bytes(), err
}

// WriteIndex writes the index as Encode does, for a list of n entries that need
// not exist as an Index. An error may come after a part was written.
func WriteIndex(w io.Writer, n int, entry func(i int) Entry, totalSize, totalParameters int64) error {
	order := make([]int32, n)
	for i := range order {
		order[i] = int32(i)
	}
	byName := func(a, b int32) int { return strings.Compare(entry(int(a)).Name, entry(int(b)).Name) }
	if !slices.IsSortedFunc(order, byName) {
		slices.SortFunc(order, byName)
	}
	out := append(make([]byte, 0, indexChunk+1<<10), "{\n  \"metadata\": {\n"...)
	if totalParameters > 0 {
		out = append(strconv.AppendInt(append(out, `    "total_parameters": `...), totalParameters, 10), ",\n"...)
	}
	out = strconv.AppendInt(append(out, `    "total_size": `...), totalSize, 10)
	out = append(out, "\n  },\n  \"weight_map\": {"...)
	last := ""
	for i, k := range order {
		e := entry(int(k))
		if !utf8.ValidString(e.Name) || !utf8.ValidString(e.File) {
			return fmt.Errorf("the tensor name %s or its shard's %s is not UTF-8", quote(e.Name), quote(e.File))
		}
		if i > 0 {
			if e.Name == last {
				return fmt.Errorf("the tensor %s occurs twice", quote(e.Name))
			}
			out = append(out, ',')
		}
		last = e.Name
		out = append(appendASCII(append(out, "\n    "...), e.Name), ": "...)
		if out = appendASCII(out, e.File); len(out) >= indexChunk {
			if _, err := w.Write(out); err != nil {
				return err
			}
			out = out[:0]
		}
	}
	if n > 0 {
		out = append(out, "\n  "...)
	}
	_, err := w.Write(append(out, "}\n}\n"...))
	return err
}

// indexChunk is the size in bytes of one write of an index.
const indexChunk = 32 << 10

// appendASCII appends a JSON string with the escapes of Python's json module:
// whatever is not printable ASCII becomes UTF-16 units.
func appendASCII(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r < 0x7f:
			dst = appendEscaped(dst, byte(r))
		case r <= 0xffff:
			dst = appendUnicode(dst, uint16(r))
		default:
			high, low := utf16.EncodeRune(r)
			dst = appendUnicode(appendUnicode(dst, uint16(high)), uint16(low))
		}
	}
	return append(dst, '"')
}
