package method

// Angles is for operands of which the angles between them are asked for, or between
// their differences from one of them. Only a comparison has it.
type Angles struct {
	From int // the index of the operand that the others are measured from, -1 for none
}

// Word returns "compare".
func (Angles) Word() string { return "compare" }

// Needs returns InnerProducts, or Deltas where there is an operand to measure from.
func (a Angles) Needs() Measure {
	if a.From < 0 {
		return InnerProducts
	}
	return Deltas
}

// Base returns From.
func (a Angles) Base() int { return a.From }

// Solve gives no operand a coefficient.
func (Angles) Solve(n int, _ Gram) Solution { return Differ{}.Solve(n, nil) }
