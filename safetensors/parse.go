package safetensors

import (
	"fmt"
	"slices"
	"strings"

	"slerpmerge/internal/tensor"
)

// A parser makes a Header from the JSON.
type parser struct {
	*scanner
	header   *Header
	dataSize int64

	arena *Arena
	dims  []uint64 // of the shape that is being read
	pair  [2]uint64
	now   entry
}

// An entry is the tensor that is being read.
type entry struct {
	Tensor
	begin, end                uint64
	hasDType, hasShape, hasAt bool
}

func (p *parser) parse() error {
	if b := p.want(3); string(b[:min(3, len(b))]) == "\xef\xbb\xbf" {
		return p.fail("a byte order mark")
	}
	hasMetadata := false
	field := p.field
	err := p.object(func(name []byte) error {
		if string(name) == metadataName {
			if hasMetadata {
				return p.fail("%s occurs twice,", metadataName)
			}
			hasMetadata = true
			return within(metadataName, p.metadata())
		}
		p.now = entry{Tensor: Tensor{Info: Info{Name: p.keep(name)}}}
		err := p.object(field)
		if err == nil {
			err = p.finish()
		}
		if err != nil {
			return within("tensor "+quote(p.now.Name), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.end()
}

func (p *parser) metadata() error {
	if p.peek() == 'n' {
		return p.word("null")
	}
	texts := make(map[string]string)
	p.header.Metadata = texts
	return p.object(func(name []byte) error {
		key := p.keep(name)
		if _, twice := texts[key]; twice {
			return p.fail("%s occurs twice,", quote(key))
		}
		if len(texts) == MaxMetadata {
			return p.fail("more than %d texts", MaxMetadata)
		}
		value, err := p.text()
		if err != nil {
			return err
		}
		texts[key] = p.keep(value)
		return nil
	})
}

// keep makes a string of what text has given. A text that is longer than the
// window has memory of its own, and no other user.
func (p *parser) keep(text []byte) string {
	if len(text) > windowSize {
		return p.arena.Own(text)
	}
	return p.arena.Text(text)
}

// field reads one member of a tensor.
func (p *parser) field(name []byte) error {
	switch string(name) {
	case "dtype":
		if p.now.hasDType {
			return p.fail("dtype occurs twice,")
		}
		p.now.hasDType = true
		return p.dtype()
	case "shape":
		if p.now.hasShape {
			return p.fail("shape occurs twice,")
		}
		p.now.hasShape = true
		return within("shape", p.shape())
	case "data_offsets":
		if p.now.hasAt {
			return p.fail("data_offsets occurs twice,")
		}
		p.now.hasAt = true
		return within("data_offsets", p.offsets())
	}
	return p.skip()
}

func (p *parser) dtype() error {
	name, err := p.text()
	if err != nil {
		return within("dtype", err)
	}
	d, ok := tensor.ParseDTypeBytes(name)
	if !ok {
		return malformed("unknown dtype %s", quote(name))
	}
	p.now.DType = d
	return nil
}

func (p *parser) shape() (err error) {
	p.dims, err = p.uints(p.dims[:0], MaxRank)
	if p.now.Shape = p.arena.Shape(p.dims); p.now.Shape == nil {
		p.now.Shape = []uint64{}
	}
	return err
}

func (p *parser) offsets() error {
	pair, err := p.uints(p.pair[:0], 2)
	if err != nil {
		return err
	}
	if len(pair) < 2 {
		return p.fail("less than 2 numbers")
	}
	p.now.begin, p.now.end = pair[0], pair[1]
	return nil
}

// finish checks the entry as far as that needs no other, and adds it.
func (p *parser) finish() error {
	e := &p.now
	switch {
	case !e.hasDType:
		return malformed("dtype is missing")
	case !e.hasShape:
		return malformed("shape is missing")
	case !e.hasAt:
		return malformed("data_offsets is missing")
	}
	want, err := e.ByteLen()
	switch {
	case err != nil:
		return malformed("%s %s: %v", e.DType, shapeText(e.Shape), err)
	case e.begin > e.end:
		return malformed("data_offsets [%d,%d] end before they begin", e.begin, e.end)
	case e.end-e.begin != want:
		return malformed("%s %s takes %d bytes, but data_offsets [%d,%d] hold %d", e.DType, shapeText(e.Shape), want, e.begin, e.end, e.end-e.begin)
	case e.end > uint64(p.dataSize):
		return short("data_offsets [%d,%d] reach beyond the %d bytes of data", e.begin, e.end, p.dataSize)
	}
	e.Begin = p.header.DataStart + int64(e.begin)
	e.End = p.header.DataStart + int64(e.end)
	p.header.Tensors = append(p.grown(), e.Tensor)
	return nil
}

// grown returns the table with room for one more tensor. A large one grows in
// one step to what the rest of the header suggests, because memory that is not
// used is cheaper than another copy of the table.
func (p *parser) grown() []Tensor {
	t := p.header.Tensors
	if n := len(t); n == cap(t) && n >= 1<<12 {
		all := float64(n) / float64(p.offset()) * float64(p.size)
		return slices.Grow(t, max(n/4, int(all*1.05)-n))
	}
	return t
}

// shapeText returns a shape as the header spells it, shortened.
func shapeText(shape []uint64) string {
	const most = 8
	if len(shape) <= most {
		return strings.ReplaceAll(fmt.Sprint(shape), " ", ",")
	}
	return fmt.Sprintf("%s of %d dimensions", strings.ReplaceAll(fmt.Sprint(shape[:most]), " ", ","), len(shape))
}
