package method

import "slerpmerge/slerp"

// FilterWise is model_stock with filter_wise: true: each row has a t of its own.
type FilterWise struct{ slerp.FilterWise }

// Word returns "model_stock".
func (FilterWise) Word() string { return "model_stock" }

// Needs returns Passes.
func (FilterWise) Needs() Measure { return Passes }

// Solve gives the Outcome.
func (o FilterWise) Solve(int, Gram) Solution { return Solution{Outcome: Outcome(o.Word())} }
