package slerp

// A WeightedSum computes dst = (w[0]*x[0] + w[1]*x[1] + ...) / divisor, of one
// tensor or more, with one rounding to the output type. The arithmetic is float64:
// the products are rounded, added in order, and the sum is divided. It has a
// fixed scratch of 16 KiB and serves one goroutine at a time.
type WeightedSum struct {
	out   DType
	in    []DType
	limit float64
	x, y  []float64
}

// NewWeightedSum makes a WeightedSum for an output and inputs of the given types,
// which must have arithmetic (DType.Blends).
func NewWeightedSum(out DType, in []DType) *WeightedSum {
	check(append([]DType{out}, in...)...)
	return &WeightedSum{out: out, in: in, limit: limit(out), x: make([]float64, strip), y: make([]float64, strip)}
}

// Sum fills dst, which must not overlap the inputs. All hold the same number
// of elements, any number; there is one weight for each input. It counts
// overflows: elements that are finite in all inputs and, as stored in dst,
// infinite, NaN or saturated.
func (k *WeightedSum) Sum(dst []byte, x [][]byte, w []float64, divisor float64) (c Counts) {
	n := elems(k.out, dst)
	mustMatch(len(k.in), len(x))
	mustMatch(len(k.in), len(w))
	for i := range x {
		mustMatch(n, elems(k.in[i], x[i]))
	}
	for at := 0; at < n; at += strip {
		m := min(strip, n-at)
		y := k.y[:m]
		for i := range x {
			v := k.x[:m]
			detected.decode64(k.in[i], v, x[i][at*k.in[i].Size():][:m*k.in[i].Size()])
			if i == 0 { // not added to 0, which would lose a -0
				for j := range v {
					y[j] = w[i] * v[j]
				}
				continue
			}
			for j := range v {
				y[j] += float64(w[i] * v[j])
			}
		}
		if divisor != 1 {
			for j := range y {
				y[j] /= divisor
			}
		}
		encode64(k.out, dst[at*k.out.Size():][:m*k.out.Size()], y)
		for j := range y {
			switch {
			case !overflows(y[j], k.limit):
			case k.finite(x, at+j):
				c.Overflow++
			default:
				c.NonFinite++
			}
		}
	}
	return c
}

// finite reports whether element i is finite in all inputs.
func (k *WeightedSum) finite(x [][]byte, i int) bool {
	var v [1]float64
	for n, d := range k.in {
		detected.decode64(d, v[:], x[n][i*d.Size():][:d.Size()])
		if !finite(v[0]) {
			return false
		}
	}
	return true
}
