package method

// Copy takes the bytes of one operand, of this index, as they are.
type Copy int

// Word returns "copy".
func (Copy) Word() string { return "copy" }

// Needs returns Nothing.
func (Copy) Needs() Measure { return Nothing }

// Solve gives one operand the coefficient 1.
func (c Copy) Solve(n int, _ Gram) Solution { return only(n, int(c), Copied) }

// Convert takes the values of one operand in another type.
type Convert int

// Word returns "convert".
func (Convert) Word() string { return "convert" }

// Needs returns Nothing.
func (Convert) Needs() Measure { return Nothing }

// Solve gives one operand the coefficient 1.
func (c Convert) Solve(n int, _ Gram) Solution { return only(n, int(c), Converted) }

// Follow takes the bytes of the first operand, and compares those of the
// others: integers and booleans can't be blended.
type Follow struct{}

// Word returns "follow".
func (Follow) Word() string { return "follow" }

// Needs returns Equality.
func (Follow) Needs() Measure { return Equality }

// Solve gives the first operand the coefficient 1.
func (Follow) Solve(n int, _ Gram) Solution { return only(n, 0, Copied) }

// Differ is for two operands whose shapes or types can't be compared. Only a
// comparison has it.
type Differ struct{}

// Word returns "unlike".
func (Differ) Word() string { return "unlike" }

// Needs returns Nothing.
func (Differ) Needs() Measure { return Nothing }

// Solve gives no operand a coefficient.
func (Differ) Solve(n int, _ Gram) Solution {
	return Solution{Weights: make([]float64, n), Divisor: 1, Outcome: Incomparable}
}

func only(n, k int, outcome Outcome) Solution {
	w := make([]float64, n)
	w[k] = 1
	return Solution{Weights: w, Divisor: 1, Outcome: outcome}
}
