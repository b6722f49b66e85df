package merge

import (
	"sync"

	"slerpmerge/internal/tensor"
	"slerpmerge/slerp"
)

// A cast is a tensor whose values are rounded to another type as they are
// read, before anything is computed with them.
type cast struct {
	src      tensor.Source
	from, to int64 // bytes of an element
	pool     *sync.Pool
}

// A caster is what one reader needs for that.
type caster struct {
	convert *slerp.Converter
	buf     [32 << 10]byte
}

func (s *sources) cast(src tensor.Source, from, to tensor.DType) tensor.Source {
	k := [2]tensor.DType{to, from}
	pool, ok := s.casters.Load(k)
	if !ok {
		pool, _ = s.casters.LoadOrStore(k, &sync.Pool{New: func() any { return &caster{convert: slerp.NewConverter(to, from)} }})
	}
	return &cast{src, int64(from.Size()), int64(to.Size()), pool.(*sync.Pool)}
}

// ReadAt is for whole elements, which is all that workers ask for.
func (c *cast) ReadAt(p []byte, off int64) error {
	k := c.pool.Get().(*caster)
	defer c.pool.Put(k)
	at := off / c.to
	for len(p) > 0 {
		n := min(int64(len(k.buf))/c.from, int64(len(p))/c.to)
		if err := c.src.ReadAt(k.buf[:n*c.from], at*c.from); err != nil {
			return err
		}
		k.convert.Convert(p[:n*c.to], k.buf[:n*c.from])
		p, at = p[n*c.to:], at+n
	}
	return nil
}

func (c *cast) Prefetch(off, n int64) { c.src.Prefetch(off/c.to*c.from, n/c.to*c.from) }

func (c *cast) Drop(off, n int64) {
	if d, ok := c.src.(tensor.Dropper); ok {
		d.Drop(off/c.to*c.from, n/c.to*c.from)
	}
}
