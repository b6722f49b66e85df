// Package merge runs a plan: it opens the output, pumps every tensor through a
// bounded pipeline and publishes the folder. Its memory is the plan's budget
// and the tensor table, whatever the models' size.
package merge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"slerpmerge/internal/engine"
	"slerpmerge/internal/operand"
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
	// Fingerprint is the plan's. An unfinished run with the same one is
	// resumed; without one nothing is kept of a run that does not come to its
	// end.
	Fingerprint string
	Restart     bool // discard an unfinished run
	// IOLimit bounds the bytes that are read and written in a second, together; 0
	// is no bound.
	IOLimit int64
	// DropPages takes pages out of the page cache once they are done with.
	DropPages bool
	// KeepCached leaves the output in the page cache.
	KeepCached bool
	// Resumed is called once, before any work, if there was an unfinished run.
	Resumed func(Resumed)
	// Warn, if not nil, is called with a warning about the output's file system.
	Warn func(text string)
	// Progress is called from one goroutine with the bytes written since the last call.
	Progress func(n int64)
	// Sidecars makes the files about the merge (model card, provenance).
	Sidecars func(*Result) []Sidecar
	// Checksums adds writer.DigestsName.
	Checksums bool
	// Wrap, where it is set, is put around every source of a parent's values.
	Wrap func(operand.Operand, operand.Source) operand.Source
}

// A Resumed says what became of an unfinished run to the same output.
type Resumed struct {
	Done, Total int64  // bytes of tensors that are kept, and of all
	Why         string // why nothing is kept, "" if something is
}

// A SuspendedError says that a run was stopped, but its work is kept: the same
// command resumes.
type SuspendedError struct {
	Err         error // what stopped it
	Done, Total int64 // bytes of tensors
}

func (e *SuspendedError) Error() string { return e.Err.Error() }
func (e *SuspendedError) Unwrap() error { return e.Err }

// Run carries a plan out. After an error nothing is left at the output; where
// it can be resumed (the run was stopped, a disk failed or is full) the work is
// kept beside it, and the error is a *SuspendedError. Others are those of the
// readers and the writer, *engine.NonFiniteError, and the cause of ctx.
func Run(ctx context.Context, p *plan.Plan, opt Options) (*Result, error) {
	start := time.Now()
	if err := p.Refusal(); err != nil {
		return nil, err
	}
	opts := p.OutputOptions()
	opts.Fingerprint, opts.Restart, opts.Warn = opt.Fingerprint, opt.Restart, opt.Warn
	opts.DropPages, opts.KeepCached = opt.DropPages, opt.KeepCached
	out, e, err := begin(p, opts, opt)
	if err != nil {
		return nil, err
	}
	r, err := work(ctx, p, out, e, opt)
	if err == nil {
		r.Duration = time.Since(start)
		return r, nil
	}
	if !keeps(err) {
		out.Abort()
		return nil, err
	}
	at, serr := out.Suspend(e.Note())
	if serr != nil && ctx.Err() != nil { // worse than being stopped; else err is why
		err = serr
	}
	if done := p.Layout.Before(at); done > 0 {
		err = &SuspendedError{Err: err, Done: done, Total: p.Layout.TotalBytes}
	}
	return nil, err
}

// begin opens the output, and an engine that starts where an earlier run
// ended.
func begin(p *plan.Plan, opts writer.Options, opt Options) (*writer.Output, *engine.Engine, error) {
	for {
		out, err := writer.Create(p.Run.Output, opts)
		if err != nil {
			return nil, nil, err
		}
		if err := out.Presize(p.Layout); err != nil {
			out.Abort()
			return nil, nil, err
		}
		opt.Pool.SetLimit(p.Budget.Pool)
		e := engine.New(p, p.Layout, out, engine.Options{
			WarnNonFinite: p.Recipe.NonFinite == recipe.NonFiniteWarn,
			IOLimit:       opt.IOLimit,
			DropPages:     opt.DropPages,
			Progress:      opt.Progress,
			Wrap:          opt.Wrap,
		})
		earlier := out.Previous()
		if !earlier.Found || opts.Restart {
			return out, e, nil
		}
		resumed := Resumed{Total: p.Layout.TotalBytes, Why: earlier.Why}
		if earlier.Why == "" {
			if err := e.Restore(earlier.At, earlier.Notes); err != nil {
				out.Abort() // its kept work is useless
				continue
			}
			resumed.Done = p.Layout.Before(earlier.At)
		}
		if opt.Resumed != nil {
			opt.Resumed(resumed)
		}
		return out, e, nil
	}
}

// work runs the engine and writes the other files.
func work(ctx context.Context, p *plan.Plan, out *writer.Output, e *engine.Engine, opt Options) (*Result, error) {
	if err := e.Run(ctx); err != nil {
		return nil, err
	}
	e.Release() // the record of many tensors is as large as the buffers
	if err := out.Checkpoint(e.Note()); err != nil {
		return nil, err
	}
	r := &Result{Plan: p, Tensors: e.Results(), Written: p.OutputBytes, Fingerprint: opt.Fingerprint}
	r.Warnings = append(append(r.Warnings, p.Warnings...), e.Warnings()...)
	if err := putCompanions(ctx, out, p); err != nil {
		return nil, err
	}
	if opt.Sidecars != nil {
		var err error
		if r.Weights, r.Others, err = out.WrittenFiles(ctx, p.Budget.Threads); err != nil {
			return nil, err
		}
		files := opt.Sidecars(r)
		for _, f := range files {
			r.About = append(r.About, f.Name)
		}
		if opt.Checksums {
			r.About = append(r.About, writer.DigestsName)
		}
		for _, f := range files {
			n, err := putSidecar(out, f)
			if err != nil {
				return nil, err
			}
			r.Written += n
		}
	}
	if opt.Checksums {
		n, err := out.PutDigests(ctx, p.Budget.Threads)
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
	return r, out.Publish()
}

// keeps reports whether the work is worth keeping after an error: not if the
// same command can't resume there, since a parent is another one now or has
// values that are refused.
func keeps(err error) bool {
	var changed *mmapio.ChangedError
	if errors.As(err, &changed) {
		return changed.Removed // its disk may come back
	}
	var nonFinite *engine.NonFiniteError
	return !errors.As(err, &nonFinite) && !errors.Is(err, engine.ErrInternal)
}

// putCompanions writes config.json and the files that are copied unchanged.
func putCompanions(ctx context.Context, out *writer.Output, p *plan.Plan) error {
	if p.Config != nil {
		if err := out.Put(p.ConfigName(), p.Config); err != nil {
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
