package torchbin

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"slerpmerge/internal/tensor"
)

// batch is the number of items that CPython puts into a dict at once.
const batch = 1000

// classOps and dtypeOps are the GLOBAL opcodes of the storage classes and the
// dtypes: the inverse of globals. Types without a class are untyped storages.
var classOps, dtypeOps = func() (classes, dtypes map[DType]string) {
	classes, dtypes = make(map[DType]string), make(map[DType]string)
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
	kept bool            // else b is given up from time to time
	memo map[string]byte // opcodes by what they push

	shape, strides []int64 // of the current tensor
	digits         []byte
}

// pickleOf pickles a dict of names to tensors with the opcodes that torch
// writes (docs/formats.md 3.2).
func pickleOf(tensors Table, storage []int) ([]byte, error) {
	if n := tensors.Len(); n > maxTensors {
		return nil, fmt.Errorf("%d tensors, more than %d", n, maxTensors)
	}
	// The first pass only counts: growing would copy all of it.
	var count pickler
	n, err := count.dict(tensors, storage)
	if err != nil {
		return nil, err
	}
	p := pickler{b: make([]byte, 0, n), kept: true}
	_, err = p.dict(tensors, storage)
	return p.b, err
}

// dict pickles the whole and gives its length.
func (p *pickler) dict(tensors Table, storage []int) (n int64, err error) {
	p.memo = make(map[string]byte)
	var keys []int32 // where there are ties
	if storage != nil {
		keys = make([]int32, len(storage))
	}
	p.b = append(p.b, 0x80, 2, '}')
	next, dims, last := int32(0), 0, tensors.Len()-1
	for i := range tensors.Len() {
		key := next
		if owner := ownerOf(storage, i); owner == i {
			next++
		} else {
			key = keys[owner]
		}
		if keys != nil {
			keys[i] = key
		}
		if i%batch == 0 {
			p.b = append(p.b, '(')
		}
		t := tensors.Info(i)
		if err := p.item(&t, key); err != nil {
			return 0, fmt.Errorf("tensor %s: %w", quote(t.Name), err)
		}
		if i%batch == batch-1 || i == last {
			p.b = append(p.b, 'u')
		}
		if dims += 2 * len(t.Shape); dims > maxDims {
			return 0, fmt.Errorf("more than %d dimensions and strides in all tensors", maxDims)
		}
		if !p.kept {
			n += int64(len(p.b))
			p.b = p.b[:0]
		}
		if n >= maxPickle {
			return 0, fmt.Errorf("the pickle of %d tensors would be longer than %d bytes", tensors.Len(), maxPickle)
		}
	}
	p.b = append(p.b, '.')
	return n + int64(len(p.b)), nil
}

// item pickles a name and a tensor in the storage key.
func (p *pickler) item(t *Info, key int32) error {
	if err := p.dimsOf(t); err != nil {
		return err
	}
	if len(t.Name) > maxText {
		return fmt.Errorf("a name of %d bytes, more than %d", len(t.Name), maxText)
	}
	rebuild, class, dtype := "ctorch._utils\n_rebuild_tensor_v2\n", classOps[t.DType], ""
	count := t.Bytes()
	if class != "" {
		count /= int64(t.DType.Size())
	} else {
		rebuild, class, dtype = "ctorch._utils\n_rebuild_tensor_v3\n", "ctorch.storage\nUntypedStorage\n", dtypeOps[t.DType]
	}
	if count > math.MaxInt64/16 {
		return fmt.Errorf("the storage is too large")
	}

	p.text(t.Name)
	p.once(rebuild)
	p.b = append(p.b, '(', '(')
	p.once("X\x07\x00\x00\x00storage")
	p.once(class)
	p.digits = strconv.AppendInt(p.digits[:0], int64(key), 10)
	p.b = append(put(append(p.b, 'X'), 4, int64(len(p.digits))), p.digits...)
	p.once("X\x03\x00\x00\x00cpu")
	p.int(count)
	p.b = append(p.b, 't', 'Q')
	p.int(0)
	p.tuple(p.shape)
	p.tuple(p.strides)
	p.b = append(p.b, 0x89)
	p.once("ccollections\nOrderedDict\n")
	p.b = append(p.b, ')', 'R')
	if dtype != "" {
		p.once(dtype)
	}
	p.b = append(p.b, 't', 'R')
	return nil
}

// dimsOf sets shape and row-major strides as torch counts them: in pairs for
// F4, and an empty dimension as one for the strides.
func (p *pickler) dimsOf(t *Info) error {
	if dtypeOps[t.DType] == "" {
		return fmt.Errorf("torch has no type %s", t.DType)
	}
	if len(t.Shape) > maxRank {
		return fmt.Errorf("%d dimensions, more than %d", len(t.Shape), maxRank)
	}
	dims := t.Shape
	if last := len(dims) - 1; t.DType == tensor.F4 {
		if last < 0 || dims[last]%2 != 0 {
			return fmt.Errorf("torch counts pairs of F4, and the last dimension of %v is not even", dims)
		}
		dims = slices.Clone(dims)
		dims[last] /= 2
	}
	p.shape, p.strides = slices.Grow(p.shape[:0], len(dims))[:len(dims)], slices.Grow(p.strides[:0], len(dims))[:len(dims)]
	step := uint64(1)
	for i := len(dims) - 1; i >= 0; i-- {
		p.shape[i], p.strides[i] = int64(dims[i]), int64(step)
		hi, lo := bits.Mul64(step, max(1, dims[i]))
		if hi != 0 || lo > math.MaxInt64/16 {
			return fmt.Errorf("the size of %v is too large", dims)
		}
		step = lo
	}
	return nil
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
