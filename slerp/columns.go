package slerp

import "slerpmerge/internal/tensor"

const (
	// runBytes is the least length of a run of a block of columns, where a tensor is
	// that wide: a page.
	runBytes = 4096
	// mostColumns bounds the columns of a block, whose sums are in the scratch.
	mostColumns = 4096
)

// columns are those of a tensor along axis 0: all its elements at one place of the other axes. They are
// cut in blocks of consecutive columns.
type columns struct {
	all, length int64 // how many, and the elements of each
	each        int64 // columns of a block
}

// newColumns cuts a tensor of at least two axes.
func newColumns(o Operands) columns {
	c := columns{length: int64(o.Shape[0]), each: 1}
	if n := o.Elems(); n > 0 {
		c.all = n / c.length
		size := 8
		for _, d := range o.In {
			size = min(size, d.Size())
		}
		most := min(mostColumns, max(int64(runBytes/size), BlockElems/c.length))
		blocks := (c.all + most - 1) / most
		c.each = (c.all + blocks - 1) / blocks
	}
	return c
}

func (c columns) count() int { return int((c.all + c.each - 1) / c.each) }

func (c columns) region(block int) Region {
	from := int64(block) * c.each
	return Region{From: from, Len: min(c.each, c.all-from), Stride: c.all, Count: c.length}
}

// split calls do for each part of the n elements from index at on that lies in one
// row: the column of its first element, and its place among the n.
func (c columns) split(at int64, n int, do func(column int64, from, to int)) {
	for i := 0; i < n; {
		column := (at + int64(i)) % c.all
		to := int(min(int64(n), int64(i)+c.all-column))
		do(column, i, to)
		i = to
	}
}

// columnSums are the Gram matrices of the columns of a block of two tensors, each in eight lanes
// by the index in the column.
type columnSums struct {
	columns
	from, n int64 // the first column, and how many
	check   bool
	lanes   []float64 // of the products aa, bb, ab, of the lanes, of the columns
	far     []Wide    // instead of lanes, once the tensors had values near the ends
}

// sumsBytes is the memory of columnSums, without far.
func (c columns) sumsBytes() int64 { return 3 * 8 * 8 * c.each }

func newColumnSums(s *Scratch, place int, c columns, block int, in []DType) *columnSums {
	r := c.region(block)
	m := &columnSums{columns: c, from: r.From, n: r.Len, lanes: s.Floats(place, 3*8*r.Len)}
	clear(m.lanes)
	for _, d := range in {
		m.check = m.check || d == tensor.F64
	}
	return m
}

// add takes elements of one run, from index at of the tensor on.
func (m *columnSums) add(a, b []float64, at int64) {
	lane, first := at/m.all&7, at%m.all-m.from
	if m.check && m.far == nil && !(plain(a) && plain(b)) {
		m.far = make([]Wide, len(m.lanes))
		for i, x := range m.lanes {
			m.far[i] = NewWide(x)
		}
	}
	part := func(product int64) int64 { return (8*product+lane)*m.n + first }
	if m.far != nil {
		aa, bb, ab := m.far[part(0):], m.far[part(1):], m.far[part(2):]
		for j, x := range a {
			v, w := NewWide(x), NewWide(b[j])
			aa[j], bb[j], ab[j] = aa[j].Plus(v.Times(v)), bb[j].Plus(w.Times(w)), ab[j].Plus(v.Times(w))
		}
		return
	}
	n := len(a)
	b, aa, bb, ab := b[:n], m.lanes[part(0):][:n], m.lanes[part(1):][:n], m.lanes[part(2):][:n]
	for j, x := range a {
		y := b[j]
		aa[j] += float64(x * x)
		bb[j] += float64(y * y)
		ab[j] += float64(x * y)
	}
}

// grams calls do with every column and its Gram matrix.
func (m *columnSums) grams(do func(column int64, g Gram)) {
	for j := range m.n {
		var w [3]Wide
		for p := range w {
			if m.far != nil {
				var l [8]Wide
				for i := range l {
					l[i] = m.far[int64(8*p+i)*m.n+j]
				}
				w[p] = foldWide(&l)
				continue
			}
			var l [8]float64
			for i := range l {
				l[i] = m.lanes[int64(8*p+i)*m.n+j]
			}
			w[p] = NewWide(fold(&l))
		}
		do(m.from+j, Gram{w[0], w[1], w[2]})
	}
}
