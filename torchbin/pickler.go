package torchbin

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"slerpmerge/internal/tensor"
)

// batch is how many items CPython puts into a dict at once.
const batch = 1000

// classOps and dtypeOps are the GLOBAL opcodes of the storage classes and the
// dtypes: the inverse of globals. Types without a class are untyped storages.
var classOps, dtypeOps = func() (classes, dtypes map[tensor.DType]string) {
	classes, dtypes = make(map[tensor.DType]string), make(map[tensor.DType]string)
	for key, g := range globals {
		switch {
		case g.storage && !g.untyped:
			classes[g.dtype] = "c" + key + "\n"
		case g.isDType && !g.missing:
			dtypes[g.dtype] = "c" + key + "\n"
		}
	}
	return classes, dtypes
}()

// A pickler writes pickles of protocol 2.
type pickler struct {
	b    []byte
	memo map[string]byte // opcodes by what they push
}

// pickleOf pickles a dict of names to tensors with the opcodes that torch
// writes (docs/formats.md 3.2).
func pickleOf(tensors []tensor.Info, storage []int) ([]byte, error) {
	if len(tensors) > maxTensors {
		return nil, fmt.Errorf("%d tensors, more than %d", len(tensors), maxTensors)
	}
	room := 1 << 10
	for i := range tensors { // rather more than less: growing would copy all of it
		room += 160 + len(tensors[i].Name) + 16*len(tensors[i].Shape)
	}
	p := &pickler{b: make([]byte, 0, min(room, maxPickle)), memo: make(map[string]byte)}
	p.b = append(p.b, 0x80, 2, '}')
	keys := make([]int64, len(tensors))
	next, dims := int64(0), 0
	for i := range tensors {
		t := &tensors[i]
		if keys[i] = keys[storage[i]]; storage[i] == i {
			keys[i] = next
			next++
		}
		if i%batch == 0 {
			p.b = append(p.b, '(')
		}
		if err := p.item(t, keys[i]); err != nil {
			return nil, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
		}
		if i%batch == batch-1 || i == len(tensors)-1 {
			p.b = append(p.b, 'u')
		}
		if dims += 2 * len(t.Shape); dims > maxDims {
			return nil, fmt.Errorf("more than %d dimensions and strides in all tensors", maxDims)
		}
		if len(p.b) >= maxPickle {
			return nil, fmt.Errorf("the pickle of %d tensors would be longer than %d bytes", len(tensors), maxPickle)
		}
	}
	b := append(p.b, '.')
	// What Open would refuse must not be written.
	if _, err := newScanner(bytes.NewReader(b), 0, int64(len(b)), 0).scan(); err != nil {
		return nil, fmt.Errorf("a checkpoint of %d tensors could not be read again: %w", len(tensors), err)
	}
	return b, nil
}

// item pickles a name and a tensor in the storage key.
func (p *pickler) item(t *tensor.Info, key int64) error {
	shape, strides, err := dimsOf(t)
	if err != nil {
		return err
	}
	if len(t.Name) > maxText {
		return fmt.Errorf("a name of %d bytes, more than %d", len(t.Name), maxText)
	}
	rebuild, class, dtype := "_rebuild_tensor_v2", classOps[t.DType], ""
	count := t.Bytes()
	if class != "" {
		count /= int64(t.DType.Size())
	} else {
		rebuild, class, dtype = "_rebuild_tensor_v3", "ctorch.storage\nUntypedStorage\n", dtypeOps[t.DType]
	}
	if count > math.MaxInt64/16 {
		return fmt.Errorf("the storage is too large")
	}

	p.text(t.Name)
	p.once("ctorch._utils\n" + rebuild + "\n")
	p.b = append(p.b, '(', '(')
	p.once("X\x07\x00\x00\x00storage")
	p.once(class)
	p.text(strconv.FormatInt(key, 10))
	p.once("X\x03\x00\x00\x00cpu")
	p.int(count)
	p.b = append(p.b, 't', 'Q')
	p.int(0)
	p.tuple(shape)
	p.tuple(strides)
	p.b = append(p.b, 0x89)
	p.once("ccollections\nOrderedDict\n")
	p.b = append(p.b, ')', 'R')
	if dtype != "" {
		p.once(dtype)
	}
	p.b = append(p.b, 't', 'R')
	return nil
}

// dimsOf gives shape and row-major strides as torch counts them: in pairs for
// F4, and an empty dimension as one for the strides.
func dimsOf(t *tensor.Info) (shape, strides []int64, err error) {
	if dtypeOps[t.DType] == "" {
		return nil, nil, fmt.Errorf("torch has no type %s", t.DType)
	}
	if len(t.Shape) > maxRank {
		return nil, nil, fmt.Errorf("%d dimensions, more than %d", len(t.Shape), maxRank)
	}
	dims := t.Shape
	if last := len(dims) - 1; t.DType == tensor.F4 {
		if last < 0 || dims[last]%2 != 0 {
			return nil, nil, fmt.Errorf("torch counts pairs of F4, and the last dimension of %v is not even", dims)
		}
		dims = slices.Clone(dims)
		dims[last] /= 2
	}
	shape, strides = make([]int64, len(dims)), make([]int64, len(dims))
	step := uint64(1)
	for i := len(dims) - 1; i >= 0; i-- {
		shape[i], strides[i] = int64(dims[i]), int64(step)
		hi, lo := bits.Mul64(step, max(1, dims[i]))
		if hi != 0 || lo > math.MaxInt64/16 {
			return nil, nil, fmt.Errorf("the size of %v is too large", dims)
		}
		step = lo
	}
	return shape, strides, nil
}

// once writes an opcode that pushes something, and fetches it from the memo
// from the second time on.
func (p *pickler) once(op string) {
	if i, ok := p.memo[op]; ok {
		p.b = append(p.b, 'h', i)
		return
	}
	i := byte(len(p.memo))
	p.memo[op] = i
	p.b = append(append(p.b, op...), 'q', i)
}

func (p *pickler) text(s string) {
	p.b = append(put(append(p.b, 'X'), 4, int64(len(s))), s...)
}

// int writes an integer from 0 on in its shortest form.
func (p *pickler) int(n int64) {
	switch {
	case n < 1<<8:
		p.b = put(append(p.b, 'K'), 1, n)
	case n < 1<<16:
		p.b = put(append(p.b, 'M'), 2, n)
	case n < 1<<31:
		p.b = put(append(p.b, 'J'), 4, n)
	default:
		size := bits.Len64(uint64(n))/8 + 1 // with the sign bit
		p.b = put(append(p.b, 0x8a, byte(size)), size, n)
	}
}

func (p *pickler) tuple(values []int64) {
	if len(values) > 3 {
		p.b = append(p.b, '(')
	}
	for _, v := range values {
		p.int(v)
	}
	p.b = append(p.b, [...]byte{')', 0x85, 0x86, 0x87, 't'}[min(len(values), 4)])
}
