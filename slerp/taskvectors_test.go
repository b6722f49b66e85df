package slerp

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slerpmerge/internal/tensor"
)

// plainKey is the key of a delta, rounded to the type of the ranks in one step.
func plainKey(rank tensor.DType, d float64) uint64 {
	c, _ := nearest(rank, d)
	return c &^ (1 << (8*rank.Size() - 1))
}

// plainRank is the widest type, as the documentation has it.
func plainRank(in []tensor.DType) tensor.DType {
	has := func(d tensor.DType) bool { return slices.Contains(in, d) }
	switch {
	case has(tensor.F64), has(tensor.F32), has(tensor.F16) && has(tensor.BF16):
		return tensor.F32
	case has(tensor.F16):
		return tensor.F16
	}
	return tensor.BF16
}

// plainBand sorts everything, and keeps the ranks from from on and below to. Of equal keys
// the first in index order stay.
func plainBand(rank tensor.DType, d []float64, from, to int) []bool {
	order := make([]int, len(d))
	keys := make([]uint64, len(d))
	for i := range d {
		order[i], keys[i] = i, plainKey(rank, d[i])
	}
	slices.SortStableFunc(order, func(i, j int) int { return int(int64(keys[i]) - int64(keys[j])) })
	stay := map[uint64]int{}
	for _, i := range order[from:to] {
		stay[keys[i]]++
	}
	kept := make([]bool, len(d))
	for i := range d {
		if stay[keys[i]] > 0 {
			stay[keys[i]]--
			kept[i] = true
		}
	}
	return kept
}

// plainKept says which elements of a delta stay.
func plainKept(t TaskVectors, o Operands, q, k int, d []float64) []bool {
	n := len(d)
	density := 1.0
	if t.Density != nil {
		density = t.Density[k]
	}
	all := slices.Repeat([]bool{true}, n)
	rank := plainRank(o.In)
	switch none := make([]bool, n); {
	case density >= 1:
		return all
	case n == 0 || t.Sparsifier == Magnitude && density <= 0:
		return none
	case t.Sparsifier == Magnitude:
		return plainBand(rank, d, n-max(1, int(density*float64(n))), n)
	case t.Sparsifier == Outliers:
		keep, top := int(density*float64(n)), int(t.Gamma[k]*float64(n))
		from := max(0, n-keep-top)
		return plainBand(rank, d, from, from+keep)
	}
	draw := newDrawKey(t.Seed, o.Tensor, q).draw
	if t.Sparsifier == Random {
		for i := range all {
			all[i] = float64(draw(int64(i))) < math.Floor(density*(1<<32)+0.5)
		}
		return all
	}
	if density <= 0 {
		return make([]bool, n)
	}
	for i, p := range plainShares(rank, o.Shape, d, density, t.Epsilon[k]) {
		all[i] = float64(draw(int64(i))) < math.Floor(p*(1<<32)+0.5)
	}
	return all
}

// plainShares are the probabilities of della_magprune: of ranks along axis 1.
func plainShares(rank tensor.DType, shape []uint64, d []float64, density, epsilon float64) []float64 {
	outer, length, inner := 1, len(d), 1
	if len(shape) > 1 {
		outer, length = int(shape[0]), int(shape[1])
		for _, s := range shape[2:] {
			inner *= int(s)
		}
	}
	p := make([]float64, len(d))
	for a := range outer {
		for b := range inner {
			var row []int
			for j := range length {
				row = append(row, (a*length+j)*inner+b)
			}
			slices.SortStableFunc(row, func(i, j int) int { return int(int64(plainKey(rank, d[i])) - int64(plainKey(rank, d[j]))) })
			for r, i := range row {
				p[i] = density
				if length > 1 {
					p[i] = (density - epsilon) + float64(float64(r)*((density+epsilon-(density-epsilon))/float64(length-1)))
				}
			}
		}
	}
	return p
}

// plainNorm sums the finite magnitudes.
func plainNorm(d []float64, kept []bool, block int) float64 {
	total := 0.0
	for from := 0; from < len(d); from += block {
		var l [8]float64
		for i := from; i < min(len(d), from+block); i++ {
			if kept[i] && finite(d[i]) {
				l[i%8] += math.Abs(d[i])
			}
		}
		total += ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]))
	}
	return total
}

// plainTask merges by the definition, element by element.
func plainTask(t TaskVectors, o Operands, x [][]byte, block int) ([]byte, Counts) {
	n := int(o.Elems())
	of := func(k, i int) float64 { return value(o.In[k], code(o.In[k], x[k], i)) }
	var models []int
	var deltas [][]float64
	var masks [][]bool
	var scale []float64
	for k := range o.In {
		if k == t.Base {
			continue
		}
		d := make([]float64, n)
		for i := range d {
			d[i] = of(k, i) - of(t.Base, i)
		}
		kept := plainKept(t, o, len(models), k, d)
		s := 1.0
		if t.Rescale {
			before, after := plainNorm(d, slices.Repeat([]bool{true}, n), block), plainNorm(d, kept, block)
			if before >= 1e-7 && after >= 1e-7 && finite(before) && finite(after) {
				s = before / after
			}
		}
		models, deltas, masks, scale = append(models, k), append(deltas, d), append(masks, kept), append(scale, s)
	}
	dst := make([]byte, n*o.Out.Size())
	var c Counts
	for i := range n {
		v := make([]float64, len(models))
		sum, total := 0.0, 0.0
		for q, k := range models {
			if masks[q][i] {
				v[q] = deltas[q][i] * (t.Weight[k] * scale[q])
			}
			sum += v[q]
			total += t.Weight[k]
		}
		y, divisor := sum, total
		if t.Consensus == Elected {
			var sums, weights [2]float64 // of the positive ones, of the negative ones
			for q, k := range models {
				if v[q] != 0 {
					sign := 0
					if v[q] < 0 {
						sign = 1
					}
					sums[sign] += v[q]
					weights[sign] += t.Weight[k]
				}
			}
			y, divisor = sums[0], weights[0]
			if sums[0] < -sums[1] {
				y, divisor = sums[1], weights[1]
			}
			if sum != sum {
				y = sum
			}
			if divisor == 0 {
				divisor = 1
			}
		} else if math.Abs(divisor) < 1e-8 {
			divisor = 1
		}
		if t.Normalize {
			y /= divisor
		}
		y = of(t.Base, i) + float64(t.Lambda*y)
		code, over := nearest(o.Out, y)
		all := true
		for k := range o.In {
			all = all && finite(of(k, i))
		}
		switch {
		case !all:
			c.NonFinite++
		case over || !finite(y):
			c.Overflow++
		}
		putCode(o.Out, dst, i, code)
	}
	return dst, c
}

// A fine-tune's tensors: those of the models differ from the base by little, in some
// elements not at all, so that many deltas are equal.
func tuned(r *rand.Rand, in []tensor.DType, base, n int, m mix) (x [][]byte) {
	ref := make([]float64, n)
	for i := range ref {
		ref[i] = r.NormFloat64() * 0.02
	}
	for k, d := range in {
		if m != weights {
			x = append(x, random(r, d, n, m))
			continue
		}
		p := make([]byte, n*d.Size())
		for i := range n {
			v := ref[i]
			if k != base {
				v += r.NormFloat64() * 1e-3
			}
			c, _ := nearest(d, v)
			putCode(d, p, i, c)
		}
		x = append(x, p)
	}
	return x
}

// Blocks are smaller here than elsewhere, and granules too.
const testBlock, testGranule = 4096, 1024

// checkTask holds a merge to the definition, with blocks and chunks in disorder.
func checkTask(t *testing.T, name string, v TaskVectors, o Operands, x [][]byte, r *rand.Rand) Sweep {
	t.Helper()
	block := testBlock
	if v.Sparsifier == Ranked {
		grain := int(newRankRow(o.Shape).len)
		block = max(1, block/max(1, grain)) * max(1, grain)
	}
	want, wantCounts := plainTask(v, o, x, block)
	var s Sweep
	for _, chunk := range []int64{8, 1000, 1 << 15} {
		if chunk == 8 && o.Elems() > 5000 {
			continue
		}
		s = v.Sweep(o)
		own := s.(*taskSweep)
		own.length = testBlock
		if b, ok := own.sparse.(*band); ok {
			b.granule = testGranule
		}
		got, counts := sweepAll(s, o, x, chunk, r)
		if counts != wantCounts {
			t.Errorf("%s, chunks of %d: %+v, want %+v", name, chunk, counts, wantCounts)
		}
		if bytes.Equal(got, want) {
			continue
		}
		for i := range int(o.Elems()) {
			if g, w := code(o.Out, got, i), code(o.Out, want, i); g != w {
				t.Errorf("%s, chunks of %d: element %d of %d is %#x, want %#x", name, chunk, i, o.Elems(), g, w)
				break
			}
		}
	}
	return s
}

func (c Consensus) String() string { return [...]string{"plain", "elected"}[c] }

// taskShapes are of any number of axes.
var taskShapes = [][]uint64{nil, {0}, {1}, {7}, {8}, {1030}, {3, 700}, {5, 9, 23}, {2, 3, 4, 5}, {4, 0}, {2, 1500}, {4099}}

// All sparsifiers, types, shapes, numbers of models, densities: as the definition has it.
func TestTaskVectors(t *testing.T) {
	r := source(1)
	pick := func(list ...float64) float64 { return list[r.IntN(len(list))] }
	for trial := range 350 {
		count := 1 + r.IntN(10) + 1
		v := TaskVectors{Base: r.IntN(count), Sparsifier: Sparsifier(r.IntN(int(numSparsifiers))), Consensus: Consensus(r.IntN(2)), Lambda: pick(1, 1, 0.5, -2),
			Normalize: r.IntN(2) == 0, Rescale: r.IntN(2) == 0, Seed: r.Uint64()}
		o := Operands{Tensor: fmt.Sprint("model.layers.", trial), Shape: taskShapes[r.IntN(len(taskShapes))], Out: allTypes[r.IntN(len(allTypes))]}
		one := allTypes[r.IntN(len(allTypes))]
		for range count {
			in := allTypes[r.IntN(len(allTypes))]
			if trial%3 > 0 {
				in = one
			}
			o.In = append(o.In, in)
			v.Weight = append(v.Weight, pick(1, 1, 0.5, 0.3, 0, -0.7))
			v.Density = append(v.Density, pick(0, 1e-9, 0.01, 0.3, 0.5, 0.9, 0.999, 1, 1.5))
			v.Gamma = append(v.Gamma, pick(0, 0.01, 0.01, 0.1, 0.6, 1))
			v.Epsilon = append(v.Epsilon, pick(0, 0.005, 0.0099, 0.15))
			if k := len(v.Epsilon) - 1; v.Sparsifier == Ranked && v.Unfit(k) != "" {
				v.Density[k] = 0.5
			}
		}
		m := mix(0)
		if trial%4 == 0 {
			m = mix(r.IntN(int(numMixes)))
		}
		x := tuned(r, o.In, v.Base, int(o.Elems()), m)
		if trial%5 == 0 && count > 2 { // equal models
			k := (v.Base + 1) % count
			o.In[k], x[k] = o.In[v.Base], x[v.Base]
		}
		checkTask(t, fmt.Sprintf("trial %d: %+v, %v %v to %v, mix %d", trial, v, o.Shape, o.In, o.Out, m), v, o, x, r)
		if t.Failed() {
			return
		}
	}
}

// readCounter counts the elements that a Sweep measures.
type readCounter struct {
	*taskSweep
	read int64
}

func (c *readCounter) Take(block int, m Meter) {
	r := c.Region(block)
	c.read += r.Len * r.Count
	c.taskSweep.Take(block, m)
}

// In a tensor of many blocks the elements at the thresholds are counted while the
// thresholds are looked for, so that little is read again: also where values of BF16 are
// merged as F32, and many of their deltas are equal.
func TestTaskBlocks(t *testing.T) {
	r := source(1)
	const n = 16*testBlock + 77
	for _, c := range []struct {
		in, values tensor.DType
		passes     float64
	}{{tensor.BF16, tensor.BF16, 1}, {tensor.F16, tensor.F16, 2}, {tensor.F32, tensor.BF16, 2}, {tensor.F32, tensor.F32, 2}} {
		for _, sparsifier := range []Sparsifier{Magnitude, Outliers} {
			values := []tensor.DType{c.values, c.values, c.values}
			o := Operands{Tensor: "w", Shape: []uint64{n}, In: []tensor.DType{c.in, c.in, c.in}, Out: c.in}
			v := TaskVectors{Base: 1, Sparsifier: sparsifier, Weight: []float64{1, 0, 0.5}, Density: []float64{0.5, 0, 0.3}, Gamma: []float64{0.01, 0, 0.1}, Lambda: 1}
			x := tuned(r, values, 1, n, weights)
			for k := range x {
				wide := make([]float64, n)
				detected.decode64(c.values, wide, x[k])
				x[k] = encoded(c.in, wide...)
			}
			want, _ := plainTask(v, o, x, testBlock)
			s := &readCounter{taskSweep: v.Sweep(o).(*taskSweep)}
			s.length, s.sparse.(*band).granule = testBlock, testGranule
			got, _ := sweepAll(s, o, x, 1000, r)
			if !bytes.Equal(got, want) {
				t.Errorf("%v of %v, %d: not as defined", c.in, c.values, sparsifier)
			}
			if passes := float64(s.read) / n; passes > c.passes+0.6 {
				t.Errorf("%v of %v, %d: %.2f passes", c.in, c.values, sparsifier, passes)
			}
		}
	}
}

// What a method came to is told in figures.
func TestTaskFigures(t *testing.T) {
	o := Operands{Tensor: "w", Shape: []uint64{10}, In: []DType{tensor.F32, tensor.F32}, Out: tensor.F32}
	x := [][]byte{encoded(tensor.F32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), make([]byte, 40)}
	for _, c := range []struct {
		name string
		v    TaskVectors
		want []Figure
	}{
		{"magnitude", TaskVectors{Density: []float64{0.3}}, []Figure{{"kept", 0, 0.3}, {"threshold", 0, 8}}},
		{"magnitude, rescaled", TaskVectors{Density: []float64{0.3}, Rescale: true}, []Figure{{"kept", 0, 0.3}, {"threshold", 0, 8}, {"scale", 0, 55.0 / 27}}},
		{"all", TaskVectors{Density: []float64{1}, Rescale: true}, []Figure{{"kept", 0, 1}, {"scale", 0, 1}}},
		{"outliers", TaskVectors{Sparsifier: Outliers, Density: []float64{0.3}, Gamma: []float64{0.2}}, []Figure{{"kept", 0, 0.3}, {"threshold", 0, 6}, {"upper threshold", 0, 8}}},
		{"outliers, one left", TaskVectors{Sparsifier: Outliers, Density: []float64{0.1}, Gamma: []float64{0.5}}, []Figure{{"kept", 0, 0.1}, {"threshold", 0, 5}, {"upper threshold", 0, 5}}},
		{"random", TaskVectors{Sparsifier: Random, Density: []float64{0.5}}, nil},
		{"random, rescaled", TaskVectors{Sparsifier: Random, Density: []float64{0.5}, Rescale: true}, []Figure{{"kept", 0, 0.5}, {"scale", 0, 2.75}}},
	} {
		v := c.v
		v.Base, v.Weight, v.Lambda = 1, []float64{1, 0}, 1
		s := v.Sweep(o)
		sweepAll(s, o, x, 8, source(1))
		if got := s.Figures(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// The memory is what Memory says, and that of 8 models fits the smallest budget twice.
func TestTaskMemory(t *testing.T) {
	for _, d := range []tensor.DType{tensor.BF16, tensor.F32} {
		for sparsifier := range numSparsifiers {
			v := TaskVectors{Sparsifier: sparsifier, Consensus: Elected, Normalize: true, Rescale: true, Lambda: 1}
			o := Operands{Tensor: "w", Shape: []uint64{3, 20000}, Out: d}
			for range 9 {
				o.In = append(o.In, d)
				v.Weight, v.Density = append(v.Weight, 1), append(v.Density, 0.5)
				v.Gamma, v.Epsilon = append(v.Gamma, 0.01), append(v.Epsilon, 0.1)
			}
			var x [][]byte
			for k := range o.In {
				x = append(x, random(source(uint64(k)), d, 1000, weights))
				x[k] = bytes.Repeat(x[k], int(o.Elems())/1000)
			}
			s := v.Sweep(o)
			if b, ok := s.(*taskSweep).sparse.(*band); ok { // with blocks enough for a guess
				b.length, b.granule = 1<<13, 1<<10
			}
			state, most := s.Memory()
			if state > 3<<20 || most > 3<<20 {
				t.Errorf("%v, %d: %d and %d bytes", d, sparsifier, state, most)
			}
			var held int64
			scratch := &Scratch{}
			for n := s.Pass(); n > 0; n = s.Pass() {
				held = max(held, s.(*taskSweep).held())
				for k := range n {
					r := s.Region(k)
					m := s.Meter(scratch, k)
					m.Add(slicesOf(o, x, r.From, r.Len), r.From)
					s.Take(k, m)
				}
			}
			held = max(held, s.(*taskSweep).held())
			s.Mixer(scratch).Mix(make([]byte, len(x[0])), x, 0)
			var lent int64
			for _, f := range scratch.floats {
				lent += int64(8 * cap(f))
			}
			for _, c := range scratch.counts {
				lent += int64(4 * cap(c))
			}
			for _, b := range scratch.bytes {
				lent += int64(cap(b))
			}
			if lent > most || lent < most*3/4 || held > state || held < state*3/4 {
				t.Errorf("%v, %d: %d bytes of state for %d, %d of scratch for %d", d, sparsifier, held, state, lent, most)
			}
		}
	}
}

// held is what the Sweep holds now.
func (s *taskSweep) held() (n int64) {
	n = int64(cap(s.norms)) * 24
	if b, ok := s.sparse.(*band); ok {
		for _, c := range b.counts {
			n += int64(4*cap(c.small) + 8*cap(c.large))
		}
		for _, list := range b.ties {
			n += int64(4 * cap(list))
		}
		if g := b.guess.Load(); g != nil {
			for _, ends := range g.seen {
				n += int64(4*cap(ends[0]) + 4*cap(ends[1]))
			}
		}
	}
	return n
}
