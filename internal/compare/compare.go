// Package compare measures how models differ, tensor by tensor: two of them ([Run]),
// or any number ([RunSeveral]).
package compare

import (
	"context"
	"time"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/method"
	"slerpmerge/internal/plan"
	"slerpmerge/mmapio"
	"slerpmerge/slerp"
)

// Options say how to compare.
type Options struct {
	Pool *mmapio.Pool // through which the plan's models were opened
	// Progress is called with the bytes compared since the last call, never by
	// two goroutines at once.
	Progress func(n int64)
	// Engine has further settings.
	Engine engine.Options
}

// A Result is a finished comparison.
type Result struct {
	Plan     *plan.Plan
	Tensors  []engine.TensorResult // parallel to Plan.Tensors
	Duration time.Duration
	Warnings []string // the plan's
}

// Run carries out a plan of plan.Pairs. The figures of a pair are, to the last
// bit, those that a merge finds for it; Outcome is that of SLERP at a t between 0
// and 1. Nothing is written.
//
// Errors are those of the readers and the cause of ctx. A NaN or Inf in a
// parent is none here: TensorResult says so.
func Run(ctx context.Context, p *plan.Plan, opt Options) (*Result, error) {
	start := time.Now()
	if err := p.Refusal(); err != nil {
		return nil, err
	}
	opt.Pool.SetLimit(p.Budget.Pool)
	r := &Result{Plan: p, Tensors: make([]engine.TensorResult, len(p.Tensors)), Warnings: p.Warnings}
	for i := range p.Tensors {
		t := &p.Tensors[i]
		r.Tensors[i].Outcome = method.Equal
		if t.Op.Needs() == method.Nothing {
			r.Tensors[i].Outcome = t.Op.Solve(len(t.Operands), nil).Outcome
		}
	}
	run := opt.Engine
	run.Progress = opt.Progress
	err := engine.Scan(ctx, p, run, func(i int, s engine.Scanned) { r.Tensors[i] = resultOf(s) })
	if err == nil {
		err = checkEnd(ctx, p)
	}
	if err != nil {
		return nil, err
	}
	r.Duration = time.Since(start)
	return r, nil
}

// checkEnd returns an error if the models have changed meanwhile, or ctx has ended.
func checkEnd(ctx context.Context, p *plan.Plan) error {
	for _, m := range p.Models {
		if err := m.Check(); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// resultOf says of a pair what a merge would, short of the coefficients.
func resultOf(p engine.Scanned) engine.TensorResult {
	if p.Gram == nil {
		if p.Equal() {
			return engine.TensorResult{Outcome: method.Equal}
		}
		return engine.TensorResult{Outcome: method.Copied, Differs: true}
	}
	g := slerp.Angle(p.Gram[0])
	r := engine.TensorResult{Outcome: method.Spherical, Measured: true, Cos: g.Cos, Theta: g.Theta, NormA: g.NormA, NormB: g.NormB,
		Distance: p.Distance.Sqrt().Float64()}
	switch {
	case p.Equal():
		r.Outcome = method.Equal
	case !p.Gram[0].Finite():
		r.NonFinite = true
	case g.Branch == slerp.Linear:
		r.Outcome = method.Straight
	}
	return r
}
