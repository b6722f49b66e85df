package torchbin

import (
	"math"
	"math/big"
	"regexp"
	"strings"

	"github.com/nlpodyssey/gopickle/types"
)

// An opaque is the result of a call that no tensor needs.
type opaque struct {
	d     *decoder
	bytes bool // the result is of bytes
}

// PySetState refuses BUILD.
func (o *opaque) PySetState(any) error {
	return o.d.fail(o.d.refuse("would set the state of an object that has none"))
}

// The calls below make values that no tensor needs. Their arguments are checked
// all the same: a call that Python fails in ends the load in torch, too.

// makeSize implements Size(tuple of integers).
func makeSize(d *decoder, args []any) (any, error) {
	items, ok := sequence(args)
	if !ok {
		return nil, malformed("wants one tuple or list of integers")
	}
	if err := d.look(len(items)); err != nil {
		return nil, err
	}
	for _, x := range items {
		if _, ok := integer(x); !ok {
			return nil, malformed("wants one tuple or list of integers")
		}
	}
	return &opaque{d: d}, nil
}

// sequence gives the items of the only argument, a list or a tuple.
func sequence(args []any) ([]any, bool) {
	if len(args) != 1 {
		return nil, false
	}
	switch x := args[0].(type) {
	case *types.Tuple:
		return *x, true
	case *types.List:
		return *x, true
	}
	return nil, false
}

// look counts n items that a call looks at: one list can be used over and over.
func (d *decoder) look(n int) error {
	if d.steps += n; d.steps > maxSteps {
		return malformed("the pickle takes more than %d steps", maxSteps)
	}
	return nil
}

var deviceName = regexp.MustCompile(`^(cpu|cuda|xpu|mkldnn|opengl|opencl|ideep|hip|ve|fpga|xla|lazy|vulkan|mps|meta|hpu|mtia|privateuseone)(:(0|[1-9][0-9]?))?$`)

// makeDevice implements device(name[, index]).
func makeDevice(d *decoder, args []any) (any, error) {
	bad := malformed("wants the name of a device")
	if len(args) == 0 || len(args) > 2 {
		return nil, bad
	}
	name, ok := args[0].(string)
	if !ok || !deviceName.MatchString(name) {
		return nil, bad
	}
	if len(args) == 2 {
		if n, ok := integer(args[1]); !ok || n < 0 || n > math.MaxInt8 || strings.Contains(name, ":") {
			return nil, bad
		}
	}
	return &opaque{d: d}, nil
}

// makeCounter implements Counter([dict]). What it counts is of no interest, and no
// trainer keeps weights in one.
func makeCounter(d *decoder, args []any) (any, error) {
	if len(args) == 0 {
		return &opaque{d: d}, nil
	}
	if _, ok := args[0].(*types.Dict); !ok || len(args) > 1 {
		return nil, malformed("wants no arguments or a dict")
	}
	return &opaque{d: d}, nil
}

// makeBytearray implements bytearray(bytes), or with a text and an encoding.
func makeBytearray(d *decoder, args []any) (any, error) {
	if len(args) == 1 {
		if b, ok := args[0].(*opaque); !ok || !b.bytes {
			return nil, malformed("wants bytes")
		}
		return &opaque{d: d}, nil
	}
	return encodeText(d, args)
}

// encodeText implements encode(text, encoding), as bytes are pickled for Python 2.
func encodeText(d *decoder, args []any) (any, error) {
	if len(args) != 2 {
		return nil, malformed("wants a text and an encoding")
	}
	text, ok1 := args[0].(string)
	encoding, ok2 := args[1].(string)
	if !ok1 || !ok2 || encoding != "latin1" && encoding != "latin-1" {
		return nil, malformed("wants a text and the encoding latin1")
	}
	if err := d.look(len(text) / 16); err != nil {
		return nil, err
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r > 0xff }) {
		return nil, malformed("a text that latin1 can't encode")
	}
	return &opaque{d: d, bytes: true}, nil
}

// makeSet implements set([list]).
func makeSet(d *decoder, args []any) (any, error) {
	if len(args) == 0 {
		return &opaque{d: d}, nil
	}
	items, ok := sequence(args)
	if !ok {
		return nil, malformed("wants no arguments or a list")
	}
	if err := d.look(len(items)); err != nil {
		return nil, err
	}
	for _, x := range items {
		if !isKey(x) {
			return nil, malformed("an item that is no text, number or tuple of them")
		}
	}
	return &opaque{d: d}, nil
}

// makeComplex implements complex(real, imaginary).
func makeComplex(d *decoder, args []any) (any, error) {
	for _, x := range args {
		switch x.(type) {
		case int, float64:
		default:
			return nil, malformed("wants two numbers")
		}
	}
	if len(args) != 2 {
		return nil, malformed("wants two numbers")
	}
	return &opaque{d: d}, nil
}

// isKey reports whether a value can be a key, as kind.key does. Tuples of
// tuples are looked into only so far.
func isKey(v any) bool { return keyWithin(v, 2) }

func keyWithin(v any, depth int) bool {
	switch v := v.(type) {
	case nil, string, int, *big.Int, float64, bool:
		return true
	case *types.Tuple:
		if depth == 0 || v.Len() > 16 {
			return false
		}
		for _, x := range *v {
			if !keyWithin(x, depth-1) {
				return false
			}
		}
		return true
	}
	return false
}
