// Package merge runs a plan: it opens the output, pumps every tensor through
// a bounded pipeline and publishes the folder. What it holds in memory is the
// plan's budget and the tensor table, whatever the models' size.
package merge

import (
	"context"
	"fmt"
	"io"
	"time"

	"slerpmerge/internal/plan"
	"slerpmerge/internal/recipe"
	"slerpmerge/mmapio"
	"slerpmerge/writer"
)

// A Sidecar is a file that is written about the merge itself. It may have a
// line for every tensor, so it is written as it is made.
type Sidecar struct {
	Name  string
	Write func(io.Writer) error
}

// Options say how to run a plan.
type Options struct {
	Pool *mmapio.Pool // through which the plan's models were opened
	// Progress is called from one goroutine with the bytes written since the last call.
	Progress func(n int64)
	// Sidecars makes the files about the merge (model card, provenance).
	Sidecars func(*Result) []Sidecar
	// Checksums adds writer.SumsName.
	Checksums bool
}

// Run carries a plan out. On any error nothing is left at the output. Errors
// are those of the readers and the writer, *NonFiniteError, and the cause of
// ctx.
func Run(ctx context.Context, p *plan.Plan, opt Options) (*Result, error) {
	start := time.Now()
	if err := p.Refusal(); err != nil {
		return nil, err
	}
	out, err := writer.Create(p.Recipe.Output, p.OutputOptions())
	if err != nil {
		return nil, err
	}
	defer out.Abort() // does nothing after Publish
	if err := out.Presize(p.Layout); err != nil {
		return nil, err
	}
	opt.Pool.SetLimit(p.Budget.Pool)
	e := newEngine(ctx, p, out, p.Recipe.NonFinite == recipe.NonFiniteWarn, opt.Progress)
	if err := e.run(); err != nil {
		return nil, err
	}
	r := &Result{Plan: p, Tensors: e.finish(), Written: p.OutputBytes}
	r.Warnings = append(append(r.Warnings, p.Warnings...), e.warnings()...)
	if err := putCompanions(ctx, out, p); err != nil {
		return nil, err
	}
	if opt.Sidecars != nil {
		for _, f := range opt.Sidecars(r) {
			n, err := putSidecar(out, f)
			if err != nil {
				return nil, err
			}
			r.Written += n
		}
	}
	if opt.Checksums {
		n, err := out.PutSums(ctx, p.Budget.Threads)
		if err != nil {
			return nil, err
		}
		r.Written += n
	}
	// A parent that changed may have given bytes of two versions.
	for _, m := range p.Models {
		if err := m.Check(); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := out.Publish(); err != nil {
		return nil, err
	}
	r.Duration = time.Since(start)
	return r, nil
}

// putCompanions writes config.json and the files that go along unchanged.
func putCompanions(ctx context.Context, out *writer.Output, p *plan.Plan) error {
	if p.Config != nil {
		if err := out.Put("config.json", p.Config); err != nil {
			return err
		}
	}
	for _, c := range p.Companions {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := putCompanion(out, c); err != nil {
			return err
		}
	}
	return nil
}

// putSidecar pipes a file from its maker to the writer.
func putSidecar(out *writer.Output, f Sidecar) (n int64, err error) {
	r, w := io.Pipe()
	defer r.Close() // ends the maker when the writer fails
	go func() { w.CloseWithError(f.Write(w)) }()
	c := &counter{r: r}
	err = out.PutFrom(f.Name, c)
	return c.n, err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func putCompanion(out *writer.Output, c plan.Companion) error {
	f, err := c.Open()
	if err != nil {
		return fmt.Errorf("copying %s: %w", c.Name, err)
	}
	defer f.Close()
	return out.PutFrom(c.Name, f)
}

// finish completes the results of tensors that were not measured. One that
// shares another's bytes has its result.
func (e *engine) finish() []TensorResult {
	for i := range e.results {
		if e.storage != nil {
			e.results[i] = e.results[e.storage[i]] // itself, or an earlier one
		}
		r, t := &e.results[i], &e.tensors[i]
		switch {
		case r.Branch != "":
		case t.Action == plan.Convert:
			r.Branch = Convert
		case t.Action == plan.Linear:
			r.Branch = Linear
		case t.Action == plan.Slerp: // without elements
			r.Branch = Equal
		default:
			r.Branch = Copy
		}
	}
	return e.results
}
