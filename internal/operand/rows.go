package operand

import (
	"context"
	"encoding/binary"
	"math"
	"sync"

	"slerpmerge/internal/tensor"
	"slerpmerge/internal/tokenizer"
	"slerpmerge/slerp"
)

// Rows makes up an operand whose rows are a vocabulary, of rows of its tensor
// and others.
type Rows struct {
	*tokenizer.Rows
	Parents []Operand // the tensors that its terms mean, without Rows
	// Axis is the dimension in which rows are counted: 0, or another one where
	// that is the only one of more than 1.
	Axis int
	// Gradient fills row i of those that are not the tensor's own from its
	// last row and row i of Parents[1], going over from one to the other.
	Gradient bool
}

// Bytes returns the memory of the lists of rows.
func (r *Rows) Bytes() int64 { return 4*int64(len(r.Index)) + 100*int64(len(r.Fills)) }

// fillBytes is the number of bytes of the other parent that a gradient reads at a
// time.
const fillBytes = 128 << 10

// A Remapped is a source with the rows of a Rows.
type Remapped struct {
	own    Source
	of     Operand
	dtype  tensor.DType
	width  int64 // bytes of a row
	opener *Opener
	*Rows

	once sync.Once
	err  error  // of once
	row  []byte // made once: the mean row, or for a gradient the last one
}

func (r *Opener) rows(own Source, o Operand) *Remapped {
	rows := o.Rows
	o.Rows = nil
	info := o.Info()
	return &Remapped{own: own, of: o, dtype: info.DType, width: info.Bytes() / int64(info.Shape[rows.Axis]), opener: r, Rows: rows}
}

// Prefetch hints at the first row of the range, if it is the tensor's own.
func (r *Remapped) Prefetch(off, n int64) {
	if k := r.Index[off/r.width]; k >= 0 {
		r.own.Prefetch(int64(k)*r.width+off%r.width, n)
	}
}

// Drop does nothing: rows of the tensor may be needed again.
func (r *Remapped) Drop(off, n int64) {}

// Copier returns nil.
func (*Remapped) Copier() tensor.Copier { return nil }

// Use reads into scratch.
func (r *Remapped) Use(ctx context.Context, scratch []byte, off int64, use func([]byte) error) error {
	return fill(ctx, r, scratch, off, use)
}

// Memory returns the size of a row and of the buffers that fill others.
func (r *Remapped) Memory() int64 { return r.width + 2*fillBytes + r.own.Memory() }

// Key returns the key of the tensor with the rows.
func (r *Remapped) Key() Operand {
	k := r.own.Key()
	k.Rows = r.Rows
	return k
}

// run returns the number n of rows from i on, at most most, that are the tensor's
// own rows from row on. If row i is not one of those, fill makes it.
func (r *Remapped) run(i, most int) (n, row int, fill *tokenizer.Fill) {
	k := r.Index[i]
	if k < 0 {
		return 1, 0, &r.Fills[^k]
	}
	for n = 1; n < most && i+n < len(r.Index) && r.Index[i+n] == k+int32(n); {
		n++
	}
	return n, int(k), nil
}

// ReadAt reads rows of the tensor and makes up others.
func (r *Remapped) ReadAt(ctx context.Context, p []byte, off int64) error {
	for len(p) > 0 {
		at := off % r.width
		most := (at + int64(len(p)) + r.width - 1) / r.width
		many, row, fill := r.run(int(off/r.width), int(most))
		n := min(int64(many)*r.width-at, int64(len(p)))
		var err error
		switch {
		case fill == nil:
			err = r.own.ReadAt(ctx, p[:n], int64(row)*r.width+at)
		case r.Gradient:
			n = int64(len(p)) // all that follow are filled
			err = r.gradient(ctx, p, off)
		case fill.Mean:
			r.once.Do(func() { r.err = r.measureMean(ctx) })
			if err = r.err; err == nil {
				copy(p[:n], r.row[at:])
			}
		default:
			err = r.sum(ctx, p[:n], at, fill.Terms)
		}
		if err != nil {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

// sum fills p, the part of a row from byte at on, with the sum of rows of
// parents. One row of the same type is copied.
func (r *Remapped) sum(ctx context.Context, p []byte, at int64, terms []tokenizer.Term) error {
	size := int64(r.dtype.Size())
	var types []tensor.DType
	var parts [][]byte
	var weights []float64
	for _, t := range terms {
		o := r.Parents[t.Parent]
		if o.None() { // that parent has no such tensor
			continue
		}
		d := o.Info().DType
		wide := int64(d.Size())
		part := make([]byte, int64(len(p))/size*wide)
		if err := r.opener.Open(o).ReadAt(ctx, part, (int64(t.Row)*r.width+at)/size*wide); err != nil {
			return err
		}
		types, parts, weights = append(types, d), append(parts, part), append(weights, t.Weight)
	}
	switch {
	case len(parts) == 0:
		clear(p)
	case len(parts) == 1 && weights[0] == 1 && types[0] == r.dtype:
		copy(p, parts[0])
	default:
		slerp.NewWeightedSum(r.dtype, types).Sum(p, parts, weights, 1)
	}
	return nil
}

// measureMean works out the mean of the rows that are no means themselves.
func (r *Remapped) measureMean(ctx context.Context) error {
	cols := int(r.width) / r.dtype.Size()
	wide := slerp.NewConverter(tensor.F64, r.dtype)
	row, values, mean := make([]byte, r.width), make([]byte, 8*cols), make([]float64, cols)
	n := 0
	for i := range r.Len() {
		if _, _, fill := r.run(i, 1); fill != nil && fill.Mean {
			continue
		}
		if err := r.ReadAt(ctx, row, int64(i)*r.width); err != nil {
			return err
		}
		wide.Convert(values, row)
		for k := range mean {
			mean[k] += math.Float64frombits(binary.LittleEndian.Uint64(values[8*k:]))
		}
		n++
	}
	for k := range mean {
		binary.LittleEndian.PutUint64(values[8*k:], math.Float64bits(mean[k]/float64(max(n, 1))))
	}
	slerp.NewConverter(r.dtype, tensor.F64).Convert(row, values)
	r.row = row
	return nil
}

// gradient fills p, rows that follow the tensor's own, with what lies between
// its last row and the rows that the other parent has there.
func (r *Remapped) gradient(ctx context.Context, p []byte, off int64) error {
	own := int64(r.Parents[0].Tensor().Shape[r.Axis])
	r.once.Do(func() {
		r.row = make([]byte, r.width)
		r.err = r.own.ReadAt(ctx, r.row, (own-1)*r.width)
	})
	if r.err != nil {
		return r.err
	}
	other := r.Parents[1]
	d := other.Info().DType
	size, wide := int64(r.dtype.Size()), int64(d.Size())
	src, weighted := r.opener.Open(other), slerp.NewWeightedSum(r.dtype, []tensor.DType{r.dtype, d})
	theirs := make([]byte, min(int64(len(p)), fillBytes)/size*wide)
	for len(p) > 0 {
		n := min(int64(len(p)), int64(len(theirs))/wide*size)
		if err := src.ReadAt(ctx, theirs[:n/size*wide], off/size*wide); err != nil {
			return err
		}
		for rest := theirs; n > 0; {
			row, at := off/r.width, off%r.width
			m := min(r.width-at, n)
			w := float64(row-own+1) / float64(int64(r.Len())-own)
			weighted.Sum(p[:m], [][]byte{r.row[at:][:m], rest[:m/size*wide]}, []float64{1 - w, w}, 1)
			p, rest, off, n = p[m:], rest[m/size*wide:], off+m, n-m
		}
	}
	return nil
}
