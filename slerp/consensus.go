package slerp

import "math"

// Mixer adds the deltas to the base.
func (s *taskSweep) Mixer(scratch *Scratch) Mixer {
	m := &taskMixer{
		s:     s,
		r:     newDeltaStrips(&s.deltas, scratch),
		keep:  s.sparse.keeper(scratch, taskStrips),
		limit: limit(s.o.Out),
	}
	for k := range m.sums {
		m.sums[k] = scratch.Floats(sumStrips+k, strip)
	}
	m.second = scratch.Floats(secondStrip, strip)
	for q := range s.models {
		w := s.of(s.Weight, q, 0)
		m.weight = append(m.weight, w)
		m.factor = append(m.factor, float64(w*s.scale[q]))
		m.total += w
	}
	if math.Abs(m.total) < 1e-8 || !s.Normalize {
		m.total = 1
	}
	if s.Consensus == Elected && s.Normalize && len(m.weight) <= maxVoters {
		m.votes = scratch.Counts(voteCounts, strip)
		m.divisors = newDivisors(m.weight)
	}
	return m
}

// taskMixer is the Mixer of TaskVectors.
type taskMixer struct {
	s              *taskSweep
	r              deltaStrips
	keep           keeper
	sums           [4][]float64 // of deltas; if signs count, of those of either sign, and of their weights
	second         []float64    // a delta, as r.x
	weight, factor []float64
	total          float64 // of the weights, or 1
	limit          float64
	// In place of the sums of weights where the models are few: the models of either sign.
	votes    []uint32
	divisors *divisors
}

// Mix fills dst. All products and sums are rounded one by one, in the order of the
// models; where signs count, the positive products and the negative ones are added
// apart, and the greater sum is elected.
func (m *taskMixer) Mix(dst []byte, chunks [][]byte, at int64) (c Counts) {
	s := m.s
	mustMatch(elems(s.o.Out, dst), elems(s.o.In[0], chunks[0]))
	size := s.o.Out.Size()
	for i, n := range m.r.spans(chunks, s.sparse.span(), func(i, n int) { m.keep.prepare(chunks, i, n, at+int64(i)) }) {
		m.r.load(chunks, i, n)
		for k := range m.sums {
			clear(m.sums[k][:n])
		}
		clear(m.votes)
		b, far := m.r.wideBase(), uint64(0)
		delta := func(q int, d []float64) []float64 {
			k := s.models[q]
			detected.decode64(s.o.In[k], d[:n], m.r.part(k))
			_, some := m.keep.keep(q, d[:n], b, at+int64(i))
			far |= some
			return d[:n]
		}
		for q := 0; q < len(s.models); q++ {
			d := delta(q, m.r.x)
			if m.votes == nil {
				m.add(q, d)
			} else if q+1 == len(s.models) {
				addVotes(m.sums[0], m.sums[1], m.votes, d, m.factor[q], q)
			} else {
				addPair(m.sums[0], m.sums[1], m.votes, d, delta(q+1, m.second), m.factor[q], m.factor[q+1], q)
				q++
			}
		}
		y := m.sums[0][:n]
		if s.Consensus == Elected {
			m.elect(y, far>>63 != 0)
		} else {
			divide(y, m.total)
		}
		addTo(y, b, s.Lambda)
		encode64(s.o.Out, dst[i*size:][:n*size], y)
		c.Add(m.tally(y, far>>63 != 0))
	}
	return c
}

// add adds a strip of a delta to the sums.
func (m *taskMixer) add(q int, d []float64) {
	switch {
	case m.s.Consensus == Plain:
		addWeighted(m.sums[0], d, m.factor[q])
	case m.s.Normalize:
		addSigned(m.sums[0], m.sums[1], m.sums[2], m.sums[3], d, m.factor[q], m.weight[q])
	default:
		addApart(m.sums[0], m.sums[1], d, m.factor[q])
	}
}

// addWeighted adds f*d to y.
func addWeighted(y, d []float64, f float64) {
	y = y[:len(d)]
	for j, x := range d {
		y[j] += float64(x * f)
	}
}

// addApart adds f*d to plus where it is positive, and to minus where it is
// negative.
func addApart(plus, minus, d []float64, f float64) {
	plus, minus = plus[:len(d)], minus[:len(d)]
	for j, x := range d {
		u := math.Float64bits(float64(x * f))
		sign := uint64(int64(u) >> 63)
		plus[j] += math.Float64frombits(u &^ sign)
		minus[j] += math.Float64frombits(u & sign)
	}
}

// addSigned does the same, and adds w to the weight of the sign unless the product
// is 0.
func addSigned(plus, minus, plusWeight, minusWeight, d []float64, f, w float64) {
	plus, minus, plusWeight, minusWeight = plus[:len(d)], minus[:len(d)], plusWeight[:len(d)], minusWeight[:len(d)]
	weight := math.Float64bits(w)
	for j, x := range d {
		u := math.Float64bits(float64(x * f))
		sign := uint64(int64(u) >> 63)
		plus[j] += math.Float64frombits(u &^ sign)
		minus[j] += math.Float64frombits(u & sign)
		u <<= 1
		counts := uint64(int64(u|-u)>>63) & weight
		plusWeight[j] += math.Float64frombits(counts &^ sign)
		minusWeight[j] += math.Float64frombits(counts & sign)
	}
}

// elect leaves in y, which is the sum of the positive products, the one of the two sums that
// is greater, divided by the weights of its models. A NaN, which far allows for, has
// no sign and is elected.
func (m *taskMixer) elect(y []float64, far bool) {
	minus, plusWeight, minusWeight := m.sums[1][:len(y)], m.sums[2][:len(y)], m.sums[3][:len(y)]
	if far {
		for j := range y {
			if sum := y[j] + minus[j]; sum != sum {
				y[j], minus[j] = sum, sum
			}
		}
	}
	if m.votes != nil {
		m.divisors.elect(y, minus, m.votes)
		return
	}
	if !m.s.Normalize {
		for j, p := range y {
			sign := uint64(int64(math.Float64bits(p+minus[j])) >> 63)
			y[j] = math.Float64frombits(math.Float64bits(p)&^sign | math.Float64bits(minus[j])&sign)
		}
		return
	}
	one := math.Float64bits(1)
	for j, p := range y {
		sign := uint64(int64(math.Float64bits(p+minus[j])) >> 63)
		sum := math.Float64frombits(math.Float64bits(p)&^sign | math.Float64bits(minus[j])&sign)
		w := math.Float64bits(plusWeight[j])&^sign | math.Float64bits(minusWeight[j])&sign
		zero := ^uint64(int64(w<<1|-(w<<1)) >> 63)
		y[j] = sum / math.Float64frombits(w&^zero|one&zero)
	}
}

// divide is y /= divisor.
func divide(y []float64, divisor float64) {
	if divisor == 1 {
		return
	}
	for j := range y {
		y[j] /= divisor
	}
}

// addTo is y = b + lambda*y.
func addTo(y, b []float64, lambda float64) {
	b = b[:len(y)]
	for j, x := range y {
		y[j] = b[j] + float64(lambda*x)
	}
}

// tally counts the elements of y, made of finite operands, that are beyond the limit of the
// output, and those with an operand that is not finite. far allows for such operands.
func (m *taskMixer) tally(y []float64, far bool) (c Counts) {
	top := uint64(0)
	for _, x := range y {
		top = max(top, math.Float64bits(x)<<1)
	}
	if !far && top < math.Float64bits(m.limit)<<1 {
		return c
	}
	for j, x := range y {
		switch {
		case far && !m.finite(j):
			c.NonFinite++
		case overflows(x, m.limit):
			c.Overflow++
		}
	}
	return c
}

// finite reports whether element j of the strip is finite in all operands.
func (m *taskMixer) finite(j int) bool {
	for k, in := range m.s.o.In {
		var x [1]float64
		detected.decode64(in, x[:], m.r.part(k)[j*in.Size():][:in.Size()])
		if !finite(x[0]) {
			return false
		}
	}
	return true
}
