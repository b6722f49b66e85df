package compare

import (
	"context"
	"time"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
)

// A Several is a finished comparison of several models.
type Several struct {
	Plan     *plan.Plan
	Tensors  []engine.TensorAngles // parallel to Plan.Tensors
	Duration time.Duration
}

// RunSeveral carries out a plan of plan.Several. Nothing is written.
//
// Errors are those of the readers and the cause of ctx. A NaN or Inf in a
// model is none here: TensorAngles says so.
func RunSeveral(ctx context.Context, p *plan.Plan, opt Options) (*Several, error) {
	start := time.Now()
	if err := p.Refusal(); err != nil {
		return nil, err
	}
	opt.Pool.SetLimit(p.Budget.Pool)
	r := &Several{Plan: p, Tensors: make([]engine.TensorAngles, len(p.Tensors))}
	for i := range p.Tensors { // those without elements are not measured
		if t := &p.Tensors[i]; t.Op.Needs() != method.Nothing && t.Elems() == 0 {
			r.Tensors[i].First = make([]uint16, len(t.Operands))
		}
	}
	run := opt.Engine
	run.Progress = opt.Progress
	err := engine.Scan(ctx, p, run, func(i int, s engine.Scanned) { r.Tensors[i] = s.Angles(&p.Tensors[i]) })
	if err == nil {
		err = checkEnd(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	r.Duration = time.Since(start)
	return r, nil
}
