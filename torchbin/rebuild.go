package torchbin

import (
	"math"
	"math/bits"
	"strings"

	"github.com/nlpodyssey/gopickle/types"

	"slerpmerge/internal/tensor"
)

// maxRank is torch's own limit of dimensions.
const maxRank = 64

// maxDims is the most sizes and strides of all tensors.
const maxDims = 1 << 20

// maxKey is the most bytes of a storage's key; torch.save writes numbers.
const maxKey = 255

// maxExpanded is the most bytes that all tensors may have beyond those of
// their storages: with strides of 0 a small file could ask for terabytes.
const maxExpanded = 1 << 30

// A storage is named by a persistent id. In a legacy stream it may be a
// part of another one.
type storage struct {
	class  *global
	key    string
	count  int64 // elements of the class, of the whole record
	first  int64 // of the part, in elements
	length int64 // of the part
	base   int64 // where the record begins in the file, once it is known
	placed bool
	root   *storage // the record, nil if this is it
}

// size returns the size of an element of the class.
func (s *storage) size() int64 { return int64(s.class.dtype.Size()) }

// persistent makes a storage of a persistent id.
func (d *decoder) persistent(id any) (any, error) {
	s, err := d.storage(id)
	if err != nil {
		return nil, d.fail(d.refuse("persistent id: %s", err.Reason))
	}
	return s, nil
}

func (d *decoder) storage(id any) (*storage, *FormatError) {
	tuple, ok := id.(*types.Tuple)
	want := 5
	if d.legacy {
		want = 6
	}
	if ok && tuple.Len() > 0 && tuple.Get(0) == "module" {
		return nil, malformed("a pickled module is code, not a state_dict")
	}
	if !ok || tuple.Len() != want || tuple.Get(0) != "storage" {
		return nil, malformed(`not a tuple of %d that begins with "storage"`, want)
	}
	class, ok := tuple.Get(1).(*named)
	if !ok || !class.global.storage {
		return nil, malformed("the class is no storage class")
	}
	if d.legacy && class.untyped {
		return nil, malformed("a legacy stream has no untyped storages")
	}
	key, ok := tuple.Get(2).(string)
	switch {
	case !ok:
		return nil, malformed("the key is no text")
	case len(key) > maxKey || key == "" || key == "." || key == ".." || strings.ContainsAny(key, "/\\\x00"):
		return nil, malformed("the key %s is no single name", quote(key))
	}
	location, ok := tuple.Get(3).(string)
	if !ok {
		return nil, malformed("the location is no text")
	}
	if location == "meta" {
		return nil, malformed("a storage on the meta device has no values")
	}
	count, ok := integer(tuple.Get(4))
	if !ok || count < 0 || count > math.MaxInt64/16 {
		return nil, malformed("the count of elements is no fitting integer")
	}
	s := d.storages[key]
	if s == nil {
		s = &storage{class: class.global, key: key, count: count, length: count}
		d.storages[key] = s
		d.order = append(d.order, s)
	}
	if d.views[key] != nil {
		return nil, malformed("the storage %s is also a view", quote(key))
	}
	// Bytes and untyped bytes may share a storage.
	if s.class.dtype != class.dtype || s.count != count {
		return nil, malformed("the storage %s occurs with two classes or counts", quote(key))
	}
	if !d.legacy || tuple.Get(5) == nil {
		return s, nil
	}
	return d.view(s, tuple.Get(5))
}

// view makes a part of a storage; only legacy streams have them. torch goes by
// the key of the view alone once it has met it, and keeps views and storages in
// one table.
func (d *decoder) view(root *storage, of any) (*storage, *FormatError) {
	v, ok := of.(*types.Tuple)
	if !ok || v.Len() != 3 {
		return nil, malformed("the view is no tuple of 3")
	}
	first, ok1 := integer(v.Get(1))
	length, ok2 := integer(v.Get(2))
	key, ok := v.Get(0).(string)
	if !ok || len(key) > maxKey || !ok1 || !ok2 {
		return nil, malformed("the view is no key, offset and size")
	}
	if first < 0 || length < 0 || first > root.count || length > root.count-first {
		return nil, malformed("the view [%d,+%d] lies outside its storage of %d", first, length, root.count)
	}
	if d.storages[key] != nil {
		return nil, malformed("the storage %s is also a view", quote(key))
	}
	s := d.views[key]
	if s == nil {
		s = &storage{class: root.class, key: root.key, count: root.count, first: first, length: length, root: root}
		d.views[key] = s
	}
	if s.root != root || s.first != first || s.length != length {
		return nil, malformed("the view %s occurs with two places", quote(key))
	}
	return s, nil
}

// A value is a rebuilt tensor.
type value struct {
	d       *decoder
	storage *storage
	dtype   DType
	offset  int64 // in elements
	shape   []int64
	strides []int64 // in elements
	bytes   int64
	at      int32 // its place in Checkpoint.Tensors, from 1, once it has one
}

// PySetState refuses BUILD: torch takes a tensor of before 0.4 from its state.
func (v *value) PySetState(any) error { return v.d.fail(v.d.refuse("would set the state of a tensor")) }

// rebuildTensor implements _rebuild_tensor_v2(storage, offset, size, stride,
// requires_grad, hooks[, metadata]).
func rebuildTensor(d *decoder, args []any) (any, error) {
	if len(args) != 6 && len(args) != 7 {
		return nil, malformed("%d arguments, not 6 or 7", len(args))
	}
	s, ok := args[0].(*storage)
	if !ok {
		return nil, malformed("the first argument is no storage")
	}
	return d.rebuild(s, s.class.dtype, args, args[6:])
}

// rebuildTensorOf implements _rebuild_tensor_v3, which has the dtype in the seventh
// place.
func rebuildTensorOf(d *decoder, args []any) (any, error) {
	if len(args) != 7 && len(args) != 8 {
		return nil, malformed("%d arguments, not 7 or 8", len(args))
	}
	s, ok := args[0].(*storage)
	if !ok || s.class.dtype != tensor.U8 {
		return nil, malformed("the first argument is no storage of bytes")
	}
	dtype, ok := args[6].(*named)
	if !ok || !dtype.isDType {
		return nil, malformed("the seventh argument is no dtype")
	}
	if dtype.missing {
		return nil, malformed("%s has no place in safetensors", dtype.name)
	}
	if args[4] == true { // torch sets the storage of a leaf in place
		return nil, malformed("a tensor made this way can't require a gradient")
	}
	return d.rebuild(s, dtype.dtype, args, args[7:])
}

func (d *decoder) rebuild(s *storage, dtype DType, args, metadata []any) (any, error) {
	v := &value{d: d, storage: s, dtype: dtype}
	var ok bool
	if v.offset, ok = integer(args[1]); !ok || v.offset < 0 {
		return nil, malformed("the offset is no integer from 0 on")
	}
	var err error
	if v.shape, err = d.dimensions("size", args[2]); err != nil {
		return nil, err
	}
	if v.strides, err = d.dimensions("stride", args[3]); err != nil {
		return nil, err
	}
	if len(v.shape) != len(v.strides) {
		return nil, malformed("%d dimensions, but %d strides", len(v.shape), len(v.strides))
	}
	if err := v.gradient(args[4]); err != nil {
		return nil, err
	}
	if err := noHooks(args[5]); err != nil {
		return nil, err
	}
	for _, m := range metadata {
		bits, ok := entries(m)
		if m != nil && !ok {
			return nil, malformed("the metadata are no dict")
		}
		if len(bits) > 0 { // torch looks at the keys alone: {"neg": False} negates, too
			return nil, malformed("a conjugated or negated view; call resolve_conj() and resolve_neg() before saving")
		}
	}
	if err := v.measure(); err != nil {
		return nil, err
	}
	return v, nil
}

// dimensions reads a tuple of integers from 0 on.
func (d *decoder) dimensions(what string, v any) ([]int64, error) {
	tuple, ok := v.(*types.Tuple)
	if !ok {
		return nil, malformed("the %s is no tuple", what)
	}
	if tuple.Len() > maxRank {
		return nil, malformed("the %s has %d dimensions, more than %d", what, tuple.Len(), maxRank)
	}
	// One tuple can be used over and over.
	if d.dims += tuple.Len(); d.dims > maxDims {
		return nil, malformed("more than %d dimensions in all tensors", maxDims)
	}
	dims := make([]int64, tuple.Len())
	for i, x := range *tuple {
		if dims[i], ok = integer(x); !ok || dims[i] < 0 {
			return nil, malformed("the %s has an entry that is no integer from 0 on", what)
		}
	}
	return dims, nil
}

// itemSize returns the size of one element in the storage. torch counts F4 in
// pairs.
func itemSize(d DType) int64 { return max(1, int64(d.Size())) }

// measure proves that the elements lie in the storage.
func (v *value) measure() error {
	size := itemSize(v.dtype)
	room := v.storage.length * v.storage.size() / size // elements, rounded down
	n, last := uint64(1), uint64(0)
	empty := false
	for i, dim := range v.shape {
		if dim == 0 {
			empty = true
		}
		hi, lo := bits.Mul64(n, uint64(max(1, dim)))
		if hi != 0 || lo > math.MaxInt64/16 {
			return malformed("the size is too large")
		}
		n = lo
		if dim > 1 {
			hi, step := bits.Mul64(uint64(dim-1), uint64(v.strides[i]))
			if hi != 0 || step > math.MaxInt64/16 || last+step > math.MaxInt64/16 {
				return malformed("size and stride reach past the storage")
			}
			last += step
		}
	}
	if v.offset > room {
		return malformed("the offset %d lies past the storage of %d elements", v.offset, room)
	}
	if empty {
		return nil
	}
	if last >= uint64(room-v.offset) {
		return malformed("offset, size and stride reach element %d of a storage of %d", uint64(v.offset)+last, room)
	}
	v.bytes = int64(n) * size
	stored := v.storage.length * v.storage.size()
	if v.d.expanded += max(0, v.bytes-stored); v.d.expanded > maxExpanded {
		return malformed("%d bytes of values are expanded from a storage of %d; all tensors may have %d more than their storages", v.bytes, stored, maxExpanded)
	}
	return nil
}

// rebuildParameter implements Parameter(tensor[, requires_grad]), _rebuild_parameter,
// which has the hooks too, and _rebuild_parameter_with_state, which also has
// attributes. They take from least to most arguments.
func rebuildParameter(least, most int) func(d *decoder, args []any) (any, error) {
	return func(d *decoder, args []any) (any, error) {
		if len(args) < least || len(args) > most {
			return nil, malformed("%d arguments", len(args))
		}
		v, ok := args[0].(*value)
		if !ok {
			return nil, malformed("the first argument is no tensor")
		}
		grad := any(true) // unless it is said
		if len(args) > 1 {
			grad = args[1]
		}
		if err := v.gradient(grad); err != nil {
			return nil, err
		}
		if len(args) > 2 {
			if err := noHooks(args[2]); err != nil {
				return nil, err
			}
		}
		if len(args) > 3 {
			if err := d.tensorState(args[3]); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
}

// gradient checks requires_grad, which torch sets only where numbers have
// derivatives.
func (v *value) gradient(grad any) error {
	on, ok := grad.(bool)
	if !ok {
		return malformed("requires_grad is no bool")
	}
	if on && !differentiable[v.dtype] {
		return malformed("a tensor of %s can't require a gradient", v.dtype)
	}
	return nil
}

// differentiable are the types that torch has gradients for.
var differentiable = map[DType]bool{
	tensor.F64: true, tensor.F32: true, tensor.F16: true, tensor.BF16: true, tensor.C64: true,
	tensor.F8E4M3: true, tensor.F8E5M2: true, tensor.F8E4M3FNUZ: true, tensor.F8E5M2FNUZ: true, tensor.F8E8M0: true, tensor.F4: true,
}

func noHooks(arg any) error {
	if hooks, ok := entries(arg); arg != nil && (!ok || len(hooks) > 0) {
		return malformed("the hooks are no empty dict")
	}
	return nil
}

// tensorState checks the attributes that torch sets on a tensor: None, a dict,
// or a tuple of two of these.
func (d *decoder) tensorState(state any) error {
	parts := []any{state}
	if pair, ok := state.(*types.Tuple); ok {
		if pair.Len() != 2 {
			return malformed("the state is a tuple of %d, not 2", pair.Len())
		}
		parts = *pair
	}
	for _, part := range parts {
		dict, ok := entries(part)
		if part != nil && !ok {
			return malformed("the state is no dict")
		}
		if err := d.attributes(dict, tensorNames); err != nil {
			return err
		}
	}
	return nil
}

// rebuildFromType implements _rebuild_from_type_v2(function, type, args, state).
func rebuildFromType(d *decoder, args []any) (any, error) {
	if len(args) != 4 {
		return nil, malformed("%d arguments, not 4", len(args))
	}
	f, ok := args[0].(*named)
	if !ok || !strings.HasPrefix(f.name, "torch._utils._rebuild_") {
		return nil, malformed("the function is none that makes tensors")
	}
	t, ok := args[1].(*named)
	if !ok || t.name != "torch.Tensor" && t.name != "torch.nn.parameter.Parameter" {
		return nil, malformed("the type is no tensor type")
	}
	inner, ok := args[2].(*types.Tuple)
	if !ok {
		return nil, malformed("the arguments are no tuple")
	}
	v, err := f.call(d, *inner)
	if err != nil {
		return nil, err
	}
	return v, d.tensorState(args[3])
}
