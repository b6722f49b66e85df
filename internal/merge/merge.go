// Package merge runs a plan: it opens the output, pumps every tensor through a
// bounded pipeline and publishes the folder. Its memory is the plan's budget
// and the tensor table, whatever the models' size.
package merge

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
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
	// Checking, if not nil, is called before so many bytes of an unfinished run are
	// read again; Resumed once, before any work, if there was such a run.
	Checking func(bytes int64)
	Resumed  func(Resumed)
	// Warn, if not nil, is called with a warning about the output's file system.
	Warn func(text string)
	// Progress is called from one goroutine with the bytes written since the last call.
	Progress func(n int64)
	// Sidecars makes the files about the merge. The last one is the record, which knows
	// the checksums of all others.
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
	results, err := Together(ctx, []*plan.Plan{p}, p.Budget, []Options{opt})
	if err != nil {
		return nil, err
	}
	return results[0], nil
}

// Together carries out plans that are Alike, within one budget: parents are read and
// measured once for all. Each has options of its own; those of the run are the
// first's. Outputs that an earlier run has left at different places are made one
// after the other. The results are those of the plans that were carried out, in order, also
// beside an error, which is that of Run.
func Together(ctx context.Context, plans []*plan.Plan, budget plan.Budget, opts []Options) ([]*Result, error) {
	members := make([]*member, len(plans))
	for k, p := range plans {
		if err := p.Refusal(); err != nil {
			return nil, err
		}
		members[k] = &member{plan: p, opt: opts[k]}
	}
	defer func() {
		for _, m := range members {
			m.leave()
		}
	}()
	opts[0].Pool.SetLimit(budget.Pool)
	for _, m := range members {
		if err := m.open(ctx, budget); err != nil {
			return nil, err
		}
	}
	results := make([]*Result, len(plans))
	for k, m := range members {
		if results[k] != nil {
			continue
		}
		group, at := []*member{m}, []int{k}
		for j, n := range members[k+1:] {
			if n.earlier.At.File == m.earlier.At.File && n.earlier.At.Off == m.earlier.At.Off {
				group, at = append(group, n), append(at, k+1+j)
			}
		}
		done, err := runGroup(ctx, group, budget)
		for j, r := range done {
			results[at[j]] = r
		}
		if err != nil {
			return slices.DeleteFunc(results, func(r *Result) bool { return r == nil }), err
		}
	}
	return results, nil
}

// A member is one output of a run.
type member struct {
	plan    *plan.Plan
	opt     Options
	out     *writer.Output
	earlier writer.Previous
	begun   bool // by an engine
}

// engineOptions are those of an engine that makes the output.
func (m *member) engineOptions() engine.Options {
	return engine.Options{
		WarnNonFinite: m.plan.Recipe.NonFinite == recipe.NonFiniteWarn,
		IOLimit:       m.opt.IOLimit,
		DropPages:     m.opt.DropPages,
		Sums:          m.opt.Fingerprint != "",
		Progress:      m.opt.Progress,
		Wrap:          m.opt.Wrap,
	}
}

// open opens the output. earlier has no place and no notes if nothing is resumed.
func (m *member) open(ctx context.Context, budget plan.Budget) error {
	opts := m.plan.OutputOptions()
	opts.Fingerprint, opts.Restart, opts.Warn = m.opt.Fingerprint, m.opt.Restart, m.opt.Warn
	opts.DropPages, opts.KeepCached, opts.Checking = m.opt.DropPages, m.opt.KeepCached, m.opt.Checking
	opts.Threads, opts.Limit, opts.Original = budget.Threads, engine.Limit(m.opt.IOLimit), engine.Original(m.plan, m.engineOptions())
	out, err := writer.Create(m.plan.Run.Output, opts)
	if err != nil {
		return err
	}
	if err := out.Presize(ctx, m.plan.Layout); err != nil {
		if !keeps(err) {
			out.Abort()
			return err
		}
		at, _ := out.Suspend(nil) // err is why
		if done := m.plan.Layout.Before(at); done > 0 {
			err = &SuspendedError{Err: err, Done: done, Total: m.plan.Layout.TotalBytes}
		}
		return err
	}
	m.out, m.earlier = out, out.Previous()
	if m.earlier.Why != "" || opts.Restart {
		m.earlier.At, m.earlier.Notes = writer.Mark{}, nil
	}
	return nil
}

// resumes reports whether the work of an earlier run is kept.
func (m *member) resumes() bool { return m.earlier.Found && m.earlier.Why == "" && !m.opt.Restart }

// leave keeps the work of an earlier run on an output that was not begun.
func (m *member) leave() {
	if m.out != nil && !m.begun {
		m.out.Suspend(nil)
	}
}

// runGroup carries out plans whose outputs begin at one place.
func runGroup(ctx context.Context, group []*member, budget plan.Budget) ([]*Result, error) {
	start := time.Now()
	e, err := begin(ctx, group, budget)
	if err != nil {
		return nil, err
	}
	results, err := work(ctx, group, e)
	for _, r := range results {
		r.Duration = time.Since(start)
	}
	if err == nil {
		return results, nil
	}
	rest := group[len(results):]
	if !keeps(err) {
		for _, m := range rest {
			m.out.Abort()
		}
		return results, err
	}
	var done, total int64
	notes := e.Notes()
	for k, m := range rest {
		at, serr := m.out.Suspend(notes[len(results)+k])
		if serr != nil && ctx.Err() != nil { // worse than being stopped; else err is why
			err = serr
		}
		done, total = done+m.plan.Layout.Before(at), total+m.plan.Layout.TotalBytes
	}
	if done > 0 {
		err = &SuspendedError{Err: err, Done: done, Total: total}
	}
	return results, err
}

// begin makes an engine that starts where an earlier run ended.
func begin(ctx context.Context, group []*member, budget plan.Budget) (*engine.Engine, error) {
	first := group[0]
	for {
		var plans []*plan.Plan
		var outs []engine.Output
		var notes [][][]byte
		for _, m := range group {
			p := *m.plan
			p.Budget = budget
			m.begun = true
			plans, outs, notes = append(plans, &p), append(outs, m.out), append(notes, m.earlier.Notes)
		}
		e := engine.NewOfMany(plans, first.plan.Layout, outs, first.engineOptions())
		if slices.ContainsFunc(group, (*member).resumes) {
			if err := e.RestoreOfMany(first.earlier.At, notes); err != nil {
				for _, m := range group { // their kept work is useless
					m.out.Abort()
					m.begun, m.out = false, nil
				}
				for _, m := range group {
					if err := m.open(ctx, budget); err != nil {
						return nil, err
					}
					m.earlier = writer.Previous{Found: true, Why: err.Error()}
				}
				continue
			}
		}
		for _, m := range group {
			if m.opt.Resumed != nil && m.earlier.Found && !m.opt.Restart {
				m.opt.Resumed(Resumed{Done: m.plan.Layout.Before(m.earlier.At), Total: m.plan.Layout.TotalBytes, Why: m.earlier.Why})
			}
		}
		return e, nil
	}
}

// work runs the engine and finishes the outputs one by one.
func work(ctx context.Context, group []*member, e *engine.Engine) (results []*Result, err error) {
	if err := e.Run(ctx); err != nil {
		return nil, err
	}
	e.Release() // the record of many tensors is as large as the buffers
	for k, m := range group {
		r, err := finish(ctx, m, e, k)
		if err != nil {
			return results, err
		}
		results = append(results, r)
	}
	return results, nil
}

// finish writes the other files of output k, and publishes it.
func finish(ctx context.Context, m *member, e *engine.Engine, k int) (*Result, error) {
	p, out, opt := m.plan, m.out, m.opt
	if err := out.Checkpoint(e.Notes()[k]); err != nil {
		return nil, err
	}
	r := &Result{Plan: p, Tensors: e.ResultsOf(k), Written: p.OutputBytes, Fingerprint: opt.Fingerprint}
	r.Warnings = append(append(r.Warnings, p.Warnings...), e.WarningsOf(k)...)
	if err := putCompanions(ctx, out, p); err != nil {
		return nil, err
	}
	var sums []writer.Digest
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
		for i, f := range files {
			if opt.Checksums && i == len(files)-1 {
				if sums, err = out.Digests(ctx, p.Budget.Threads, nil); err != nil {
					return nil, err
				}
				sum := sha256.Sum256(writer.FormatDigests(sums))
				r.Sums = sum[:]
			}
			n, err := putSidecar(out, f)
			if err != nil {
				return nil, err
			}
			r.Written += n
		}
	}
	if opt.Checksums {
		n, err := out.PutDigests(ctx, p.Budget.Threads, sums)
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
