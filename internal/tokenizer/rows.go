package tokenizer

// Rows says of what a parent's vocabulary matrix, such as the embedding or the
// head, is made before it is merged: the rows of the output, each from a row of
// the parent or by a Fill. It can express every policy for vocabularies, also
// those that go by row numbers alone.
type Rows struct {
	Index []int32 // per output row: k >= 0 is the parent's own row k, ^i is Fills[i]
	Fills []Fill  // may be shared by the parents
}

// A Fill makes a row that a parent lacks: the sum of its terms, and zeros if it
// has none. With Mean it is the mean of those rows of this parent's output that
// are not themselves means (mergekit's padding; the parent's mean row if all
// the others are its own).
type Fill struct {
	Mean  bool
	Terms []Term
}

// A Term is a row of a parent's matrix with its weight.
type Term struct {
	Parent int
	Row    int
	Weight float64
}

// Len returns the number of output rows.
func (r *Rows) Len() int { return len(r.Index) }

// Identity reports whether the output's rows are the first of the parent, in
// their order: nothing to do.
func (r *Rows) Identity() bool {
	n, row, fill := r.Run(0)
	return len(r.Index) == 0 || n == len(r.Index) && fill == nil && row == 0
}

// Run gives what the output rows from i on are: the longest run of n rows that
// are the parent's own from row on, one after the other, or one row by a fill.
func (r *Rows) Run(i int) (n, row int, fill *Fill) {
	if i >= len(r.Index) {
		return 0, 0, nil
	}
	k := r.Index[i]
	if k < 0 {
		return 1, 0, &r.Fills[^k]
	}
	for n = 1; i+n < len(r.Index) && r.Index[i+n] == k+int32(n); {
		n++
	}
	return n, int(k), nil
}

// permutation gives, for every id of out, the row of a parent's matrix that
// holds the same token: its id in v, or -1 if it is not there or the matrix ends
// before it.
func permutation(out, v *Vocabulary, rows int) []int32 {
	p := make([]int32, len(out.byID))
	for id, i := range out.byID {
		p[id] = -1
		if i < 0 {
			continue
		}
		token := out.bytes(int(i))
		k := -1
		if id < len(v.byID) && v.byID[id] >= 0 && string(v.bytes(int(v.byID[id]))) == string(token) {
			k = id
		} else if at, ok := v.find(token); ok {
			k = at
		}
		if k < rows {
			p[id] = int32(k)
		}
	}
	return p
}

// fills collects the Fills of an Output. Zeros and the mean are there once.
type fills struct {
	list       []Fill
	zero, mean int32
}

func (f *fills) add(x Fill) int32 {
	one := &f.zero
	switch {
	case x.Mean:
		one = &f.mean
	case len(x.Terms) > 0:
		f.list = append(f.list, x)
		return ^int32(len(f.list) - 1)
	}
	if *one == 0 {
		f.list = append(f.list, x)
		*one = ^int32(len(f.list) - 1)
	}
	return *one
}
