package slerp

import "math"

// The constants of mergekit's model_stock (0.1.5, merge_methods/model_stock.py).
const (
	stockFloor = 1e-6 // a smaller product of two norms counts as this
	singular   = 1e-6 // a smaller denominator gives the base alone
)

// ModelStock returns how far to go from a base to the mean of n models, 2 at least, whose
// differences from the base have the inner products p: the model is t*mean +
// (1-t)*base. cos is the mean of the cosines between two differences, which t comes from. If a
// product is not finite, both are NaN.
func ModelStock(n int, p Inner) (t, cos float64) {
	floor, pairs := NewWide(stockFloor), 0
	for i := range n {
		a := p(i, i)
		if !a.Finite() {
			return math.NaN(), math.NaN()
		}
		a = a.Sqrt()
		for j := i + 1; j < n; j++ {
			b := p(j, j)
			if !b.Finite() {
				return math.NaN(), math.NaN()
			}
			norms := a.Times(b.Sqrt())
			if norms.Less(floor) {
				norms = floor
			}
			cos += max(-1, min(1, p(i, j).Over(norms)))
			pairs++
		}
	}
	cos /= float64(pairs)
	down := 1 + float64(float64(n-1)*cos)
	if math.Abs(down) < singular {
		return 0, cos
	}
	return float64(float64(n)*cos) / down, cos
}
