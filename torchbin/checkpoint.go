package torchbin

import (
	"cmp"
	"encoding/binary"
	"io"
	"slices"
	"sync"

	"github.com/nlpodyssey/gopickle/types"

	"slerpmerge/internal/tensor"
)

// A File holds a checkpoint; *mmapio.File implements it.
type File interface {
	io.ReaderAt
	Prefetch(off, n int64)
}

// A Checkpoint is the table of a file. Every place in it has been proven to
// lie in the file.
type Checkpoint struct {
	Format string // "torch-zip" or "torch-legacy"

	// Directory is the offset of the ZIP archive's directory in bytes. It goes
	// to the end of the file and has the checksum of every storage. 0 for a
	// legacy stream, which has no such list.
	Directory int64

	// Entry are the keys that lead from the object to the state_dict, none if
	// that is the object itself.
	Entry []string

	// Aside describes other parts of the object that could be the model.
	Aside []string

	// Tensors are in the order of their values in the file, so that a program
	// which goes through them reads on and on. Tensors that begin at the same
	// byte are in the order of the pickle.
	Tensors []Tensor

	shared, own *Gatherer
	once        sync.Once // of own
}

// A Tensor is a tensor and the place of its values in the file.
type Tensor struct {
	Info
	Offset  int64    // of the first element, in bytes from the start of the file
	Strides []uint64 // of the stored dimensions, in bytes; nil if row-major without gaps
	stored  []uint64 // the dimensions that Strides belong to; nil if Shape

	// SharesWith is the name of an earlier tensor with the same storage,
	// offset, shape and strides: the two are tied. It is empty if there is
	// none.
	SharesWith string
}

// Options for Open.
type Options struct {
	// Entry is the state_dict that is meant where there are several: keys with
	// slashes between, or TopLevel. If it is empty, the state_dict is the
	// object itself or found by the keys that trainers use.
	Entry string

	// Memory is the most bytes that the values of the pickle may take, 0 for a
	// limit that no checkpoint comes near.
	Memory int64

	// Gatherer is the one that the checkpoint's tensors are read through; nil
	// means one of its own.
	Gatherer *Gatherer
}

// Open reads and checks the table of a file of size bytes.
//
// An error of the content is a *FormatError, a choice that cannot be made an
// *EntryError, too little Memory a *MemoryError. Errors of f are wrapped.
func Open(f File, size int64, opt Options) (*Checkpoint, error) {
	c, err := openFormat(f, size, opt)
	if err != nil {
		return nil, err
	}
	c.shared = opt.Gatherer
	return c, nil
}

// gatherer returns the one of the options, or makes one when it is first needed.
func (c *Checkpoint) gatherer() *Gatherer {
	if c.shared != nil {
		return c.shared
	}
	c.once.Do(func() { c.own = NewGatherer() })
	return c.own
}

func openFormat(f File, size int64, opt Options) (*Checkpoint, error) {
	head := make([]byte, max(0, min(size, tarBlock)))
	if err := readFull(f, head, 0); err != nil {
		return nil, err
	}
	switch {
	case tensor.ZipFile.Match(head):
		return openZip(f, size, opt)
	case isTar(head):
		return nil, malformed("a tar archive, the PyTorch format of 2016, is not read")
	case isLegacy(head):
		return openLegacy(f, size, opt)
	case len(head) >= 2 && head[0] == 0x80 && (head[1] == 4 || head[1] == 5):
		return nil, accuse(malformed("a bare pickle, or a legacy stream of pickle protocol %d, is not read", head[1]), f, 0, size, 0)
	case len(head) >= 2 && head[0] == 0x80 && head[1] <= 5:
		return nil, accuse(malformed("a bare pickle, which torch.save does not write, is not read"), f, 0, size, 0)
	}
	return nil, malformed("neither a ZIP archive nor a legacy stream of torch.save")
}

// table makes a Checkpoint of the unpickled object.
func table(format string, top any, entry string) (*Checkpoint, error) {
	dict, path, aside, err := state(top, entry)
	if err != nil {
		return nil, err
	}
	c := &Checkpoint{Format: format, Entry: path, Aside: aside}
	return c, c.fill(dict)
}

func describe(v any) string {
	switch v.(type) {
	case *value:
		return "a lone tensor"
	case *types.List, *types.Tuple:
		return "a list"
	case *storage:
		return "a storage"
	case *named:
		return "a global"
	}
	return "something else"
}

// same reports whether two tensors are one under two names.
func (v *value) same(w *value) bool {
	return v.storage == w.storage && v.offset == w.offset && v.dtype == w.dtype &&
		slices.Equal(v.shape, w.shape) && slices.Equal(v.strides, w.strides)
}

// A row is a tensor under a name, before it is in the table.
type row struct {
	name  string
	v     *value
	order int32 // in the pickle
}

// fill makes the table of a state_dict.
func (c *Checkpoint) fill(dict types.Dict) error {
	if len(dict) > maxNames {
		return malformed("the state_dict has %d entries, more than %d", len(dict), maxNames)
	}
	again, err := repeated(dict)
	if err != nil {
		return err
	}
	rows := make([]row, 0, min(len(dict), maxTensors))
	for i, e := range dict {
		v, ok := e.Value.(*value)
		if !ok || again != nil && again[i] {
			continue
		}
		if len(rows) == maxTensors {
			return malformed("more than %d tensors", maxTensors)
		}
		rows = append(rows, row{e.Key.(string), v, int32(i)})
	}
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.v.begin(), b.v.begin()), cmp.Compare(a.order, b.order))
	})
	c.Tensors = make([]Tensor, 0, len(rows))
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].v.begin() == rows[0].v.begin() {
			n++
		}
		if err := c.group(rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// group adds tensors that begin at one place, some of which may be tied.
func (c *Checkpoint) group(rows []row) error {
	var tied map[shape]string
	for _, r := range rows {
		if r.v.at == 0 { // a tensor may have many names
			t, err := r.v.tensor()
			if err != nil {
				return within(quote(r.name), err)
			}
			c.Tensors = append(c.Tensors, t)
			r.v.at = int32(len(c.Tensors))
		} else {
			c.Tensors = append(c.Tensors, c.Tensors[r.v.at-1])
		}
		t := &c.Tensors[len(c.Tensors)-1]
		t.Name, t.SharesWith = r.name, ""
		if len(rows) == 1 {
			break
		}
		if tied == nil {
			tied = make(map[shape]string)
		}
		id := r.v.dims()
		if first, ok := tied[id]; ok {
			t.SharesWith = first
		} else {
			tied[id] = r.name
		}
	}
	return nil
}

// repeated checks the names of a state_dict. A name that occurs again must have
// the same value; the entries that say so are true in the result, which is nil
// if there are none.
func repeated(dict types.Dict) (again []bool, err error) {
	long := 0 // one name can be used over and over
	order := make([]int32, len(dict))
	for i, e := range dict {
		name, ok := e.Key.(string)
		if !ok {
			return nil, malformed("a key of the state_dict is no text, so it names no tensor")
		}
		if long += len(name); long > maxPickle {
			return nil, malformed("the names are longer than %d bytes in all", maxPickle)
		}
		order[i] = int32(i)
	}
	name := func(i int32) string { return dict[i].Key.(string) }
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(name(a), name(b)), cmp.Compare(a, b)) })
	first := int32(0)
	for k, i := range order {
		if k == 0 || name(i) != name(first) {
			first = i
			continue
		}
		a, _ := dict[first].Value.(*value)
		b, _ := dict[i].Value.(*value)
		if (a == nil) != (b == nil) || a != nil && !a.same(b) {
			return nil, malformed("the name %s occurs twice with different values", quote(name(i)))
		}
		if again == nil {
			again = make([]bool, len(dict))
		}
		again[i] = true
	}
	return again, nil
}

// begin returns the offset of the tensor's extent in the file.
func (v *value) begin() int64 {
	base := v.storage.base
	if v.storage.root != nil {
		base = v.storage.root.base
	}
	return base + v.storage.first*v.storage.size() + v.offset*itemSize(v.dtype)
}

// A shape distinguishes tensors that begin at one place: equal ones are tied.
type shape struct {
	dtype DType
	dims  string // shape and strides
}

func (v *value) dims() shape {
	var dims []byte
	for i := range v.shape {
		dims = binary.AppendVarint(binary.AppendVarint(dims, v.shape[i]), v.strides[i])
	}
	return shape{v.dtype, string(dims)}
}

// tensor makes the entry of the table, without the name.
func (v *value) tensor() (Tensor, error) {
	t := Tensor{Info: Info{DType: v.dtype, Shape: make([]uint64, len(v.shape))}, Offset: v.begin()}
	for i, d := range v.shape {
		t.Shape[i] = uint64(d)
	}
	if v.bytes > 0 && !v.contiguous() {
		t.Strides = make([]uint64, len(v.strides))
		for i, s := range v.strides {
			t.Strides[i] = uint64(s) * uint64(itemSize(v.dtype))
			if v.shape[i] == 1 { // may be any number, and is not used
				t.Strides[i] = 0
			}
		}
	}
	if v.dtype == tensor.F4 { // torch counts pairs
		if len(t.Shape) == 0 {
			return t, malformed("a tensor of pairs without dimensions")
		}
		t.stored = slices.Clone(t.Shape)
		t.Shape[len(t.Shape)-1] *= 2
	}
	n, err := t.ByteLen()
	if err != nil {
		return t, malformed("%v", err)
	}
	if n != uint64(v.bytes) {
		return t, malformed("%d bytes of values, not %d", v.bytes, n)
	}
	return t, nil
}

// contiguous reports whether the elements lie row-major without gaps.
func (v *value) contiguous() bool {
	step := int64(1)
	for i := len(v.shape) - 1; i >= 0; i-- {
		if v.shape[i] != 1 {
			if v.strides[i] != step {
				return false
			}
			step *= v.shape[i]
		}
	}
	return true
}
