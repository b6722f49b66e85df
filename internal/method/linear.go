package method

// Linear is a weighted sum: the sum of the products, divided by Divisor.
type Linear struct {
	Weights []float64
	Divisor float64
}

// Word is "linear".
func (*Linear) Word() string { return "linear" }

// Needs is Nothing.
func (*Linear) Needs() Measure { return Nothing }

// Solve gives the weights.
func (l *Linear) Solve(int, Gram) Solution {
	return Solution{Weights: l.Weights, Divisor: l.Divisor, Outcome: Straight}
}
