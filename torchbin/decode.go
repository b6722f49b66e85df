package torchbin

import (
	"errors"
	"io"
	"math/big"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
)

// A decoder feeds gopickle with opcodes that a scanner has checked, one at a
// time, so that gopickle never sees a byte that was not checked just before,
// even if the file changes between the scan and now.
type decoder struct {
	*scanner
	feed []byte // of the current opcode, not yet read by gopickle
	done bool
	err  error // the first one, which gopickle can't be relied upon to return

	legacy   bool
	storages map[string]*storage
	order    []*storage // as they were named first
	views    map[string]*storage
	dims     int   // sizes and strides of all tensors
	expanded int64 // bytes of values beyond those of their storages
}

func newDecoder(s *scanner, legacy bool) *decoder {
	return &decoder{scanner: s, legacy: legacy, storages: make(map[string]*storage), views: make(map[string]*storage)}
}

// decode returns the object of the pickle.
func (d *decoder) decode() (value any, err error) {
	defer func() {
		if p := recover(); p != nil { // gopickle panics on some inputs
			value, err = nil, d.refuse("can't be decoded")
		}
		if d.err != nil {
			value, err = nil, d.err
		}
	}()
	u := pickle.NewUnpickler(d)
	u.FindClass = d.find
	u.PersistentLoad = d.persistent
	value, err = u.Load()
	if err != nil { // its text may hold values of any size
		err = d.refuse("can't be done to this value")
	}
	return value, err
}

// release frees the values that are not needed once the storages have their
// offsets.
func (d *decoder) release() { d.scanner, d.storages, d.order, d.views = nil, nil, nil, nil }

// next puts the next opcode into the feed.
func (d *decoder) next() error {
	if d.err != nil {
		return d.err
	}
	if d.done {
		return io.EOF
	}
	for {
		if d.done, d.err = d.step(); d.err != nil {
			return d.err
		}
		if !d.needless() {
			break
		}
	}
	switch {
	case d.op == 'c':
		// gopickle resolves some names without asking FindClass, but not
		// this one.
		d.scanner.bytes = append(d.scanner.bytes[:1], "\n\n"...)
	case d.op == 0x8a && d.scanner.bytes[1] == 0:
		// An integer of no bytes is 0; gopickle wants one byte.
		d.scanner.bytes = append(d.scanner.bytes[:1], 1, 0)
	}
	d.feed = d.scanner.bytes
	return nil
}

// needless reports whether the current opcode writes a memo entry that
// nothing reads. A pickler numbers all it writes, a dozen entries for each
// tensor; gopickle would keep them, and what they hold.
func (d *decoder) needless() bool {
	if d.op != 'q' && d.op != 'r' {
		return false
	}
	i := d.memoIndex()
	return i >= len(d.keep) || !d.keep[i] // beyond only if the file changed
}

// ReadByte implements io.ByteReader, for gopickle.
func (d *decoder) ReadByte() (byte, error) {
	if len(d.feed) == 0 {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	b := d.feed[0]
	d.feed = d.feed[1:]
	return b, nil
}

// Read implements io.Reader, for gopickle.
func (d *decoder) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(d.feed) == 0 {
		if err := d.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, d.feed)
	d.feed = d.feed[n:]
	return n, nil
}

// fail keeps an error that gopickle would wrap or drop.
func (d *decoder) fail(err error) error {
	if d.err == nil {
		d.err = err
	}
	return err
}

// find is asked for the global that the scanner has just found.
func (d *decoder) find(_, _ string) (any, error) { return &named{d.scanner.global, d}, nil }

// A named is a global on gopickle's stack.
type named struct {
	*global
	d *decoder
}

var (
	_ types.Callable  = (*named)(nil)
	_ types.PyNewable = (*named)(nil)
)

// Call takes a note of the call.
func (n *named) Call(args ...any) (any, error) {
	if n.call == nil {
		return nil, n.d.fail(n.d.refuse("%s can't be called", n.name))
	}
	v, err := n.call(n.d, args)
	if err != nil {
		var fe *FormatError
		if errors.As(err, &fe) {
			err = n.d.refuse("%s: %s", n.name, fe.Reason)
		}
		return nil, n.d.fail(err)
	}
	return v, nil
}

// PyNew serves NEWOBJ, which makes objects without their constructor.
func (n *named) PyNew(args ...any) (any, error) {
	if n.name == "torch.nn.parameter.Parameter" || n.name == "collections.OrderedDict" && len(args) == 0 {
		return n.Call(args...)
	}
	return nil, n.d.fail(n.d.refuse("%s can't be made this way", n.name))
}

// An orderedDict is a collections.OrderedDict, its entries in the order in
// which they were set.
type orderedDict struct {
	types.Dict
	d *decoder
}

// PySetState takes the attributes, such as _metadata, and forgets them. An
// attribute with the name of a method would take its place: what the dict says
// that it holds would not be what it holds.
func (o *orderedDict) PySetState(state any) error {
	d := o.d
	dict, ok := entries(state)
	if !ok {
		return d.fail(d.refuse("the state is no dict"))
	}
	if err := d.attributes(dict, orderedDictNames); err != nil {
		return d.fail(d.refuse("the state of an OrderedDict: %s", err.Reason))
	}
	return nil
}

// makeOrderedDict calls OrderedDict, without arguments or, as Python 2 writes
// it, with one list of pairs.
func makeOrderedDict(d *decoder, args []any) (any, error) {
	o := &orderedDict{d: d}
	if len(args) == 0 {
		return o, nil
	}
	pairs, ok := args[0].(*types.List)
	if len(args) > 1 || !ok {
		return nil, malformed("wants no arguments or a list of pairs")
	}
	d.held += int64(len(*pairs)) * heldPair // one list can be used over and over
	if err := d.overheld(); err != nil {
		return nil, err
	}
	for _, p := range *pairs {
		var pair []any
		switch p := p.(type) {
		case *types.List:
			pair = *p
		case *types.Tuple:
			pair = *p
		}
		if len(pair) != 2 {
			return nil, malformed("wants no arguments or a list of pairs")
		}
		if !isKey(pair[0]) {
			return nil, malformed("a key that is no text, number or tuple of them")
		}
		o.Set(pair[0], pair[1])
	}
	return o, nil
}

// entries gives the content of a dict of either sort.
func entries(v any) (types.Dict, bool) {
	switch v := v.(type) {
	case *types.Dict:
		return *v, true
	case *orderedDict:
		return v.Dict, true
	}
	return nil, false
}

// integer gives the value of an int that fits 64 bits. Booleans are none.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case int:
		return int64(v), true
	case *big.Int:
		return v.Int64(), v.IsInt64()
	}
	return 0, false
}
