package slerp

import "slerpmerge/internal/tensor"

// rowSums are the inner products of all pairs of n vectors, over one row. They are
// summed as those of a tensor: in eight lanes by the index in the row, folded
// every BlockElems elements.
type rowSums struct {
	n     int
	check bool         // products may overflow or underflow
	at    int64        // the elements so far
	lanes [][8]float64 // of the pairs (0,0), (0,1), ... (0,n-1), (1,1), ...
	far   [][8]Wide    // instead of lanes, once the vectors had values near the ends
	total []Wide       // of the pairs, what was folded
}

// newRowSums makes sums for n vectors that come from operands of the given types.
func newRowSums(n int, in []DType) *rowSums {
	pairs := n * (n + 1) / 2
	r := &rowSums{n: n, lanes: make([][8]float64, pairs), total: make([]Wide, pairs)}
	for _, d := range in {
		r.check = r.check || d == tensor.F64
	}
	return r
}

// rowSumsBytes is the memory of rowSums of n vectors, without far.
func rowSumsBytes(n int) int64 { return int64(n*(n+1)/2) * (64 + 16) }

// reset begins a row.
func (r *rowSums) reset() {
	r.at, r.far = 0, nil
	clear(r.lanes)
	clear(r.total)
}

// add takes the next elements of the vectors, from to to of each.
func (r *rowSums) add(v [][]float64, from, to int) {
	for from < to {
		m := int(min(int64(to-from), BlockElems-r.at%BlockElems))
		r.addPart(v, from, from+m)
		r.at += int64(m)
		if r.at%BlockElems == 0 {
			r.fold()
		}
		from += m
	}
}

func (r *rowSums) addPart(v [][]float64, from, to int) {
	lane := int(r.at & 7)
	if r.check && r.far == nil && !allPlain(v[:r.n], from, to) {
		r.far = make([][8]Wide, len(r.lanes))
		for p := range r.lanes {
			for i, x := range r.lanes[p] {
				r.far[p][i] = NewWide(x)
			}
		}
	}
	p := 0
	for i, a := range v[:r.n] {
		for _, b := range v[i:r.n] {
			if r.far != nil {
				addWideProducts(&r.far[p], a[from:to], b[from:to], lane)
			} else {
				addProductsFrom(&r.lanes[p], a[from:to], b[from:to], lane)
			}
			p++
		}
	}
}

func allPlain(v [][]float64, from, to int) bool {
	for _, x := range v {
		if !plain(x[from:to]) {
			return false
		}
	}
	return true
}

// fold moves the lanes to the total.
func (r *rowSums) fold() {
	for p := range r.lanes {
		if r.far != nil {
			r.total[p] = r.total[p].Plus(foldWide(&r.far[p]))
		} else {
			r.total[p] = r.total[p].Plus(NewWide(fold(&r.lanes[p])))
		}
	}
	r.far = nil
	clear(r.lanes)
}

// finish ends the row: product can be called.
func (r *rowSums) finish() {
	if r.at%BlockElems != 0 {
		r.fold()
	}
}

// product returns the inner product of vectors i and j.
func (r *rowSums) product(i, j int) Wide {
	i, j = min(i, j), max(i, j)
	return r.total[i*r.n-i*(i-1)/2+j-i]
}

// addProductsFrom adds the products of a and b to the lanes, from the given one on.
func addProductsFrom(l *[8]float64, a, b []float64, lane int) {
	for ; lane != 0 && len(a) > 0; lane = (lane + 1) & 7 {
		l[lane] += float64(a[0] * b[0])
		a, b = a[1:], b[1:]
	}
	l0, l1, l2, l3, l4, l5, l6, l7 := l[0], l[1], l[2], l[3], l[4], l[5], l[6], l[7]
	for len(a) >= 8 && len(b) >= 8 {
		l0 += float64(a[0] * b[0])
		l1 += float64(a[1] * b[1])
		l2 += float64(a[2] * b[2])
		l3 += float64(a[3] * b[3])
		l4 += float64(a[4] * b[4])
		l5 += float64(a[5] * b[5])
		l6 += float64(a[6] * b[6])
		l7 += float64(a[7] * b[7])
		a, b = a[8:], b[8:]
	}
	*l = [8]float64{l0, l1, l2, l3, l4, l5, l6, l7}
	for i, x := range a {
		l[i] += float64(x * b[i])
	}
}

// addWideProducts is addProductsFrom in lanes that have no ends.
func addWideProducts(l *[8]Wide, a, b []float64, lane int) {
	for i, x := range a {
		k := (lane + i) & 7
		l[k] = l[k].Plus(Product(x, b[i]))
	}
}

// rowBlocks cuts a tensor in blocks of whole rows along the last axis, of about
// BlockElems elements. A longer row is a block of its own.
type rowBlocks struct{ rows, row, each int64 }

func newRowBlocks(o Operands) rowBlocks {
	rows, row := o.Rows()
	return rowBlocks{rows, row, max(1, BlockElems/max(1, row))}
}

func (b rowBlocks) count() int { return int((b.rows + b.each - 1) / b.each) }

func (b rowBlocks) region(block int) Region {
	from := int64(block) * b.each
	return Region{From: from * b.row, Len: min(b.each, b.rows-from) * b.row, Count: 1}
}

// split calls do for each part of the n elements from index at on that lies in one
// row: its row, its place among the n, and whether the row ends there.
func (b rowBlocks) split(at int64, n int, do func(row int64, from, to int, last bool)) {
	for i := 0; i < n; {
		row := (at + int64(i)) / b.row
		end := (row + 1) * b.row
		to := int(min(int64(n), end-at))
		do(row, i, to, at+int64(to) == end)
		i = to
	}
}

// toDeltas makes deltas of the others in place.
func toDeltas(x [][]float64, base int) {
	for k, v := range x {
		if k != base {
			for j, b := range x[base][:len(v)] {
				v[j] -= b
			}
		}
	}
}

// without returns x without element k, in list. k is -1 for all of x.
func without(list, x [][]float64, k int) [][]float64 {
	list = list[:0]
	for i, v := range x {
		if i != k {
			list = append(list, v)
		}
	}
	return list
}

// weighted sets y to w*v, or adds that if more is set. The product is rounded.
func weighted(y, v []float64, w float64, more bool) {
	v = v[:len(y)]
	if !more { // not added to 0, which would lose a -0
		for j, x := range v {
			y[j] = w * x
		}
		return
	}
	for j, x := range v {
		y[j] += float64(w * x)
	}
}
