package method

import "slerpmerge/slerp"

// NuslerpAxes is nuslerp with nuslerp_flatten: false: each row or, with
// nuslerp_row_wise, each column of a tensor has an angle of its own.
type NuslerpAxes struct{ slerp.NuslerpAxes }

// Word returns "nuslerp".
func (NuslerpAxes) Word() string { return "nuslerp" }

// Needs returns Passes.
func (NuslerpAxes) Needs() Measure { return Passes }

// Solve gives the Outcome.
func (o NuslerpAxes) Solve(int, Gram) Solution { return Solution{Outcome: Outcome(o.Word())} }
