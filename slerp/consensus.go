package slerp

import "math"

// Mixer adds the deltas to the base.
func (s *taskSweep) Mixer(scratch *Scratch) Mixer {
	m := &taskMixer{
		s:     s,
		r:     newDeltaStrips(&s.deltas, scratch),
		keep:  s.sparse.keeper(scratch, modelStrips+len(s.models)),
		sum:   scratch.Floats(sumStrip, strip),
		limit: limit(s.o.Out),
	}
	if s.Consensus == Elected {
		m.elected, m.divisor = scratch.Floats(electedStrip, strip), scratch.Floats(divisorStrip, strip)
	}
	for q := range s.models {
		m.v = append(m.v, scratch.Floats(modelStrips+q, strip))
		w := s.of(s.Weight, q, 0)
		m.weight = append(m.weight, w)
		m.factor = append(m.factor, float64(w*s.scale[q]))
		m.total += w
	}
	if math.Abs(m.total) < 1e-8 || !s.Normalize {
		m.total = 1
	}
	return m
}

// taskMixer is the Mixer of TaskVectors.
type taskMixer struct {
	s                     *taskSweep
	r                     deltaStrips
	keep                  keeper
	v                     [][]float64 // the weighted deltas
	sum, elected, divisor []float64
	weight, factor        []float64
	total                 float64 // of the weights, or 1
	limit                 float64
}

// Mix fills dst. All products and sums are rounded one by one, in the order of the models.
func (m *taskMixer) Mix(dst []byte, chunks [][]byte, at int64) (c Counts) {
	s := m.s
	mustMatch(elems(s.o.Out, dst), elems(s.o.In[0], chunks[0]))
	size := s.o.Out.Size()
	for i, n := range m.r.spans(chunks, s.sparse.span(), func(i, n int) { m.keep.prepare(chunks, i, n, at+int64(i)) }) {
		m.r.load(chunks, i, n)
		b := m.r.wideBase()
		far := uint64(0)
		sum := m.sum[:n]
		clear(sum)
		for q, k := range s.models {
			v := m.v[q][:n]
			detected.decode64(s.o.In[k], v, m.r.part(k))
			far |= subtractFar(v, b)
			m.keep.keep(q, v, at+int64(i))
			addWeighted(v, sum, m.factor[q])
		}
		var y []float64
		if s.Consensus == Elected {
			y = m.elect(n)
		} else {
			y = sum
			divide(y, m.total)
		}
		addTo(y, b, s.Lambda)
		if far>>63 != 0 {
			c.NonFinite += m.nonFinite(y, b)
		}
		encode64(s.o.Out, dst[i*size:][:n*size], y)
		c.Overflow += m.overflows(y, b, far>>63 != 0)
	}
	return c
}

// addWeighted is v *= w, and adds the products to the sum.
func addWeighted(v, sum []float64, w float64) {
	sum = sum[:len(v)]
	for j, x := range v {
		x = float64(x * w)
		v[j] = x
		sum[j] += x
	}
}

// elect adds the deltas that have the sign of the sum, and divides.
func (m *taskMixer) elect(n int) []float64 {
	y, sum, divisor := m.elected[:n], m.sum[:n], m.divisor[:n]
	clear(y)
	clear(divisor)
	for q := range m.v {
		if m.s.Normalize {
			electWith(y, divisor, m.v[q][:n], sum, m.weight[q])
		} else {
			elect(y, m.v[q][:n], sum)
		}
	}
	if m.s.Normalize {
		for j, d := range divisor {
			u := math.Float64bits(d)
			zero := ^uint64(int64(u<<1|-(u<<1)) >> 63)
			y[j] /= math.Float64frombits(u&^zero | math.Float64bits(1)&zero)
		}
	}
	return y
}

// elect adds to y the elements of v that have the sign of the sum, which is never -0.
func elect(y, v, sum []float64) {
	v, sum = v[:len(y)], sum[:len(y)]
	for j := range y {
		u := math.Float64bits(v[j])
		agrees := (math.Float64bits(sum[j])^u)>>63 - 1
		y[j] += math.Float64frombits(u & agrees)
	}
}

// electWith does the same, and adds w to the divisor of those that are not zero.
func electWith(y, divisor, v, sum []float64, w float64) {
	divisor, v, sum = divisor[:len(y)], v[:len(y)], sum[:len(y)]
	weight := math.Float64bits(w)
	for j := range y {
		u := math.Float64bits(v[j])
		agrees := (math.Float64bits(sum[j])^u)>>63 - 1
		y[j] += math.Float64frombits(u & agrees)
		counts := uint64(int64(u<<1|-(u<<1))>>63) & agrees
		divisor[j] += math.Float64frombits(weight & counts)
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

// nonFinite counts the elements with an operand that is not finite. Where a weighted
// delta that stays is NaN, so is the element, whatever its sign.
func (m *taskMixer) nonFinite(y, b []float64) (n int64) {
	for j := range y {
		if !m.finite(j, b) {
			n++
		}
		if sum := m.sum[j]; m.s.Consensus == Elected && sum != sum {
			y[j] = sum
		}
	}
	return n
}

// finite reports whether element j of the strip is finite in all operands.
func (m *taskMixer) finite(j int, b []float64) bool {
	ok := finite(b[j])
	for _, k := range m.s.models {
		var x [1]float64
		size := m.s.o.In[k].Size()
		detected.decode64(m.s.o.In[k], x[:], m.r.part(k)[j*size:][:size])
		ok = ok && finite(x[0])
	}
	return ok
}

// overflows counts the elements that are finite in all operands and beyond the
// limit of the output.
func (m *taskMixer) overflows(y, b []float64, far bool) (n int64) {
	top := uint64(0)
	for _, x := range y {
		top = max(top, math.Float64bits(x)&^(1<<63))
	}
	if top < math.Float64bits(m.limit) {
		return 0
	}
	for j, x := range y {
		if overflows(x, m.limit) && (!far || m.finite(j, b)) {
			n++
		}
	}
	return n
}
