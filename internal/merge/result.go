package merge

import (
	"time"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/writer"
)

// A Result is a finished merge.
type Result struct {
	Plan     *plan.Plan
	Tensors  []engine.TensorResult // parallel to Plan.Tensors
	Written  int64                 // bytes of all files
	Duration time.Duration
	Warnings []string // the plan's and those of the run
	// Fingerprint is that of Options, for the record of the merge.
	Fingerprint string
	// Weights and Others are the files as they were written, except those about
	// the merge itself, of which there are only the names.
	Weights, Others []writer.WrittenFile
	About           []string
	// Sums is the SHA-256 of writer.DigestsName without the line of the last sidecar;
	// nil if there is none.
	Sums []byte
}

// Outcomes counts the tensors by their outcome.
func (r *Result) Outcomes() map[method.Outcome]int { return engine.Outcomes(r.Tensors) }

var _ engine.Output = (*writer.Output)(nil)
